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
func (w *Wire) link() craft.Link { return craft.Link{Src: w.Source.MAC, Dst: w.Source.NextHopMAC} }

// DialLive opens the way to a target through the interface that the kernel's
// routes name. The ports that it tries come from o; errors wrap those of
// capture and craft/route.
//
// What takes time is done at once: libpcap's handles open while the kernel
// resolves the next hop.
func DialLive(ctx context.Context, dst netip.Addr, o *Options) (*Wire, error) {
	r, err := route.Lookup(dst, route.Options{Source: o.Source, Interface: o.Interface})
	if err != nil {
		return nil, err
	}
	held, port, err := holdPort(r.Source, o)
	if err != nil {
		return nil, err
	}
	w := &Wire{MTU: r.MTU, Port: port, release: held, Source: path.Source{
		Addr: r.Source, Interface: r.Interface, MAC: r.MAC, NextHop: r.NextHop,
	}}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wait    sync.WaitGroup
		live    *capture.Live
		liveErr error
	)
	wait.Go(func() {
		live, liveErr = capture.OpenLive(capture.LiveOptions{
			Interface: r.Interface,
			Filter:    filter(o.protocolTo(dst), port),
		})
		if liveErr != nil {
			cancel() // nobody needs the neighbour any more
		}
	})
	mac, err := r.Neighbour(ctx)
	wait.Wait()
	if liveErr == nil {
		w.Conn = live
	} else {
		err = liveErr
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	w.Source.NextHopMAC = mac
	return w, nil
}

// filter is what a trace captures: its probes, what may answer them, and all ICMP
// of its family.
func filter(protocol layers.IPProtocol, port uint16) string {
	switch protocol {
	case layers.IPProtocolUDP:
		return fmt.Sprintf("icmp or icmp6 or (udp and port %d)", port)
	case layers.IPProtocolTCP:
		return fmt.Sprintf("icmp or icmp6 or (tcp and port %d)", port)
	}
	return "icmp or icmp6"
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
