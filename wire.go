package tracewire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"syscall"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
)

// Wire is an open way to a target.
type Wire struct {
	Conn   Conn
	Source path.Source // all of it
	MTU    int         // the longest IP packet; 0 if there is no limit

	// Port is the port to send from, which nothing else on this host uses; of
	// ICMP the identifier.
	Port uint16
	VLAN uint16 // of a tag in every frame; 0 for none

	release []io.Closer
}

// Conn captures and injects frames: a live handle, or a simulated network.
type Conn interface {
	capture.Source
	capture.Injector
}

// Close releases the Wire. A Conn that is an io.Closer is closed.
func (w *Wire) Close() error {
	var all []error
	if c, ok := w.Conn.(io.Closer); ok {
		all = append(all, c.Close())
	}
	for _, c := range w.release {
		all = append(all, c.Close())
	}
	return errors.Join(all...)
}

// dropped is how many frames the capture lost.
func (w *Wire) dropped() int {
	if c, ok := w.Conn.(interface {
		Stats() (capture.Stats, error)
	}); ok {
		if s, err := c.Stats(); err == nil {
			return s.Dropped
		}
	}
	return 0
}

// link is the link header of frames to the target.
func (w *Wire) link() craft.Link {
	if len(w.Source.MAC) == 0 {
		return craft.Link{}
	}
	return craft.Link{Src: w.Source.MAC, Dst: w.Source.NextHopMAC, VLAN: w.VLAN}
}

// DialLive opens the way to a target that the kernel's routes name, from the
// network namespace that o names. The ports that it tries come from o; errors
// wrap those of capture, capture/netns and craft/route.
func DialLive(ctx context.Context, dst netip.Addr, o *Options) (w *Wire, err error) {
	dial := func() error {
		w, err = dialHere(ctx, dst, o)
		return err
	}
	if o.Namespace == "" {
		return w, dial()
	}
	return w, netns.Do(o.Namespace, dial)
}

// dialHere is DialLive from the network namespace of the calling thread.
//
// What takes time is done at once: libpcap's handles open while the kernel
// resolves the next hop.
func dialHere(ctx context.Context, dst netip.Addr, o *Options) (*Wire, error) {
	to := dst
	if len(o.Gateways) > 0 {
		to = o.Gateways[0]
	}
	r, err := route.Lookup(to, route.Options{Source: o.Source, Interface: o.Interface, Mark: o.Mark})
	if err != nil {
		return nil, err
	}
	held, port, err := holdPort(r.Scoped(r.Source), o)
	if err != nil {
		return nil, err
	}
	w := &Wire{MTU: r.MTU, Port: port, VLAN: o.VLAN, release: held, Source: path.Source{
		Addr: r.Source, Interface: r.Device(), MAC: r.MAC, NextHop: r.NextHop, NextHopMAC: o.NextHopMAC,
	}}
	if r.Kind != route.Ethernet && (o.VLAN != 0 || o.NextHopMAC != nil) {
		w.Close()
		return nil, fmt.Errorf("%w: %s has no link header for a VLAN or a MAC address", ErrOptions, r.Device())
	}
	open := capture.LiveOptions{Interface: r.Device(), MAC: r.MAC, Filter: filter(o.protocolTo(dst), port)}
	if err := w.open(ctx, r, open, o.Namespace != ""); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// open opens the handles, and meanwhile has the next hop resolved if it is one
// that has an address and it isn't known. In a network namespace that the thread
// alone is in, other goroutines have to be taken along.
func (w *Wire) open(ctx context.Context, r route.Route, o capture.LiveOptions, elsewhere bool) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wait    sync.WaitGroup
		live    *capture.Live
		liveErr error
	)
	openLive := func() (err error) {
		live, err = capture.OpenLive(o)
		return err
	}
	if elsewhere {
		if openLive, err = netns.Inherit(openLive); err != nil {
			return err
		}
	}
	wait.Go(func() {
		if liveErr = openLive(); liveErr != nil {
			cancel() // nobody needs the neighbour any more
		}
	})
	if r.Kind == route.Ethernet && w.Source.NextHopMAC == nil {
		w.Source.NextHopMAC, err = r.Neighbour(ctx)
	}
	wait.Wait()
	if liveErr != nil {
		return liveErr
	}
	w.Conn = live
	return err
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

// holdPort takes the port that probes are to come from: the one that o names,
// else the first of those it suggests that is free. The socket that holds it is
// never read, nor listened on; it keeps others off the port, and of UDP the kernel from
// answering for us.
func holdPort(source netip.Addr, o *Options) (held []io.Closer, port uint16, err error) {
	for port = range o.ports {
		if o.SrcPort != 0 {
			port = uint16(o.SrcPort)
		}
		if o.protocol() == layers.IPProtocolICMPv4 {
			return nil, port, nil // an identifier is nobody's
		}
		var c io.Closer
		if c, err = bind(o.protocol(), netip.AddrPortFrom(source, port)); err == nil {
			return []io.Closer{c}, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || o.SrcPort != 0 {
			break
		}
	}
	return nil, 0, err
}

// bindError says why a port can't be held.
func bindError(at netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("tracewire: source port %d is used by another program: %w", at.Port(), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("tracewire: source %v: %w", at.Addr(), route.ErrSource)
	}
	return fmt.Errorf("tracewire: source port %d: %w", at.Port(), err)
}
