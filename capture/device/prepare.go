package device

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/craft/route"
)

// Prepare opens all interfaces that traces to targets need, by the routes that
// there are now, and holds their ports. From then on nothing more is opened: the
// process can give its capabilities up, and Dial needs none. What needs another
// interface then, or another source address, fails with ErrUnprepared.
//
// A target without a route, or a port or an interface that can't be had, is no
// error here: Dial says so. If Devices are Exclusive, an interface is captured on for the
// traces by one route only: replies that come by another route's interface may be
// missed. Prepare is to be called once, before the first Dial. The caller is to call
// release when nothing more is traced.
func (s *Set) Prepare(targets []netip.Addr) (release func() error) {
	p := &preparation{set: s, prepared: prepared{ports: map[netip.Addr]uint16{}, failed: map[any]error{}, also: map[string][]string{}}}
	failed := netns.Do(s.options.Namespace, func() error {
		for _, dst := range targets {
			p.add(dst.Unmap())
		}
		p.open()
		return nil
	})
	if failed == nil { // else Dial says why
		s.mu.Lock()
		s.prepared = &p.prepared
		s.mu.Unlock()
	}
	return p.release
}

// preparation is one call of Prepare.
type preparation struct {
	prepared
	set  *Set
	ways []*way
	held []io.Closer
}

// way is an interface to open.
type way struct {
	route.Route
	also   []string      // interfaces to capture on too
	ends   []capture.End // to capture
	device *Device
}

// add adds what a trace to a target needs. What can't be had is left out.
func (p *preparation) add(dst netip.Addr) {
	s := p.set
	r, held, port, err := s.routeAndPort(dst)
	if err != nil {
		return
	}
	if held != nil {
		p.held = append(p.held, held)
	}
	source := r.Scoped(r.Source)
	if _, ok := p.ports[source]; !ok {
		p.ports[source] = port
	}
	on := p.on(&r)
	for _, name := range s.receivers(&r) {
		if !slices.Contains(on.also, name) {
			on.also = append(on.also, name)
		}
	}
	if end := s.options.end(dst, &r, p.ports[source]); !contain(on.ends, end) {
		on.ends = append(on.ends, s.options.ends(end)...)
	}
}

// on is the way by the interface of a route.
func (p *preparation) on(r *route.Route) *way {
	for _, w := range p.ways {
		if w.Device() == r.Device() {
			return w
		}
	}
	made := &way{Route: *r}
	p.ways = append(p.ways, made)
	return made
}

// open opens the interfaces, all at the same time.
func (p *preparation) open() {
	s := p.set
	p.part()
	var wait sync.WaitGroup
	for _, w := range p.ways {
		slices.Sort(w.also)
		p.also[w.Device()] = w.also
		s.mu.Lock()
		w.device = s.add(wanted{
			key: interfacesOf(w.Device(), w.also), link: Link{Interface: w.Device(), MAC: w.MAC, Also: w.also},
		}, w.ends)
		s.mu.Unlock()
		wait.Go(s.beginLive(w.device, &w.Route, w.also))
	}
	wait.Wait()
	for _, w := range p.ways {
		if err := s.opened(w.device); err != nil {
			p.failed[w.device.key] = err
		}
	}
	p.ways = slices.DeleteFunc(p.ways, func(w *way) bool { return w.device.conn == nil })
}

// part leaves no interface to two ways if Devices are exclusive.
func (p *preparation) part() {
	if !p.set.options.Exclusive {
		return
	}
	taken := map[string]bool{}
	for _, w := range p.ways {
		taken[w.Device()] = true
	}
	for _, w := range p.ways {
		w.also = slices.DeleteFunc(w.also, func(name string) bool { return taken[name] })
		for _, name := range w.also {
			taken[name] = true
		}
	}
}

// release releases all that was opened.
func (p *preparation) release() (err error) {
	for _, w := range p.ways {
		err = errors.Join(err, p.set.Release(w.device))
	}
	for _, held := range p.held {
		err = errors.Join(err, held.Close())
	}
	return err
}
