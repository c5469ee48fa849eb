package tracewire

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
)

// ErrUnprepared: a trace needs what Prepare has not opened, and nothing more is
// opened.
var ErrUnprepared = errors.New("was not open yet when the right to open it was given up")

// prepared is what Prepare has found out.
type prepared struct {
	ports  map[netip.Addr]uint16 // by the address that has them, which has a zone if it needs one
	failed map[any]error         // by key: why it could not be opened
	also   map[string][]string   // by the interface that probes leave by: those that are captured on too
}

// port is the port that is held at an address, if one is.
func (p *prepared) port(source netip.Addr) (port uint16, ok bool) {
	if p == nil {
		return 0, false
	}
	port, ok = p.ports[source]
	return port, ok
}

// lacks says why what is wanted is not there.
func (p *prepared) lacks(want wanted) error {
	if err := p.failed[want.key]; err != nil {
		return err
	}
	return fmt.Errorf("tracewire: interface %s, for probes from %v, %w", want.source.Interface, want.source.Addr, ErrUnprepared)
}

// Prepare opens all interfaces that traces to targets need, by the routes that
// there are now, and holds their ports. From then on nothing more is opened: the
// process can give its capabilities up, and Trace needs none. A trace that needs
// another interface then, or another source address, fails with ErrUnprepared.
//
// A target without a route, or a port or an interface that can't be had, is no
// error here: Trace says so. With a Recording, an interface is captured on for the
// traces by one route only, since its frames would be there twice: replies that come by
// another route's interface may be missed. Prepare is to be called once, before the
// first Trace, and not with a Dial. The caller is to call release when all traces have
// ended.
func (t *Tracer) Prepare(targets []netip.Addr) (release func() error) {
	p := &preparation{tracer: t, prepared: prepared{ports: map[netip.Addr]uint16{}, failed: map[any]error{}, also: map[string][]string{}}}
	failed := netns.Do(t.options.Namespace, func() error {
		for _, dst := range targets {
			p.add(dst.Unmap())
		}
		p.open()
		return nil
	})
	if failed == nil { // else Trace says why
		t.mu.Lock()
		t.prepared = &p.prepared
		t.mu.Unlock()
	}
	return p.release
}

// preparation is one call of Prepare.
type preparation struct {
	prepared
	tracer *Tracer
	ways   []*way
	held   []io.Closer
}

// way is an interface to open.
type way struct {
	route.Route
	also []string      // interfaces to capture on too
	ends []capture.End // to capture
	tap  *tap
}

// add adds what a trace to a target needs. What can't be had is left out.
func (p *preparation) add(dst netip.Addr) {
	t := p.tracer
	r, held, port, err := t.routeAndPort(dst)
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
	for _, name := range t.receivers(&r) {
		if !slices.Contains(on.also, name) {
			on.also = append(on.also, name)
		}
	}
	if end := t.options.end(dst, &r, p.ports[source]); !contain(on.ends, end) {
		on.ends = append(on.ends, t.ends(end)...)
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
	t := p.tracer
	p.part()
	var wait sync.WaitGroup
	for _, w := range p.ways {
		slices.Sort(w.also)
		p.also[w.Device()] = w.also
		w.tap = t.newTap(wanted{
			key: devicesOf(w.Device(), w.also), source: &path.Source{Interface: w.Device(), MAC: w.MAC, Also: w.also},
		})
		w.tap.ends = w.ends
		t.mu.Lock()
		t.taps[w.tap.key] = w.tap
		t.mu.Unlock()
		wait.Go(t.beginLive(w.tap, &w.Route, w.also))
	}
	wait.Wait()
	for _, w := range p.ways {
		if err := t.opened(w.tap); err != nil {
			p.failed[w.tap.key] = err
		}
	}
	p.ways = slices.DeleteFunc(p.ways, func(w *way) bool { return w.tap.conn == nil })
}

// part leaves no interface to two ways in a recording: its frames would be there twice.
func (p *preparation) part() {
	if p.tracer.options.Recording == nil {
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

// release lets go of all that was opened.
func (p *preparation) release() (err error) {
	for _, w := range p.ways {
		err = errors.Join(err, p.tracer.release(w.tap))
	}
	for _, held := range p.held {
		err = errors.Join(err, held.Close())
	}
	return err
}
