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
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program, but for what "tracelab run" shares with its
// process: signals, namespaces, and the environment. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command := newCommand(stdin, stdout, stderr)
	command.SetArgs(args)
	command.SetIn(stdin)
	command.SetOut(stdout)
	command.SetErr(stderr)
	return report(stderr, command.Execute())
}
