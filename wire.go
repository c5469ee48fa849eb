package tracewire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
)

// Wire is the way to a target.
type Wire struct {
	// Conn is what a trace captures and sends on. It is closed with the last trace
	// on it, if it is an io.Closer.
	Conn   Conn
	Source path.Source // all of it
	MTU    int         // the longest IP packet; 0 if there is no limit

	// Port is the port to send from, which nothing else on this host uses; of
	// ICMP the identifier. 0 is the one that the Options name or, if they name none,
	// the first that follows from the seed.
	Port uint16
	VLAN uint16 // of a tag in every frame; 0 for none

	held io.Closer // the port; nil if it is not
}

// Close lets go of the port.
func (w *Wire) Close() error {
	if w.held == nil {
		return nil
	}
	return w.held.Close()
}

// Conn captures and injects frames: a live handle, or a simulated network.
type Conn interface {
	capture.Source
	capture.Injector
}

// link is the link header of frames to the target.
func (w *Wire) link() craft.Link {
	if len(w.Source.MAC) == 0 {
		return craft.Link{}
	}
	return craft.Link{Src: w.Source.MAC, Dst: w.Source.NextHopMAC, VLAN: w.VLAN}
}

// dialLive opens the way to a target that the kernel's routes name, from the
// network namespace that the Options name.
func (t *Tracer) dialLive(ctx context.Context, dst netip.Addr) (w *Wire, p *tap, err error) {
	err = netns.Do(t.options.Namespace, func() error {
		w, p, err = t.dialHere(ctx, dst)
		return err
	})
	return w, p, err
}

// dialHere is dialLive from the network namespace of the calling thread.
func (t *Tracer) dialHere(ctx context.Context, dst netip.Addr) (*Wire, *tap, error) {
	o := &t.options
	r, held, port, err := t.routeAndPort(dst)
	if err != nil {
		return nil, nil, err
	}
	w := &Wire{MTU: r.MTU, Port: port, VLAN: o.VLAN, held: held, Source: path.Source{
		Addr: r.Source, Interface: r.Device(), MAC: r.MAC, NextHop: r.NextHop, NextHopMAC: o.NextHopMAC, Also: t.receivers(&r),
	}}
	p, err := t.open(ctx, r, w, o.end(dst, &r, port))
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	w.Conn = p.conn
	return w, p, nil
}

// receivers are the interfaces besides that of a route by which replies can arrive.
// Where the system doesn't say so, there are none.
func (t *Tracer) receivers(r *route.Route) []string {
	if t.prepared != nil {
		return t.prepared.also[r.Device()]
	}
	also, err := r.Receivers()
	if err != nil {
		return nil
	}
	return also
}

// routeAndPort looks up the route to a target, and holds the port that the probes are to
// come from: the route may depend on the port, and the port is held at the address
// that the route names. Where a port is taken, the route from the next one may be
// another.
func (t *Tracer) routeAndPort(dst netip.Addr) (r route.Route, held io.Closer, port uint16, err error) {
	for port = range portsToTry(&t.options, t.options.Seed) {
		if r, err = t.options.route(dst, port); err != nil {
			break
		}
		source := r.Scoped(r.Source)
		if prepared, ok := t.prepared.port(source); ok && port != prepared {
			continue // another was held there when the right to hold one was given up
		}
		held, err = t.holdPort(source, port)
		if !errors.Is(err, syscall.EADDRINUSE) || t.options.SrcPort != 0 {
			break
		}
	}
	return r, held, port, err
}

// route is the way to a target, of probes from a port.
func (o *Options) route(dst netip.Addr, port uint16) (route.Route, error) {
	to := dst
	if len(o.Gateways) > 0 {
		to = o.Gateways[0]
	}
	r, err := route.Lookup(to, route.Options{Source: o.Source, Interface: o.Interface, Mark: o.Mark, Flow: o.Flow(dst, port)})
	switch {
	case err != nil:
		return r, err
	case r.Kind != route.Ethernet && (o.VLAN != 0 || o.NextHopMAC != nil):
		return r, fmt.Errorf("%w: %s has no link header for a VLAN or a MAC address", ErrOptions, r.Device())
	case o.Restricted && r.Port != "":
		return r, fmt.Errorf("tracewire: sending by %s, past %s, %w", r.Port, r.Interface, ErrPrivilege)
	}
	return r, nil
}

// Flow returns what a route to a target may depend on besides addresses, for probes
// from a port; 0 is the port that SrcPort, or else Seed, says. Of Classic probes, of
// which each is a flow of its own, it is the first: all of them leave by its route.
func (o *Options) Flow(dst netip.Addr, port uint16) route.Flow {
	f := route.Flow{Protocol: o.protocolTo(dst), TOS: uint8(o.TOS), FlowLabel: uint32(o.FlowLabel)}
	if o.protocol() == layers.IPProtocolICMPv4 {
		return f
	}
	if port == 0 && (o.SrcPort != 0 || o.Seed != 0) {
		port = firstPort(o, o.Seed)
	}
	f.SrcPort, f.DstPort = port, o.dstPort()
	return f
}

