package session

import (
	"time"

	"github.com/tracewire/tracewire/capture/frame"
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

	// maxRuns is how many runs are open at most: of more, those are over of
	// which nothing came for longest.
	maxRuns = 1 << 13

	// maxHeld is how many packets of runs are kept that are no trace so far: of
	// more, those runs are over of which nothing came for longest.
	maxHeld = 1 << 13

	// maxOffers is how often a reply that shows another source is offered to runs
	// before it is nobody's, and maxLatest to how many of one source.
	maxOffers = 32
	maxLatest = 8

	// maxSpare is for how many packets more than there were at some time there may
	// be room in the Recorders that are kept for runs to come, or were taken up by
	// them: 14 MB.
	maxSpare = 1 << 15
	// maxSpared is for how many there is in one at most: however short a run
	// is, it has all the room of its Recorder.
	maxSpared = 160
	// maxRetired is how many runs that are over are kept to become others.
	maxRetired = 1 << 11
)

// Finder finds the traces in the frames of a capture. It belongs to one
// goroutine.
//
// What it remembers of packets that may turn out to be probes is bounded by
// Idle and to 51 MB. Of the runs that are no trace so far it keeps at most
// maxRuns, and of all these at most maxHeld packets. Besides that it holds the
// traces that are not over yet, and those that wait for their turn to be told.
type Finder struct {
	emit    func(*path.Path)
	message matcher.Message
	seen    sighting // the packet that is looked at
	key     groupKey // of it, or of the one that it quotes or may answer
	window  window
	copies  copies
	groups  groups
	idle    idle
	order   order
	spare   spare
	taken   []sighting // from the window last
	held    int        // packets of runs that are no trace so far
	now     int64      // the latest stamp, in nanoseconds since 1970
	begun   int        // runs
	evicted int        // packets of runs that were over for lack of memory
	offers  int        // of replies to runs
}

// NewFinder returns a Finder that calls emit for each trace, in the order in
// which they began, when it is over. The Path is valid until emit returns: who
// keeps it makes a Clone. Of a capture whose clock was set back, or that has so
// many runs at once that one is over for lack of memory, the order may be
// another.
func NewFinder(emit func(*path.Path)) *Finder {
	return &Finder{emit: emit, window: newWindow(), groups: newGroups()}
}

// Observe takes the next frame of the capture, or a watermark. It reports
// whether the frame is, as far as can be told yet, one of a trace.
func (s *Finder) Observe(f *frame.Frame) bool {
	if f.IsWatermark() {
		return false
	}
	s.pass(f.Time.UnixNano())
	m := &s.message
	if m.Read(f) != nil {
		return false
	}
	if m.IsReply && m.Reply.IsQuoted() {
		return s.quoted(f, m)
	}
	s.key.read(&m.Packet)
	hash := s.groups.hash(&s.key)
	if m.IsReply {
		s.key.turn()
		if s.answered(f, m, s.groups.find(&s.key, hash)) {
			return true
		}
		s.key.turn()
	}
	return m.IsProbe && m.Packet.TTL > 0 && likeProbe(&m.Packet) && s.probe(f, m, s.groups.find(&s.key, hash))
}

// Close ends the capture: the traces that are not over are told.
func (s *Finder) Close() {
	for s.idle.longest() != nil {
		s.close(s.idle.longest())
	}
}

// Evicted is how many packets were forgotten, for lack of memory, that a reply
// could still have shown to be probes.
func (s *Finder) Evicted() int { return s.window.evicted + s.evicted }

// pass notes the time of the capture. A clock that goes back by a lot was set:
// it counts from there.
func (s *Finder) pass(at int64) {
	if ago := s.now - at; ago >= 0 && ago < int64(Idle) {
		return
	}
	s.now = at
	for r := s.idle.longest(); r != nil && isOld(r.last, at); r = s.idle.longest() {
		s.close(r)
	}
}

// isOld reports whether a time is Idle or more from now.
func isOld(at, now int64) bool { return max(at-now, now-at) >= int64(Idle) }

// probe takes a packet that may be a probe of a group, if that is not nil.
func (s *Finder) probe(f *frame.Frame, m *matcher.Message, g *group) bool {
	seen := &s.seen
	seen.see(f, m)
	if s.copies.probe(seen) {
		return g != nil && seen.ttl <= lowTTL
	}
	if g != nil && (seen.ttl <= lowTTL || g.expects(seen)) {
		s.add(g, seen)
		return true
	}
	s.window.add(seen, s.now)
	if seen.ttl > lowTTL || !s.window.climbs(seen, s.now) {
		return false
	}
	s.promote(seen, nil)
	return true
}

