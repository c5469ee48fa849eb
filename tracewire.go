// Package tracewire traces the path that packets take to a host.
//
// It builds each probe as a complete frame, injects it through libpcap,
// captures what comes back, and computes every round trip from the kernel's
// stamp of the probe to the kernel's stamp of the reply.
//
//	p, err := tracewire.Trace(ctx, "example.net", nil)
//	if p != nil {
//		fmt.Println(p)
//	}
//
// Tracing needs Linux and the right to open packet sockets (CAP_NET_RAW). [Open] and
// [Replay] read captures anywhere.
//
// # Files
//
// From top to bottom, each uses only what is in itself and in those below it:
//
//	tracewire.go   Trace, Run and Open: a path in one call
//	tracer.go      Tracer: any number of traces, at the same time
//	replay.go      Replay: the traces in a capture
//	frames.go      Frames and Resolve: the probes that a trace would send, and their way
//	options.go     Options
//	wire.go        Wire: the way to a target
//	results.go     Path, Event, Recording; Diff and MTUs
package tracewire

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/matcher/path"
)

// Trace traces the path to a host: a name, which is looked up, or an address. Nil
// Options are the defaults. Of several addresses it takes the first of IPv4, or if there
// is none the first of IPv6; with [Options.Source], of the source's family.
//
// When ctx ends or something fails while the trace runs, what is known by then
// is returned together with the error. The Path is nil if nothing was sent. The errors
// are those of [Tracer.Trace], and for a name those of [net.Resolver.LookupNetIP].
func Trace(ctx context.Context, host string, o *Options) (*Path, error) {
	t, err := NewTracer(o)
	if err != nil {
		return nil, err
	}
	addr, err := t.options.lookUp(ctx, host)
	if err != nil {
		return nil, err
	}
	var p *Path
	err = t.Trace(ctx, Target{Addr: addr, Host: host}, func(e Event) {
		if e.Kind == path.Ended {
			p = e.Path
		}
	})
	return p, err
}

// lookUp returns the address of a host.
func (o *Options) lookUp(ctx context.Context, host string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, nil
	}
	family := "ip"
	if o.Source.Is4() {
		family = "ip4"
	} else if o.Source.Is6() {
		family = "ip6"
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("tracewire: %w", err)
	}
	for _, addr := range all {
		if addr.Unmap().Is4() {
			return addr.Unmap(), nil
		}
	}
	return all[0], nil
}

// Run traces the paths to targets, one after the other, and calls emit for
// each event (see Tracer.Trace). It stops at the first error, and when ctx ends.
func Run(ctx context.Context, targets iter.Seq[netip.Addr], o *Options, emit func(Event)) error {
	t, err := NewTracer(o)
	if err != nil {
		return err
	}
	for dst := range targets {
		if err := t.Trace(ctx, Target{Addr: dst}, emit); err != nil {
			return err
		}
	}
	return nil
}

// Open returns the traces in a capture file, in the order in which they began: a
// recording, or a capture of any program's traces (see [Replay]). It reads pcap and pcapng,
// compressed by gzip or zstd or not. If the file can't be read to its end, the traces that
// were found by then are returned together with the error.
func Open(name string) (traces []*Path, err error) {
	file, err := capture.OpenFile(name)
	if err != nil {
		return nil, err
	}
	err = Replay(context.Background(), file, &ReplayOptions{Paths: true}, func(e Event) {
		if e.Kind == path.Ended {
			traces = append(traces, e.Path.Clone())
		}
	})
	return traces, errors.Join(err, file.Close())
}
