// Package session finds the traces in a capture, whoever sent them.
//
// A probe is known by what is on the wire: it has a TTL too low to reach most
// hosts, or a router's time-exceeded quotes it. Probes from one address to
// another are grouped into runs by the way the known programs vary ports and
// sequence numbers, and a run is a trace if a router answered it or it climbs
// through TTLs. So ordinary traffic is none, even when ICMP errors quote it.
package session

import (
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

const (
	// lowTTL is the highest TTL that makes a packet a probe by itself: systems
	// send theirs with 64 and more, and few paths are as long as the rest.
	lowTTL = 32

	// Idle is how long nothing has to come of a run, in the time of the
	// capture, for it to be over; and how long a packet is remembered that may
	// turn out to be a probe.
	Idle = time.Minute

	// Wait is how long a probe is waited for: what comes later is late. A
	// capture doesn't tell what its program had in mind.
	Wait = 10 * time.Second
)

// Finder finds the traces in the frames of a capture. It belongs to one
// goroutine.
//
// What it remembers of packets that may turn out to be probes is bounded by
// Idle and to 64 MB; besides that it holds the traces that are not over yet.
type Finder struct {
	emit    func(*path.Path)
	message matcher.Message
	window  window
	copies  copies
	groups  map[groupKey]*group
	targets map[targetKey][]*group // the groups of a target, from wherever
	idle    []*run                 // in about the order in which they may be over
	order   order
	now     time.Time // the latest stamp
	begun   int       // runs
}

// groupKey is what all probes of a run have in common.
type groupKey struct {
	src, dst netip.Addr
	protocol layers.IPProtocol
}

// targetKey is what even a quote shows whose source was translated.
type targetKey struct {
	dst      netip.Addr
	protocol layers.IPProtocol
}

// group is what was sent from one address to another.
type group struct {
	key  groupKey
	runs []*run                 // those that are not over, the latest last
	syns map[[2]uint16]struct{} // of TCP: the ports that a SYN was sent from and to
}

// connects notes the connection that a TCP probe asks for, and reports whether
// it is one of a connection that was asked for before: then it is none.
func (g *group) connects(s *sighting) bool {
	if g.key.protocol != layers.IPProtocolTCP {
		return false
	}
	ports := [2]uint16{s.sport, s.dport}
	if s.flags&flagSYN == 0 {
		_, asked := g.syns[ports]
		return asked
	}
	if g.syns == nil {
		g.syns = map[[2]uint16]struct{}{}
	}
	g.syns[ports] = struct{}{}
	return false
}

// NewFinder returns a Finder that calls emit for each trace, in the order in
// which they began, when it is over. The Path is the callee's.
func NewFinder(emit func(*path.Path)) *Finder {
	return &Finder{emit: emit, groups: map[groupKey]*group{}, targets: map[targetKey][]*group{}}
}

// Observe takes the next frame of the capture, or a watermark. It reports
// whether the frame is, as far as can be told yet, one of a trace.
func (s *Finder) Observe(f *frame.Frame) bool {
	if f.IsWatermark() {
		return false
	}
	s.pass(f.Time)
	m := &s.message
	if m.Read(f) != nil {
		return false
	}
	switch {
	case !m.IsReply:
	case m.Reply.IsQuoted():
		return s.quoted(f, m)
	case s.answered(f, m):
		return true
	}
	return m.IsProbe && likeProbe(&m.Packet) && s.probe(f, m)
}

// Close ends the capture: the traces that are not over are told.
func (s *Finder) Close() {
	for _, r := range s.idle {
		s.close(r)
	}
	s.idle = nil
}

// Evicted is how many packets were forgotten, for lack of memory, that a reply
// could still have shown to be probes.
func (s *Finder) Evicted() int { return s.window.evicted }

// pass notes the time of the capture. A clock that goes back by a lot was set:
// it counts from there.
func (s *Finder) pass(at time.Time) {
	if ago := s.now.Sub(at); ago >= 0 && ago < Idle {
		return
	}
	s.now = at
	for len(s.idle) > 0 && s.over(s.idle[0]) {
		r := s.idle[0]
		s.idle = s.idle[1:]
		s.close(r)
	}
	if len(s.idle) > 0 && s.idle[0].checked != s.idle[0].last {
		s.requeue()
	}
}

// over reports whether nothing came of a run for long.
func (s *Finder) over(r *run) bool { return absolute(s.now.Sub(r.last)) >= Idle }

// requeue moves runs that are not as idle as their place in the queue says to
// its end.
func (s *Finder) requeue() {
	for n := len(s.idle); n > 0 && absolute(s.now.Sub(s.idle[0].checked)) >= Idle; n-- {
		r := s.idle[0]
		s.idle = s.idle[1:]
		if s.over(r) {
			s.close(r)
			continue
		}
		r.checked = r.last
		s.idle = append(s.idle, r)
	}
}

func absolute(d time.Duration) time.Duration { return max(d, -d) }

// likeProbe is false of what no tracer sends.
func likeProbe(p *craft.Packet) bool {
	if p.Dst.IsMulticast() || p.Dst.IsUnspecified() || p.Dst == broadcast {
		return false
	}
	return p.Protocol != layers.IPProtocolTCP || likeTCPProbe(p)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// likeTCPProbe tells segments that a tracer sends from those of a connection:
// they carry no data, and are neither a reset nor the answer to a SYN. Of a
// quote that ends before the flags, only the length can tell.
func likeTCPProbe(p *craft.Packet) bool {
	const header = 20
	b, length := p.Payload, p.Length-len(p.Header)
	if len(b) < header {
		return length <= 2*header
	}
	flags := b[tcpFlags]
	return length <= int(b[12]>>4)*4 && flags&flagRST == 0 && flags&(flagSYN|flagACK) != flagSYN|flagACK
}

// probe takes a packet that may be a probe.
func (s *Finder) probe(f *frame.Frame, m *matcher.Message) bool {
	seen := newSighting(f, m)
	g := s.groups[groupKey{m.Packet.Src, m.Packet.Dst, m.Packet.Protocol}]
	if g != nil && (seen.ttl <= lowTTL || g.expects(&seen)) {
		s.add(g, &seen)
		return true
	}
	s.window.add(&seen, s.now)
	if seen.ttl > lowTTL || !s.window.climbs(&seen, s.now) {
		return false
	}
	s.promote(&seen)
	return true
}

// add adds a probe to the run of its group that it fits best, or to a new one.
func (s *Finder) add(g *group, seen *sighting) {
	if s.copies.probe(seen) || g.connects(seen) {
		return
	}
	r := g.fitting(seen)
	if r == nil {
		r = newRun(g, seen, s.window.evicted)
		s.begin(r)
	}
	r.add(seen)
}

// begin takes a run up.
func (s *Finder) begin(r *run) {
	r.group.runs = append(r.group.runs, r)
	r.checked = r.last
	r.number = s.begun
	s.begun++
	s.idle = append(s.idle, r)
	s.order.begin(r)
}

// promote makes a group of what the window has of probes like one.
func (s *Finder) promote(seen *sighting) *group {
	key := seen.group()
	g := s.groups[key]
	if g == nil {
		g = &group{key: key}
		s.groups[key] = g
		target := targetKey{key.dst, key.protocol}
		s.targets[target] = append(s.targets[target], g)
	}
	for _, found := range s.window.take(seen, s.now) {
		s.add(g, &found)
	}
	return g
}

// quoted takes an ICMP error. One that is not a time-exceeded makes no packet a
// probe: it may well be about ordinary traffic.
func (s *Finder) quoted(f *frame.Frame, m *matcher.Message) bool {
	if s.copies.reply(f, m) {
		return true
	}
	key := groupKey{m.Quote.Src, m.Quote.Dst, m.Quote.Protocol}
	g := s.groups[key]
	if g != nil && g.take(m) {
		return true
	}
	for _, other := range s.targets[targetKey{key.dst, key.protocol}] {
		if other != g && other.take(m) {
			return true
		}
	}
	if !likeProbe(&m.Quote) {
		return false
	}
	if m.Reply.Kind == matcher.TimeExceeded {
		if seen, ok := s.window.find(&m.Of, m.Time, s.now); ok {
			return s.promote(&seen).take(m)
		}
	}
	return s.orphan(g, key, m)
}

// orphan takes an ICMP error about a packet that is not in the capture.
func (s *Finder) orphan(g *group, key groupKey, m *matcher.Message) bool {
	exceeded := m.Reply.Kind == matcher.TimeExceeded && m.Quote.TTL <= lowTTL
	switch {
	case g == nil && !exceeded:
		return false
	case g == nil:
		g = &group{key: key}
		s.groups[key] = g
		target := targetKey{key.dst, key.protocol}
		s.targets[target] = append(s.targets[target], g)
	}
	seen := quotedSighting(m)
	r := g.fitting(&seen)
	if r == nil && !exceeded {
		return false
	}
	if r == nil {
		r = newRun(g, &seen, s.window.evicted)
		s.begin(r)
	}
	r.orphan(m, &seen)
	return true
}

// answered takes what may be the target's own answer.
func (s *Finder) answered(f *frame.Frame, m *matcher.Message) bool {
	g := s.groups[groupKey{m.Packet.Dst, m.Packet.Src, m.Packet.Protocol}]
	if g == nil {
		return false
	}
	return s.copies.reply(f, m) || g.take(m)
}

// take offers a reply to the runs of a group, the latest first.
func (g *group) take(m *matcher.Message) bool {
	for i := len(g.runs) - 1; i >= 0; i-- {
		if g.runs[i].take(m) {
			return true
		}
	}
	return false
}

// expects reports whether a packet whose TTL tells nothing goes on where a run
// of the group has got to.
func (g *group) expects(seen *sighting) bool {
	for _, r := range g.runs {
		if r.expects(seen) {
			return true
		}
	}
	return false
}

// fitting is the run that a probe fits best, or nil: of several, the one that
// got a reply last, since that is what most programs send the next probe upon.
func (g *group) fitting(seen *sighting) (best *run) {
	most := 0
	for i := len(g.runs) - 1; i >= 0; i-- {
		r := g.runs[i]
		if fit := r.fit(seen); fit > most || fit == most && best != nil && r.replied.After(best.replied) {
			best, most = r, fit
		}
	}
	return best
}

// close ends a run.
func (s *Finder) close(r *run) {
	g := r.group
	g.runs = without(g.runs, r)
	if len(g.runs) == 0 {
		delete(s.groups, g.key)
		target := targetKey{g.key.dst, g.key.protocol}
		if s.targets[target] = without(s.targets[target], g); len(s.targets[target]) == 0 {
			delete(s.targets, target)
		}
	}
	r.finish(s.window.evicted)
	s.order.over(r, s.emit)
}

// without removes one element, and keeps the order.
func without[T comparable](list []T, one T) []T {
	for i := range list {
		if list[i] == one {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}