// promote makes a group of what the window has of probes like one, and of known,
// which is one of them in the window or nil, and returns it. A group that has
// gathered the others gets known alone.
func (s *Finder) promote(seen *sighting, known *kept) *group {
	g := s.groups.make(seen.group())
	if !g.gathered {
		g.gathered = true
		s.taken = s.window.take(seen, s.now, s.taken[:0])
		for i := range s.taken {
			s.add(g, &s.taken[i])
		}
	}
	if known != nil && !known.used() {
		known.use()
		s.add(g, seen)
	}
	s.groups.tidy(g)
	return g
}

// add adds a probe to the run of its group that it fits best, or to a new one.
func (s *Finder) add(g *group, seen *sighting) {
	if g.connected(seen) {
		return
	}
	r := g.fitting(seen)
	if r == nil {
		r = s.begin(g, seen)
	}
	r.add(seen)
	s.active(r)
}

// begin takes a run up, for its first packet to be added.
func (s *Finder) begin(g *group, seen *sighting) *run {
	r := s.spare.run()
	r.begin(g, seen)
	r.number, r.evicted = s.begun, s.Evicted()
	s.begun++
	g.runs = append(g.runs, r)
	s.idle.add(r)
	s.order.begin(r)
	if len(g.runs) > maxParallel {
		s.evict(g.dispensable())
	}
	if s.idle.n > maxRuns {
		s.evict(s.idle.longest())
	}
	return r
}

// active notes that something came of a run.
func (s *Finder) active(r *run) {
	s.idle.touch(r)
	if r.dull {
		s.order.drop(r)
		s.spare.release(r)
	} else {
		s.spare.uses(r, r.climb.n+r.orphans)
	}
	was := r.held
	r.held = r.aimless()
	if s.held += r.held - was; s.held > maxHeld {
		s.relieve(r)
	}
}

// relieve closes runs that are no trace so far, but for the one that something
// came of now: so many at once that it is seldom.
func (s *Finder) relieve(but *run) {
	for r := s.idle.longest(); r != but && s.held > maxHeld-maxHeld/8; {
		after := r.after
		if r.held > 0 {
			s.evict(r)
		}
		r = after
	}
}

// evict closes a run of which something may still come.
func (s *Finder) evict(r *run) {
	if !r.isTrace() {
		s.evicted += r.style.n
	}
	s.close(r)
}

// close ends a run.
func (s *Finder) close(r *run) {
	s.idle.remove(r)
	s.held -= r.held
	r.group.runs = without(r.group.runs, r)
	s.groups.tidy(r.group)
	if !r.isTrace() {
		s.order.drop(r)
		s.spare.retire(r)
		s.tell()
		return
	}
	r.finish(s.Evicted())
	if r.over = true; !s.order.isNext(r) {
		r.path = r.path.Clone() // to wait in no more memory than it needs
		s.spare.release(r)
	}
	s.tell()
}

// tell tells of the traces whose turn it is.
func (s *Finder) tell() {
	for r := s.order.next(); r != nil; r = s.order.next() {
		s.emit(r.path)
		s.spare.retire(r)
	}
}

// quoted takes an ICMP error. One that is not a time-exceeded makes no packet a
// probe, except the first of a traceroute: it may well be about ordinary traffic.
func (s *Finder) quoted(f *frame.Frame, m *matcher.Message) bool {
	if s.copies.reply(f, m) {
		return true
	}
	s.key.read(&m.Quote)
	g := s.groups.find(&s.key, s.groups.hash(&s.key))
	if s.take(g, m) {
		return true
	}
	if g == nil && !makesProbe(m) && len(s.groups.to(&s.key)) == 0 {
		return false // whatever it is about
	}
	known := s.window.find(m, s.now)
	if known != nil && known.src == s.key.src {
		return s.discovered(g, known, m)
	}
	if s.takeTranslated(g, m) || s.takeEarly(g, m) {
		return true
	}
	if known != nil && s.discovered(g, known, m) || s.hold(&s.key, g, m) {
		return true
	}
	if known != nil {
		return false
	}
	return likeProbe(&m.Quote) && s.orphan(g, m)
}

// makesProbe reports whether an ICMP error can make a packet a probe.
func makesProbe(m *matcher.Message) bool {
	return m.Reply.Kind == matcher.TimeExceeded || isPortUnreachable(m) && isFirst(m.Of.Protocol, m.Of.SrcPort, m.Of.DstPort)
}

