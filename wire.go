package tracewire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
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
	o, to := &t.options, dst
	if len(o.Gateways) > 0 {
		to = o.Gateways[0]
	}
	r, err := route.Lookup(to, route.Options{Source: o.Source, Interface: o.Interface, Mark: o.Mark})
	if err != nil {
		return nil, nil, err
	}
	if r.Kind != route.Ethernet && (o.VLAN != 0 || o.NextHopMAC != nil) {
		return nil, nil, fmt.Errorf("%w: %s has no link header for a VLAN or a MAC address", ErrOptions, r.Device())
	}
	held, port, err := t.holdPort(r.Scoped(r.Source))
	if err != nil {
		return nil, nil, err
	}
	w := &Wire{MTU: r.MTU, Port: port, VLAN: o.VLAN, held: held, Source: path.Source{
		Addr: r.Source, Interface: r.Device(), MAC: r.MAC, NextHop: r.NextHop, NextHopMAC: o.NextHopMAC,
	}}
	p, err := t.open(ctx, r, w, filter(o.protocolTo(dst), port))
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	w.Conn = p.conn
	return w, p, nil
}

// open opens the handles on the interface of a route, unless they are open, and
// meanwhile has the kernel resolve the next hop, if it is one that has an address
// and it isn't known: both take milliseconds.
func (t *Tracer) open(ctx context.Context, r route.Route, w *Wire, filter string) (*tap, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, made, err := t.reserve(ctx, wanted{key: r.Device(), filter: filter, source: &w.Source})
	if err != nil {
		return nil, err
	}
	begin := func() {}
	if made {
		openLive := t.inherit(func() (Conn, error) {
			return capture.OpenLive(capture.LiveOptions{Interface: r.Device(), MAC: r.MAC, Filter: filter})
		})
		begin = func() { p.begin(openLive) }
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

// filter is what a trace captures: its probes, what may answer them, and all
// ICMP.
func filter(protocol layers.IPProtocol, port uint16) string {
	switch protocol {
	case layers.IPProtocolUDP:
		return fmt.Sprintf("%s or (udp and port %d)", capture.FilterICMP, port)
	case layers.IPProtocolTCP:
		return fmt.Sprintf("%s or (tcp and port %d)", capture.FilterICMP, port)
	}
	return capture.FilterICMP
}
