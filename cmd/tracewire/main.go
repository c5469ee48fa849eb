// Command tracewire traces the path that packets take to a host.
package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tracewire/tracewire/cmd/internal/descriptors"
	"github.com/tracewire/tracewire/cmd/internal/outfile"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program, but for what it shares with its process: signals,
// the network. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := descriptors.Claim(); err != nil {
		return printError(stderr, "tracewire", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(secondSignal, stop) })

	command := newCommand(stdin, stdout)
	command.SetArgs(args)
	help := &outfile.Checked{Writer: stdout}
	command.SetOut(help)
	command.SetErr(stderr)
	return end(ctx, lastWords, stderr, func() int {
		chosen, err := command.ExecuteContextC(ctx)
		err = cmp.Or(err, help.Err)
		return printError(stderr, chosen.CommandPath(), err)
	})
}

// endings are the signals that end a command. One that is ignored, as SIGHUP is
// under nohup(1) and SIGINT in the background of a shell script, stays so.
func endings() (all []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}
