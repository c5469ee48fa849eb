// Package tracewire traces the path that packets take to a host.
//
// It builds each probe as a complete frame, injects it through libpcap,
// captures what comes back, and computes every round trip from the kernel's
// stamp of the probe to the kernel's stamp of the reply.
//
//	p, err := tracewire.Trace(ctx, netip.MustParseAddr("192.0.2.1"), nil)
//	for _, hop := range p.Hops() { … }
//
// Tracing needs Linux and the right to open packet sockets (CAP_NET_RAW).
package tracewire

import (
	"context"
	"iter"
	"net/netip"

	"github.com/tracewire/tracewire/matcher/path"
)

// The results of a trace. Package path describes them.
type (
	Path  = path.Path
	Event = path.Event
)

// Trace traces the path to dst; nil Options are the defaults.
//
// When ctx ends or something fails while the trace runs, what is known by then
// is returned together with the error. The Path is nil if nothing was sent.
func Trace(ctx context.Context, dst netip.Addr, o *Options) (*Path, error) {
	var p *Path
	err := Run(ctx, func(yield func(netip.Addr) bool) { yield(dst) }, o, func(e Event) {
		if e.Kind == path.Ended {
			p = e.Path
		}
	})
	return p, err
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
