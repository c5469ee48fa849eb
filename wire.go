package tracewire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

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

	// Port is the UDP port to send from. Nothing else on this host uses it.
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
	socket, port, err := holdPort(r.Source, o)
	if err != nil {
		return nil, err
	}
	w := &Wire{MTU: r.MTU, Port: port, release: []io.Closer{socket}, Source: path.Source{
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
			Filter:    fmt.Sprintf("icmp or (udp and port %d)", port),
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

// holdPort binds the UDP port that probes are to come from: the one that o
// names, else the first of those it suggests that is free. The socket is never
// read; it keeps others off the port, and the kernel from answering for us.
func holdPort(source netip.Addr, o *Options) (io.Closer, uint16, error) {
	if o.SrcPort != 0 {
		c, err := bind(source, uint16(o.SrcPort))
		return c, uint16(o.SrcPort), err
	}
	var err error
	for port := range o.ports {
		var c io.Closer
		if c, err = bind(source, port); err == nil {
			return c, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, 0, err
}

func bind(source netip.Addr, port uint16) (io.Closer, error) {
	at := netip.AddrPortFrom(source, port)
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	switch {
	case err == nil:
		_ = c.SetReadBuffer(0) // the smallest there is; nobody will read it
		return c, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("tracewire: source port %d is used by another program: %w", port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("tracewire: source %v: %w", source, route.ErrSource)
	}
	return nil, fmt.Errorf("tracewire: source port %d: %w", port, err)
}