// end is this host's end of the flow to a target, by a route; zero if it is
// captured anyway, as all ICMP is unless the Options are restricted.
func (o *Options) end(dst netip.Addr, r *route.Route, port uint16) capture.End {
	if o.protocol() == layers.IPProtocolICMPv4 && !o.Restricted {
		return capture.End{}
	}
	return capture.End{Protocol: o.protocolTo(dst), Addr: r.Source, Port: port}
}

// open opens the handles on the interface of a route, unless they are open, and
// meanwhile has the kernel resolve the next hop, if it is one that has an address
// and it isn't known: both take milliseconds.
func (t *Tracer) open(ctx context.Context, r route.Route, w *Wire, end capture.End) (*tap, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, made, err := t.reserve(ctx, wanted{key: devicesOf(r.Device(), w.Source.Also), end: end, source: &w.Source})
	if err != nil {
		return nil, err
	}
	begin := func() {}
	if made {
		begin = t.beginLive(p, &r, w.Source.Also)
	}
	var wait sync.WaitGroup
	var openErr error
	wait.Go(func() {
		begin()
		if openErr = t.opened(p); openErr != nil {
			cancel() // nobody needs the neighbour any more
		}
	})
	if r.Kind == route.Ethernet && w.Source.NextHopMAC == nil {
		w.Source.NextHopMAC, err = r.Neighbour(ctx)
	}
	wait.Wait()
	switch {
	case openErr != nil:
		return nil, openErr
	case err != nil:
		return nil, errors.Join(err, t.release(p))
	}
	return p, nil
}

// inherit makes a Conn be opened in the network namespace that the calling thread
// alone is in, if it is one with a name, whichever goroutine opens it. It has to be
// opened.
func (t *Tracer) inherit(open func() (Conn, error)) func() (Conn, error) {
	if t.options.Namespace == "" {
		return open
	}
	var c Conn
	there, err := netns.Inherit(func() (err error) {
		c, err = open()
		return err
	})
	if err != nil {
		return func() (Conn, error) { return nil, err }
	}
	return func() (Conn, error) {
		err := there()
		return c, err
	}
}

// beginLive returns what begins to capture on the interface of a route and others: the
// probes from the tap's ends, what may answer them, and ICMP errors; all other ICMP
// too, unless the Options are restricted.
func (t *Tracer) beginLive(p *tap, r *route.Route, also []string) (begin func()) {
	filter := capture.FilterICMP
	if t.options.Restricted {
		filter = capture.FilterErrors
	}
	o := capture.LiveOptions{Interface: r.Device(), MAC: r.MAC, Filter: capture.FilterEnds(filter, p.ends...)}
	open := []func() (Conn, error){t.inherit(func() (Conn, error) { return capture.OpenLive(o) })}
	for _, name := range also {
		o := o
		o.Interface, o.MAC, o.ReceiveOnly, o.Buffer = name, nil, true, receiveBuffer
		open = append(open, t.inherit(func() (Conn, error) { return capture.OpenLive(o) }))
	}
	return func() { p.begin(func() (Conn, error) { return openAll(open) }) }
}

// receiveBuffer is the ring in bytes of an interface that only replies come by.
const receiveBuffer = 1 << 20

// openAll opens what is captured on, all at the same time: each takes milliseconds.
// The first is what probes leave by. Another that is down or gone by now is left out.
func openAll(open []func() (Conn, error)) (Conn, error) {
	conns, errs := make([]Conn, len(open)), make([]error, len(open))
	var wait sync.WaitGroup
	for i := range open {
		wait.Go(func() { conns[i], errs[i] = open[i]() })
	}
	wait.Wait()
	if len(open) == 1 {
		return conns[0], errs[0]
	}
	sources := make([]capture.Source, len(conns))
	var failed error
	for i, err := range errs {
		sources[i] = conns[i]
		if i > 0 && (errors.Is(err, capture.ErrDown) || errors.Is(err, capture.ErrGone)) {
			sources[i], err = nothing{}, nil
		}
		failed = cmp.Or(failed, err)
	}
	if failed == nil {
		return capture.Merge(conns[0], sources[1:]...), nil
	}
	for i, err := range errs {
		if c, ok := conns[i].(io.Closer); ok && err == nil {
			failed = errors.Join(failed, c.Close())
		}
	}
	return nil, failed
}

// nothing is a Source of no frames.
type nothing struct{}

// Frames implements capture.Source.
func (nothing) Frames(context.Context) iter.Seq2[frame.Frame, error] {
	return func(func(frame.Frame, error) bool) {}
}

// maxAddresses is how many addresses of this host a filter names: with more it takes
// milliseconds to compile.
const maxAddresses = 8

// ends are what a tap for an end captures: unless the Options are restricted, also
// the same end at this host's other addresses, from which another trace may run
// before this one is over; but for those that hardly any trace runs from.
func (t *Tracer) ends(end capture.End) []capture.End {
	if end == (capture.End{}) {
		return nil
	}
	ends := []capture.End{end}
	if t.options.Restricted {
		return ends
	}
	addresses, _ := net.InterfaceAddrs() // none if it fails
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || prefix.Addr() == end.Addr || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		ends = append(ends, capture.End{Protocol: end.Protocol, Addr: prefix.Addr(), Port: end.Port})
	}
	if len(ends) > maxAddresses {
		return []capture.End{{Protocol: end.Protocol, Port: end.Port}}
	}
	return ends
}
