// Command tracelab runs any program in a simulated network: traceroute, mtr, or
// whatever else looks at paths.
//
//	tracelab run demo -- traceroute www.example
//
// The program finds itself on a host with one interface, default routes and a
// resolver, as root of namespaces of its own; what it sends is carried by
// package simulate, in real time. It takes Linux, but no privileges where users
// may make namespaces. Where they may not, tracewire simulates the network itself.
package main

import (
	"cmp"
	"io"
	"os"

	"github.com/tracewire/tracewire/cmd/internal/descriptors"
	"github.com/tracewire/tracewire/cmd/internal/outfile"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program, but for what "tracelab run" shares with its
// process: signals, namespaces, and the environment. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := descriptors.Claim(); err != nil {
		return report(stderr, exitError{exitRun, err})
	}
	command := newCommand(stdin, stdout, stderr)
	command.SetArgs(args)
	command.SetIn(stdin)
	help := &outfile.Checked{Writer: stdout}
	command.SetOut(help)
	command.SetErr(stderr)
	return report(stderr, cmp.Or(command.Execute(), help.Err))
}
