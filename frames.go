package tracewire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"

	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/engine"
	"github.com/tracewire/tracewire/matcher/path"
)

// Crafted is a probe of a trace, as it would be sent.
type Crafted = engine.Crafted

// Frames builds the probes that a trace to dst sends, and sends none: byte for
// byte what Run injects with the same Options, seed included, if the path needs
// all of them. They come round by round and TTL by TTL; Run sends them in the
// order that the replies allow. Nil Options are the defaults.
//
// Of the Wire only Source, MTU and Port are looked at. A Port of 0 is the one
// that a trace tries first. The Parameters are those that the Path of the trace
// would have. The errors wrap ErrOptions, ErrTarget and those of package craft.
func Frames(dst netip.Addr, w *Wire, o *Options) (path.Parameters, iter.Seq2[Crafted, error], error) {
	if o == nil {
		o = &Options{}
	}
	dst = dst.Unmap()
	p, err := o.validate()
	if err := cmp.Or(err, checkTarget(dst), o.checkFamily(dst)); err != nil {
		return p, nil, err
	}
	if p.MTU && w.MTU == 0 && p.Length == 0 {
		return p, nil, fmt.Errorf("%w: without a route the MTU of the link is not known: a packet length says it", ErrOptions)
	}
	if p.Seed == 0 {
		p.Seed = craft.RandomSeed()
	}
	on := *w
	if on.Port == 0 {
		on.Port = craft.FirstSourcePort(p.Seed, p.SrcPort)
	}
	c, p, err := o.crafter(&on, dst, p, 1)
	if err != nil {
		return p, nil, err
	}
	return p, c.All(p.Queries), nil
}

// crafter makes the Crafter of the trace with a number, from 1, of a run. The
// parameters are those of the run, with its seed; those of the trace are returned.
func (o *Options) crafter(w *Wire, dst netip.Addr, p path.Parameters, number int) (*engine.Crafter, path.Parameters, error) {
	series, err := p.Series(o.protocolTo(dst).Number, dst)
	if err != nil {
		return nil, p, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	series.Probe.Src, series.Probe.SrcPort = w.Source.Addr, w.Port
	if err := series.Fit(w.MTU, p.MTU); err != nil {
		if tooLong, ok := errors.AsType[*MTUError](err); ok {
			tooLong.Interface = w.Source.Interface
			return nil, p, err
		}
		return nil, p, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	rounds := p.Queries
	if p.MTU {
		rounds = plan.MaxRounds(p.Queries)
	}
	series.Number(number, rounds)
	series.ID = series.FirstID()
	builder, err := series.Builder(w.link())
	if err != nil {
		return nil, p, err
	}
	p.Seed, p.SrcPort, p.ID, p.Length = series.Seed, series.Probe.SrcPort, series.ID, series.Probe.Length
	return &engine.Crafter{Series: series, Builder: builder}, p, nil
}

// Network is a Conn in a network that is no kernel's, such as a simulated one
// (capture/capturetest). Way returns the way to a target: the address and the link
// addresses that probes have, and the longest IP packet, or 0 if there is no limit.
type Network interface {
	Conn
	Way(dst netip.Addr) (source netip.Addr, mac, nextHopMAC net.HardwareAddr, mtu int)
}

// Through returns what has Options trace through a network. It is for Options.Dial.
func Through(n Network) func(context.Context, netip.Addr, *Options) (*Wire, error) {
	return func(_ context.Context, dst netip.Addr, o *Options) (*Wire, error) {
		source, mac, nextHopMAC, mtu := n.Way(dst)
		return &Wire{Conn: n, MTU: mtu, VLAN: o.VLAN, Source: path.Source{Addr: source, MAC: mac, NextHop: dst, NextHopMAC: nextHopMAC}}, nil
	}
}

// Resolve looks up the way that a trace to dst would take, and opens nothing: the Wire
// has no Conn, and its Port is the first that a trace would try, which follows from
// [Options.Seed]. The next hop's link address is known only if the Options name it: see
// [Wire.ResolveNextHop]. Nil Options are the defaults. The errors are those of
// [Tracer.Trace].
func Resolve(dst netip.Addr, o *Options) (*Wire, error) {
	if o == nil {
		o = &Options{}
	}
	on := *o
	if _, err := on.validate(); err != nil {
		return nil, err
	}
	if on.Seed == 0 {
		on.Seed = craft.RandomSeed()
	}
	way, err := device.Resolve(dst.Unmap(), on.way())
	if err != nil {
		return nil, err
	}
	w := wireOf(way, &on)
	w.way = way
	return w, nil
}

// wireOf is the Wire of a way that the kernel's routes name.
func wireOf(w *device.Way, o *Options) *Wire {
	return &Wire{MTU: w.MTU, Port: w.Port, VLAN: o.VLAN, Source: path.Source{
		Addr: w.Source, Interface: w.Interface, MAC: w.MAC, NextHop: w.NextHop, NextHopMAC: w.NextHopMAC, Also: w.Also,
	}}
}
