// Command tracewire traces the path that packets take to a host.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program, but for what it shares with its process: signals,
// the network. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	command := newCommand(stdin, stdout)
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	chosen, err := command.ExecuteContextC(ctx)
	return report(stderr, chosen.CommandPath(), err)
}
