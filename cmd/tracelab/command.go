package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire/cmd/internal/help"
	"github.com/tracewire/tracewire/testdata/topologies"
)

const long = `tracelab runs any program in a simulated network.

The network is a TOML file: routers, links with delays and loss, destinations,
and how each of them behaves and misbehaves. Or it is one of those that come with
tracelab ('tracelab list'), by its name, if there is no file of that name. Linux
is needed to run programs, but no privileges where the system lets users make
namespaces, and no network.`

const example = `  tracelab list
  tracelab run demo -- traceroute www.example
  tracelab run demo -- mtr -n -r -c 5 www.example
  tracelab run my.toml -- bash
  tracelab graph demo -o demo.svg`

const runLong = `run runs a command in a simulated network.

The command finds itself on the topology's host: an interface eth0 with the
host's addresses, default routes, and a resolver that knows the topology's names
and addresses (A, AAAA, PTR, and the TXT records of Team Cymru's IP to AS number
service), and nothing else. A node's name in the topology is a host name too.
Frames carry complete checksums, and replies come when the topology says.

It is root there, in user, network, mount and process namespaces of its own; to
the world outside it still is the user who runs it. Files are those outside,
but for /etc/resolv.conf, /etc/hosts and /etc/nsswitch.conf. Whatever it leaves
running ends with it.

Where the system does not let this user make namespaces, tracewire still runs, and
no other program: the network is then simulated inside tracewire itself, and a line
on stderr says so. tracewire writes the same there, but cannot trace to the host
itself.

The exit code is the command's; 128 and a signal's number if that killed it; 127
if the command is not found, 126 if it cannot be run, and 125 if tracelab itself
fails. The signals that tracelab is sent are passed on to the command, but for
those of job control, SIGPIPE, SIGURG and those that report faults.`

// newCommand returns the program's command line.
func newCommand(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:           "tracelab",
		Short:         "Run any program in a simulated network",
		Long:          long,
		Example:       example,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0])
			}
			return usagef("which command?")
		},
		// Args, which speaks of what is missing, is asked only where there is a Run.
		Run: func(*cobra.Command, []string) {},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c.SetHelpCommand(help.Command(c, func(wrong string) error { return usagef("%s", wrong) }))
	c.AddCommand(runCommand(stdin, stdout, stderr), checkCommand(), graphCommand(stdout), listCommand(stdout), showCommand(stdout))
	help.CheckCompletion(c, func(wrong string) error { return usagef("%s", wrong) })
	return c
}

func runCommand(stdin io.Reader, stdout, stderr io.Writer) *cobra.Command {
	var stats bool
	c := &cobra.Command{
		Use:                   "run [flags] TOPOLOGY -- COMMAND [ARG…]",
		DisableFlagsInUseLine: true,
		Short:                 "Run a command in a simulated network",
		Long:                  runLong,
		Example:               "  tracelab run chain -- traceroute web.example\n  tracelab run chain -- bash",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 && args[1] == "--" {
				args = append(args[:1:1], args[2:]...)
			}
			switch len(args) {
			case 0:
				return exitError{exitRun, usagef("which topology?")}
			case 1:
				return exitError{exitRun, usagef("which command is to run in %s?", args[0])}
			}
			return runIn(lab{args[0], args[1:], stats}, stdin, stdout, stderr)
		},
		ValidArgsFunction: completeTopologies,
	}
	c.Flags().SetInterspersed(false) // what follows the topology is the command's
	c.Flags().BoolVar(&stats, "stats", false, "say in the end, on stderr, what the network has carried")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitError{exitRun, usageError{err}} })
	return c
}

// lab is what run is asked for.
type lab struct {
	topology string // as on the command line
	command  []string
	stats    bool
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Say what is wrong with topologies, if anything",
		Long: "check reads topologies and says what is wrong with them: a line for each fault,\n" +
			"FILE:LINE:COLUMN: REASON. It exits with 1 if there is any, and says nothing if not.",
		Example: "  tracelab check my.toml",
		Args:    atLeastOne("which file?"),
		RunE: func(_ *cobra.Command, args []string) error {
			var found []error
			for _, word := range args {
				if _, err := load(word); err != nil {
					found = append(found, located(err))
				}
			}
			if err := errors.Join(found...); err != nil {
				return faults{err}
			}
			return nil
		},
	}
}

// located is an error that begins with a file, as check's do.
func located(err error) error {
	var file *fs.PathError
	switch {
	case errors.As(err, new(unknownTopology)):
		return fmt.Errorf("tracelab: %w", err)
	case errors.As(err, &file):
		return fmt.Errorf("%s: %w", file.Path, file.Err)
	}
	return err
}

func listCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the topologies that come with tracelab",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
			for _, name := range topologies.Names() {
				t, err := loadShipped(name)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\t%s\n", name, t.Description)
			}
			return w.Flush()
		},
	}
}

func showCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:               "show TOPOLOGY",
		Short:             "Print the file of a topology, to start another from",
		Example:           "  tracelab show chain >my.toml",
		Args:              exactlyOne("which topology?"),
		ValidArgsFunction: completeTopologies,
		RunE: func(_ *cobra.Command, args []string) error {
			_, data, err := source(args[0])
			if err != nil {
				return err
			}
			_, err = stdout.Write(data)
			return err
		},
	}
}

func none(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("too many arguments: %q", args)
	}
	return nil
}

func atLeastOne(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s", missing)
		}
		return nil
	}
}

func exactlyOne(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usagef("%s", missing)
		case 1:
			return nil
		}
		return usagef("too many arguments: %q", args[1:])
	}
}
