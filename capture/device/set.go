package device

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/tracewire/tracewire/capture"
)

// Set is the Devices that are open, and the ports that are held. Any goroutine may call
// its methods.
type Set struct {
	options   Options
	subscribe func(*Device) Subscriber

	mu       sync.Mutex
	open     map[any]*Device // those that are open or will be, by what they capture on
	ports    ports
	prepared *prepared // nil if nothing was: what is needed is opened
}

// NewSet returns a Set without a Device. It calls subscribe for each that it is about to
// open.
func NewSet(o Options, subscribe func(*Device) Subscriber) *Set {
	return &Set{options: o, subscribe: subscribe, open: map[any]*Device{}, ports: ports{}}
}

// wanted is what is to be captured: on what, and which end of flows; the zero end is
// captured by every Device. What the key of two is the same for is open once. Of live
// ones the key is an interfaces.
type wanted struct {
	key    any
	end    capture.End
	link   Link
	source netip.Addr
}

// interfaces are the key of a live Device: the interface that probes leave by, and those
// that are captured on too, by name, each behind a slash. No name has one.
type interfaces struct{ outgoing, also string }

func interfacesOf(outgoing string, also []string) interfaces {
	all := interfaces{outgoing: outgoing}
	for _, name := range also {
		all.also += "/" + name
	}
	return all
}

// overlaps reports whether two captures have an interface in common.
func (i interfaces) overlaps(o interfaces) bool {
	theirs := strings.Split(o.outgoing+o.also, "/")
	return slices.ContainsFunc(strings.Split(i.outgoing+i.also, "/"), func(name string) bool { return slices.Contains(theirs, name) })
}

// serves reports whether the Device captures an end.
func (d *Device) serves(end capture.End) bool { return contain(d.ends, end) }

// contain reports whether an end is captured with these.
func contain(ends []capture.End, end capture.End) bool {
	return end == capture.End{} || slices.ContainsFunc(ends, func(e capture.End) bool {
		return e == end || !e.Addr.IsValid() && e.Flow == end.Flow
	})
}

// Share returns the Device for a Conn that is open already. If there is none yet, it makes
// one. When its last user releases the Device, it closes the Conn if that is an io.Closer.
// The caller must call Release.
func (s *Set) Share(ctx context.Context, c Conn, on Link) (*Device, error) {
	d, made, err := s.reserve(ctx, wanted{key: keyOf(c), link: on})
	if err != nil {
		return nil, err
	}
	if made {
		d.begin(func() (Conn, error) { return c, nil })
	}
	return d, s.opened(d)
}

// keyOf is what a Conn is known by: itself, if it can be.
func keyOf(c Conn) any {
	if reflect.ValueOf(c).Comparable() {
		return c
	}
	return new(int)
}

// reserve returns the Device that captures what is wanted. If there is none, it makes one,
// which the caller must begin. The caller must call Release.
//
// reserve waits for an open Device to close in two cases: it has the same interfaces but
// does not capture this end of flows; or Devices are exclusive, and it shares one interface
// with what is wanted, whose frames would be recorded twice. A Device that is waited for
// gets no further users.
func (s *Set) reserve(ctx context.Context, want wanted) (d *Device, made bool, err error) {
	for {
		s.mu.Lock()
		found, ok := s.open[want.key]
		if s.prepared != nil && (!ok || !found.serves(want.end)) {
			s.mu.Unlock()
			return nil, false, s.prepared.lacks(want)
		}
		if !ok {
			found = s.overlapping(want)
		}
		if found == nil {
			break
		}
		if ok && found.serves(want.end) && !found.asked {
			found.users++
			s.mu.Unlock()
			return found, false, nil
		}
		found.asked = true
		s.mu.Unlock()
		select {
		case <-found.closed:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
	defer s.mu.Unlock()
	return s.add(want, s.options.ends(want.end)), true, nil
}

// add adds a Device for its first user. The caller holds the lock.
func (s *Set) add(want wanted, ends []capture.End) *Device {
	d := newDevice(want, ends)
	d.to = s.subscribe(d)
	s.open[want.key] = d
	return d
}

// overlapping is a Device that records frames which one for what is wanted would record
// too, or nil.
func (s *Set) overlapping(want wanted) *Device {
	key, live := want.key.(interfaces)
	if !live || !s.options.Exclusive {
		return nil
	}
	for other, d := range s.open {
		if other, live := other.(interfaces); live && other.overlaps(key) {
			return d
		}
	}
	return nil
}

// opened waits until a Device is open. It releases one that could not be opened, and
// says why.
func (s *Set) opened(d *Device) error {
	<-d.opened
	if d.conn != nil {
		return nil
	}
	s.Release(d)
	return d.err
}

// Release says that a Device is not needed any more by one who has it. The last to do
// so closes it.
func (s *Set) Release(d *Device) error {
	s.mu.Lock()
	d.users--
	last := d.users == 0
	if last {
		delete(s.open, d.key)
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	return d.close()
}

// ErrUnprepared: what Prepare has not opened is needed, and nothing more is opened.
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
	return fmt.Errorf("tracewire: interface %s, for probes from %v, %w", want.link.Interface, want.source, ErrUnprepared)
}