// discovered takes an ICMP error about a packet in the window, which was not known to
// be a probe.
func (s *Finder) discovered(g *group, known *kept, m *matcher.Message) bool {
	seen := known.sighting(s.key.dst)
	first := isPortUnreachable(m) && seen.likeFirst()
	if m.Reply.Kind != matcher.TimeExceeded && !first && (g == nil || !g.expects(&seen)) {
		return false
	}
	g = s.promote(&seen, known)
	return s.take(g, m) || s.takeEarly(g, m) || s.hold(&g.key, g, m)
}

// disorder is how much too early a capture may stamp a reply: where a card has
// several queues, each is read on its own.
const disorder = 100 * time.Microsecond

// takeEarly offers a reply to a group as if it had come a bit later.
func (s *Finder) takeEarly(g *group, m *matcher.Message) bool {
	m.Time = m.Time.Add(disorder)
	taken := s.take(g, m)
	m.Time = m.Time.Add(-disorder)
	return taken
}

// take offers a reply to the runs of a group, the latest first.
func (s *Finder) take(g *group, m *matcher.Message) bool {
	return g != nil && s.offer(g.runs, m)
}

// offer offers a reply to runs, the last first.
func (s *Finder) offer(runs []*run, m *matcher.Message) bool {
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if !r.mayTake(m) {
			continue
		}
		if s.offers++; r.take(m) {
			s.active(r)
			return true
		}
	}
	return false
}

// takeTranslated offers an ICMP error to the latest runs of the groups to the same
// target: the source may have been translated before it was quoted. After
// maxOffers in vain the other groups are not asked.
func (s *Finder) takeTranslated(but *group, m *matcher.Message) bool {
	before := s.offers
	for _, g := range s.groups.to(&s.key) {
		if latest := g.runs[max(0, len(g.runs)-maxLatest):]; g != but && s.offer(latest, m) {
			return true
		}
		if s.offers-before >= maxOffers {
			break
		}
	}
	return false
}

// hold offers an ICMP error that agrees with no probe in all to the runs of its group,
// and if it agrees in two of three to those to the same target: the source may have
// been translated before it was quoted. The capture may have it a bit early.
func (s *Finder) hold(key *groupKey, own *group, m *matcher.Message) bool {
	m.Time = m.Time.Add(disorder)
	defer func() { m.Time = m.Time.Add(-disorder) }()
	if own != nil && s.holdIn(own.runs, m, true) {
		return true
	}
	before := s.offers
	for _, g := range s.groups.to(key) {
		if latest := g.runs[max(0, len(g.runs)-maxLatest):]; g != own && s.holdIn(latest, m, false) {
			return true
		}
		if s.offers-before >= maxOffers {
			break
		}
	}
	return false
}

// holdIn offers an ICMP error to runs, the last first.
func (s *Finder) holdIn(runs []*run, m *matcher.Message, ports bool) bool {
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if !r.mayTake(m) {
			continue
		}
		if s.offers++; r.hold(m, ports) {
			s.active(r)
			return true
		}
	}
	return false
}

// orphan takes an ICMP error about a packet that is not in the capture.
func (s *Finder) orphan(g *group, m *matcher.Message) bool {
	exceeded := m.Reply.Kind == matcher.TimeExceeded && m.Quote.TTL <= lowTTL
	seen := &s.seen
	seen.seeQuoted(m)
	var r *run
	if g != nil {
		if r = g.fitting(seen); r == nil {
			r = g.lacking(seen)
		}
	}
	switch {
	case r == nil && !exceeded, r != nil && r.refuses(m):
		return false
	case r == nil:
		r = s.begin(s.groups.make(seen.group()), seen)
	}
	r.orphan(m, seen)
	s.active(r)
	return true
}

// answered takes what may be the target's own answer to the packets of a group, if
// that is not nil.
func (s *Finder) answered(f *frame.Frame, m *matcher.Message, g *group) bool {
	if g == nil || refusesNone(m) && !g.acknowledges() {
		return false
	}
	return s.copies.reply(f, m) || s.take(g, m)
}

// refusesNone reports whether an answer is a RST that acknowledges nothing: no
// SYN is answered like that, but an ACK is (RFC 9293, section 3.5.2).
func refusesNone(m *matcher.Message) bool {
	return m.Reply.Kind == matcher.RST && m.Packet.Payload[tcpFlags]&flagACK == 0
}
