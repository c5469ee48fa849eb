package main

import (
	"context"
	"net/netip"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/privilege"
)

const privilegesHelp = `Sending and capturing frames needs the capability CAP_NET_RAW. 'make install'
gives it to the program's file, so every user of the host can trace paths. The
program lets its users do nothing else with it:

    what                            user of the installed program    root
    trace with UDP, UDP-Lite, TCP
      SYN or ICMP echo to any host  yes                              yes
    -O with other flags than
      syn alone, or ecn             no                               yes
    --vlan, --next-hop-mac,
      --fwmark, --netns             no                               yes
    --source                        an address of this host          the same
    --interface                     yes, but no port of a bridge     yes
    --sport below 1024              with -I only                     yes
    probes of all traces together   1,000 a second, 256 at once      no limit
    replies to the trace's probes   recorded whole                   whole
    ICMP errors about packets of    headers, and of the packet's     whole
      others                        transport header 8 bytes
    other ICMP messages             none, or the 8-byte header if    whole
                                    the identifier is the trace's
    UDP, UDP-Lite, TCP of others    none, or headers if they reach   the same,
                                    the trace's own port             but whole
    files: --write, replay, …       those the user can open          any

Root, in this table, is anybody who had the right before the program started:
root, a user with CAP_NET_RAW or CAP_NET_ADMIN of his own, and root of a user
namespace, as in 'tracelab run'. What is not allowed is refused before a probe
is sent, with exit code 1.

The program looks up the addresses of all hosts, opens all interfaces that lead
to them and holds its source ports. Then it gives the capability up, in all its
threads, before it sends the first probe. If the route to a host moves later to
another interface, the host is refused, and one line says why; root's program
traces it.

A frame that --write cuts keeps its original length in the file, and the replay
shows what the trace has shown.

Probes are frames, so this host's own rules for outgoing packets (nftables, hook
output) don't see them. If the program's file is set-user-ID or set-group-ID, it
refuses to run.`

// privilegesCommand prints what an installed program may do.
func privilegesCommand() *cobra.Command {
	return &cobra.Command{Use: "privileges", Short: "What a user of the installed program may do", Long: privilegesHelp}
}

// giveUp gives up the capabilities that the program has from its file, for all that
// traces nothing.
func giveUp() error {
	borrowed, err := privilege.Borrowed()
	if err != nil || !borrowed {
		return err
	}
	return privilege.Drop()
}

// restrictBorrowed restricts the traces if the capabilities are from the program's
// file. A simulated network needs none.
func (f *flags) restrictBorrowed() error {
	if f.options.Dial != nil {
		return giveUp()
	}
	borrowed, err := privilege.Borrowed()
	f.options.Restricted = borrowed
	return err
}

// restrict opens what the traces need, if they are restricted, and gives up the
// right to open more: from then on there is nothing to gain from this process.
// release is to be called when they have ended.
func (f *flags) restrict(ctx context.Context, tracer *tracewire.Tracer, lanes []*lane) (release func() error, err error) {
	if !f.options.Restricted {
		return func() error { return nil }, nil
	}
	release = tracer.Prepare(f.resolveAll(ctx, lanes))
	return release, privilege.Drop()
}

// resolveAll finds the addresses of all lanes' hosts, and returns those that there
// are.
func (f *flags) resolveAll(ctx context.Context, lanes []*lane) (found []netip.Addr) {
	var asking sync.WaitGroup
	slots := make(chan struct{}, f.atOnce)
	for _, l := range lanes {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			l.resolve(ctx, f.resolver, f)
		})
	}
	asking.Wait()
	for _, l := range lanes {
		if l.target.IsValid() {
			found = append(found, l.target)
		}
	}
	return found
}
