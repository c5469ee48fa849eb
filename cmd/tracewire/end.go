package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// secondSignal is how long after the first signal a second ends the process at
	// once. Who sends one to a process and to its group, as timeout(1) does, means
	// one.
	secondSignal = 300 * time.Millisecond

	// lastWords is how long a command may take to end after the first signal: to hear
	// what was captured by then, to wait for names, and to write all of it.
	lastWords = 3 * time.Second
)

// end runs a command and returns its exit code. A command that goes on for too long
// after ctx has ended, whatever it waits for or computes, is left behind: the
// process is to exit then.
func end(ctx context.Context, patience time.Duration, stderr io.Writer, command func() int) int {
	ended := make(chan int, 1)
	go func() { ended <- command() }()
	select {
	case code := <-ended:
		return code
	case <-ctx.Done():
	}
	select {
	case code := <-ended:
		return code
	case <-time.After(patience):
	}
	if isTerminal(stderr) {
		fmt.Fprint(stderr, erase) // a bar may be there
	}
	return printError(stderr, "tracewire", ctx.Err())
}
