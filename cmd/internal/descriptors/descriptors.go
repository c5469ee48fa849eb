//go:build unix

// Package descriptors gets the Go runtime the file descriptors that it can't do
// without.
package descriptors

import (
	"fmt"
	"syscall"
	"time"
)

// Claim opens what the runtime opens for itself when a program first waits for
// something, and keeps open. Without it a program that has no descriptor left by
// then ends with a dump of its goroutines; the error of Claim is in time for a line.
// It is to be called first.
func Claim() error {
	var spare [2]int // as many as the runtime takes: epoll and eventfd, or kqueue and a pipe
	if err := syscall.Pipe(spare[:]); err != nil {
		return fmt.Errorf("the program needs more files than it may open: %w", err)
	}
	for _, fd := range spare {
		_ = syscall.Close(fd)
	}
	time.AfterFunc(time.Hour, func() {}).Stop() // the first timer has the runtime open them
	return nil
}
