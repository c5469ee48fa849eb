package tracewire

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

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
	failed map[any]error         // by interface: why it could not be opened
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
	return fmt.Errorf("tracewire: interface %v, for probes from %v, %w", want.key, want.source.Addr, ErrUnprepared)
}

// Prepare opens all interfaces that traces to targets need, by the routes that
// there are now, and holds their ports. From then on nothing more is opened: the
// process can give its capabilities up, and Trace needs none. A trace that needs
// another interface then, or another source address, fails with ErrUnprepared.
//
// A target without a route, or a port or an interface that can't be had, is no
// error here: Trace says so. Prepare is to be called once, before the first Trace,
// and not with a Dial. The caller is to call release when all traces have ended.
func (t *Tracer) Prepare(targets []netip.Addr) (release func() error) {
	p := &preparation{tracer: t, prepared: prepared{ports: map[netip.Addr]uint16{}, failed: map[any]error{}}}
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
	tap *tap
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
	if end := t.options.end(dst, &r, p.ports[source]); !on.serves(end) {
		on.ends = append(on.ends, t.ends(end)...)
	}
}

// on is the tap on the interface of a route.
func (p *preparation) on(r *route.Route) *tap {
	for _, w := range p.ways {
		if w.Device() == r.Device() {
			return w.tap
		}
	}
	made := p.tracer.newTap(wanted{key: r.Device(), source: &path.Source{Interface: r.Device(), MAC: r.MAC}})
	p.ways = append(p.ways, &way{Route: *r, tap: made})
	return made
}

// open opens the interfaces, all at the same time.
func (p *preparation) open() {
	t := p.tracer
	var wait sync.WaitGroup
	for _, w := range p.ways {
		t.mu.Lock()
		t.taps[w.tap.key] = w.tap
		t.mu.Unlock()
		wait.Go(t.beginLive(w.tap, &w.Route))
	}
	wait.Wait()
	for _, w := range p.ways {
		if err := t.opened(w.tap); err != nil {
			p.failed[w.tap.key] = err
		}
	}
	p.ways = slices.DeleteFunc(p.ways, func(w *way) bool { return w.tap.conn == nil })
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
