// Command tracewire traces the path that packets take to a host.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// secondSignal is how long after the first signal a second ends the process at
// once. Who sends one to a process and to its group, as timeout(1) does, means one.
const secondSignal = 300 * time.Millisecond

// run is the whole program, but for what it shares with its process: signals,
// the network. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(secondSignal, stop) })

	command := newCommand(stdin, stdout)
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	chosen, err := command.ExecuteContextC(ctx)
	return report(stderr, chosen.CommandPath(), err)
}
