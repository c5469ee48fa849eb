package device

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/craft/route"
)

// Way is the way to a target.
type Way struct {
	Device *Device // nil if it was only resolved
	Link
	Source     netip.Addr
	NextHop    netip.Addr       // the target itself if it is on the link
	NextHopMAC net.HardwareAddr // nil where frames have no addresses
	MTU        int              // the longest IP packet; 0 if there is no limit
	Port       uint16           // to send from, which nothing else on this host uses; of ICMP the identifier

	set   *Set
	route route.Route // of one that was only resolved
	held  io.Closer   // the port; nil if it is not
}

// Close releases the Device and the port.
func (w *Way) Close() (err error) {
	if w.Device != nil {
		err = w.set.Release(w.Device)
	}
	if w.held != nil {
		err = errors.Join(err, w.held.Close())
	}
	return err
}

// Dial opens the way to a target that the kernel's routes name. The caller is to close
// it. The errors wrap those of the packages capture, capture/netns and craft/route.
func (s *Set) Dial(ctx context.Context, dst netip.Addr) (w *Way, err error) {
	err = netns.Do(s.options.Namespace, func() error {
		w, err = s.dial(ctx, dst)
		return err
	})
	return w, err
}

// dial is Dial from the network namespace of the calling thread.
func (s *Set) dial(ctx context.Context, dst netip.Addr) (*Way, error) {
	r, held, port, err := s.routeAndPort(dst)
	if err != nil {
		return nil, err
	}
	w := s.way(&r, port)
	w.held = held
	if err := s.openWay(ctx, &r, w, s.options.end(dst, &r, port)); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// way is the way by a route.
func (s *Set) way(r *route.Route, port uint16) *Way {
	return &Way{
		Link:   Link{Interface: r.Device(), MAC: r.MAC, Also: s.receivers(r)},
		Source: r.Source, NextHop: r.NextHop, NextHopMAC: s.options.NextHopMAC, MTU: r.MTU, Port: port, set: s,
	}
}

// Resolve is Dial without opening anything: the port is the first that Dial would try,
// and is not held; the next hop's address is not asked for (see ResolveNextHop).
func Resolve(dst netip.Addr, o Options) (w *Way, err error) {
	s := NewSet(o, nil)
	err = netns.Do(o.Namespace, func() error {
		for port := range o.Ports {
			r, err := o.route(dst, port)
			if err != nil {
				return err
			}
			w = s.way(&r, port)
			w.route = r
			break
		}
		return nil
	})
	return w, err
}

// ResolveNextHop has the kernel resolve the next hop of a Way that Resolve returned,
// where frames have addresses and it is not known.
func (w *Way) ResolveNextHop(ctx context.Context) (err error) {
	if w.route.Kind != route.Ethernet || w.NextHopMAC != nil {
		return nil
	}
	return netns.Do(w.set.options.Namespace, func() error {
		w.NextHopMAC, err = w.route.Neighbour(ctx)
		return err
	})
}

// receivers are the interfaces besides that of a route by which replies can arrive.
// If the system doesn't list them, receivers returns none.
func (s *Set) receivers(r *route.Route) []string {
	if s.prepared != nil {
		return s.prepared.also[r.Device()]
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
func (s *Set) routeAndPort(dst netip.Addr) (r route.Route, held io.Closer, port uint16, err error) {
	for port = range s.options.Ports {
		if r, err = s.options.route(dst, port); err != nil {
			break
		}
		source := r.Scoped(r.Source)
		if prepared, ok := s.prepared.port(source); ok && port != prepared {
			continue // another was held there when the right to hold one was given up
		}
		held, err = s.holdPort(s.options.Protocol(dst), source, port)
		if !errors.Is(err, syscall.EADDRINUSE) || s.options.Fixed {
			break
		}
	}
	return r, held, port, err
}

// openWay opens the handles on the interface of a route, unless they are open, and
// meanwhile has the kernel resolve the next hop, if it is one that has an address
// and it isn't known: both take milliseconds.
func (s *Set) openWay(ctx context.Context, r *route.Route, w *Way, end capture.End) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, made, err := s.reserve(ctx, wanted{key: interfacesOf(w.Interface, w.Also), end: end, link: w.Link, source: w.Source})
	if err != nil {
		return err
	}
	begin := func() {}
	if made {
		begin = s.beginLive(d, r, w.Also)
	}
	var wait sync.WaitGroup
	var openErr error
	wait.Go(func() {
		begin()
		if openErr = s.opened(d); openErr != nil {
			cancel() // stop resolving the neighbour
		}
	})
	if r.Kind == route.Ethernet && w.NextHopMAC == nil {
		w.NextHopMAC, err = r.Neighbour(ctx)
	}
	wait.Wait()
	if openErr != nil {
		return openErr
	}
	w.Device = d
	return err
}

// inherit makes a Conn be opened in the network namespace that the calling thread
// alone is in, if it is one with a name, whichever goroutine opens it. It has to be
// opened.
func (s *Set) inherit(open func() (Conn, error)) func() (Conn, error) {
	if s.options.Namespace == "" {
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
// probes from the Device's ends, what may answer them, and ICMP errors; all other ICMP
// too, unless the Options are restricted.
func (s *Set) beginLive(d *Device, r *route.Route, also []string) (begin func()) {
	filter := capture.FilterICMP
	if s.options.Restricted {
		filter = capture.FilterErrors
	}
	o := capture.LiveOptions{Interface: r.Device(), MAC: r.MAC, Filter: capture.FilterEnds(filter, d.ends...), Idle: idle}
	open := []func() (Conn, error){s.inherit(func() (Conn, error) { return capture.OpenLive(o) })}
	for _, name := range also {
		o := o
		o.Interface, o.MAC, o.ReceiveOnly, o.Buffer = name, nil, true, receiveBuffer
		open = append(open, s.inherit(func() (Conn, error) { return capture.OpenLive(o) }))
	}
	return func() { d.begin(func() (Conn, error) { return openAll(open) }) }
}

// idle is after how long without a frame a handle says so. What has to be known sooner is
// asked for (see Device.Request).
const idle = 100 * time.Millisecond

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
