package session

import (
	"slices"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// run is what one program sent to a target, as far as can be told.
type run struct {
	group    *group
	recorder *path.Recorder
	path     *path.Path
	style    style

	first, latest sighting  // probes
	last, replied time.Time // when anything came, and when a reply did
	checked       time.Time // last, when it was queued as idle
	over          bool
	number        int // of the runs of the capture, in the order in which they were found

	lowest, highest uint8 // TTLs
	sent            []int // by TTL: probes
	burst           bool  // some TTL was probed twice in a row

	exceeded int // replies that are a router's time-exceeded
	orphans  int
	evicted  int // by the window, when it began
}

// newRun begins the run of a probe, which is not added yet.
func newRun(g *group, s *sighting, evicted int) *run {
	at := s.time()
	p := &path.Path{
		Target:   path.Target{Host: g.key.dst.String(), Addr: g.key.dst},
		Source:   path.Source{Addr: g.key.src},
		Protocol: g.key.protocol, Clock: path.Clock{Captured: true}, Started: at,
	}
	p.Parameters = path.Parameters{
		Wait: path.Wait{Max: Wait}, SrcPort: s.sport, DstPort: s.dport,
		Length: int(s.length), TOS: s.tos, DF: s.df,
	}
	if !s.is6 {
		p.Parameters.ID = s.id
	}
	return &run{group: g, recorder: path.NewRecorder(p, nil), path: p, first: *s, last: at, evicted: evicted}
}

// add adds a probe.
func (r *run) add(s *sighting) {
	if r.ordinary() {
		r.last = s.time()
		return
	}
	if r.lowest == 0 || s.ttl < r.lowest {
		r.lowest = s.ttl
	}
	r.highest = max(r.highest, s.ttl)
	for len(r.sent) <= int(s.ttl) {
		r.sent = append(r.sent, 0)
	}
	r.burst = r.burst || r.sent[s.ttl] > 0 && r.latest.ttl == s.ttl
	r.sent[s.ttl]++
	r.style.add(s)
	r.recorder.Found(s.probe(r.sent[s.ttl]), s.key())
	r.touch(s.time())
	r.latest = *s
}

func (r *run) touch(at time.Time) {
	if at.After(r.last) {
		r.last = at
	}
}

// take offers a reply to the run.
func (r *run) take(m *matcher.Message) bool {
	if !r.recorder.Take(m) {
		return false
	}
	if m.Reply.Kind == matcher.TimeExceeded {
		r.exceeded++
	}
	r.replied = m.Time
	r.touch(m.Time)
	return true
}

// orphan adds a reply to a probe that is not in the capture.
func (r *run) orphan(m *matcher.Message, s *sighting) {
	r.style.add(s)
	r.latest = *s
	r.touch(m.Time)
	if r.orphans++; r.orphans > maxOrphans && !r.isTrace() {
		return
	}
	if m.Reply.Kind == matcher.TimeExceeded {
		r.exceeded++
	}
	r.recorder.Orphan(m)
}

// What is kept of a run that is no trace so far: of probes with one TTL, and of
// replies without a probe.
const (
	maxLevel   = 64
	maxOrphans = 64
)

// ordinary reports whether the run has become too long for one of probes that
// have all the same TTL: then it is the traffic of some connection.
func (r *run) ordinary() bool {
	return r.lowest == r.highest && r.highest != 0 && r.sent[r.highest] >= maxLevel
}

// levels is how many different TTLs were sent.
func (r *run) levels() (n int) {
	for _, probes := range r.sent {
		if probes > 0 {
			n++
		}
	}
	return n
}

// expects reports whether a packet with a TTL that is not low goes on where the
// run has got to.
func (r *run) expects(s *sighting) bool {
	return r.highest >= lowTTL-2 && s.ttl >= r.lowest && int(s.ttl) <= int(r.highest)+2 && r.fit(s) >= strong
}

// finish concludes the run.
func (r *run) finish(evicted int) {
	p := r.path
	p.Ended = r.last
	p.Tool = r.tool()
	p.Counters.Evicted = evicted - r.evicted
	q := &p.Parameters
	q.FirstTTL, q.MaxTTL = r.lowest, r.highest
	for _, n := range r.sent {
		q.Queries = max(q.Queries, n)
	}
	r.recorder.Pass(p.Ended.Add(Wait+time.Nanosecond), 0)
	r.recorder.Finish(p.Ended)
}

// isTrace reports whether the run is a trace, and not ordinary traffic with a
// low TTL or with an ICMP error about it.
func (r *run) isTrace() bool {
	if r.orphans > 0 && r.highest == 0 {
		return r.isOrphanTrace()
	}
	levels := r.levels()
	if r.exceeded > 0 {
		return !r.ordinary() && (r.lowest <= lowTTL || levels >= 3)
	}
	return levels >= 3
}

// isOrphanTrace is isTrace where there are only replies. That routers at two
// distances answered tells most; one alone may be in a loop of theirs, so then
// it has to be what a tracer sends.
func (r *run) isOrphanTrace() bool {
	for i := range r.path.Probes {
		if r.path.Probes[i].Reply.From != r.path.Probes[0].Reply.From {
			return true
		}
	}
	return r.group.key.protocol != layers.IPProtocolUDP || r.first.dport >= firstTracePort
}

// firstTracePort is the lowest UDP port that the known programs probe unless
// they are told to: mtr's.
const firstTracePort = 33000

// style is how a run's probes differ from each other.
type style struct {
	sport, dport, sequence, id, length, payload series
	tos                                         uint8
	df                                          bool
	n                                           int
}

func (y *style) add(s *sighting) {
	if y.n++; y.n == 1 {
		y.tos, y.df = s.tos, s.df
	}
	y.sport.add(uint64(s.sport))
	y.dport.add(uint64(s.dport))
	y.sequence.add(uint64(s.token))
	y.id.add(uint64(s.id))
	y.length.add(uint64(s.length))
	y.payload.add(s.payload)
}

// series is how a field goes from probe to probe.
type series struct {
	n              int
	first, last    uint64
	same, up, jump int // how often it stayed, rose by up to maxStep, did anything else
}

// maxStep is how far a field that counts may rise from one captured probe to
// the next: some get lost, or are another run's.
const maxStep = 16

func (r *series) add(v uint64) {
	switch {
	case r.n == 0:
		r.first = v
	case v == r.last:
		r.same++
	case r.follows(v):
		r.up++
	default:
		r.jump++
	}
	r.last = v
	r.n++
}

func (r *series) follows(v uint64) bool { return v > r.last && v-r.last <= maxStep }

// isConstant reports whether the field is known to stay.
func (r *series) isConstant() bool { return r.same > 0 && r.up+r.jump == 0 }

// counts reports whether it is known to count.
func (r *series) counts() bool { return r.up > 0 && r.jump <= r.up/8 && r.same <= r.up }

// How well a probe fits a run. What is less than strong fits only by its looks.
const (
	unfit  = 0
	weak   = 1
	strong = 16
)

// fit says how well a probe fits the run: unfit, weak and up, or strong and up.
//
// A program is told by its source port or, in ICMP, by its identifier. One that
// takes a new port for each probe is told by the looks of its probes, and by
// their destination ports, which stay or count.
func (r *run) fit(s *sighting) int {
	y := &r.style
	switch protocol := layers.IPProtocol(s.protocol); {
	case y.n == 0:
		return weak
	case r.beginsAgain(s):
		return unfit
	case protocol != layers.IPProtocolUDP && protocol != layers.IPProtocolTCP:
		if uint64(s.sport) != y.sport.last {
			return unfit
		}
		return strong + r.looks(s)
	case !y.dport.goesOn(uint64(s.dport)):
		return unfit
	case y.sport.goesOn(uint64(s.sport)):
		return strong + r.looks(s)
	case y.sport.isConstant() || y.sport.counts() && y.sport.n > 2 || !r.alike(s):
		return unfit
	}
	return weak + r.looks(s)
}

// goesOn reports whether a value goes on as the series did: it stays, or counts.
func (r *series) goesOn(v uint64) bool {
	return v == r.last && !r.counts() || r.follows(v) && !r.isConstant()
}

// alike reports whether a probe has the looks of the run's.
func (r *run) alike(s *sighting) bool {
	return uint64(s.length) == r.style.length.last && s.df == r.style.df
}

// looks counts what speaks for a probe besides ports: less than strong.
func (r *run) looks(s *sighting) (n int) {
	if r.alike(s) {
		n += 2
	}
	if r.style.id.follows(uint64(s.id)) {
		n++
	}
	if s.tos == r.style.tos {
		n++
	}
	if s.payload == r.style.payload.last {
		n += 2
	}
	if s.ttl == r.latest.ttl || s.ttl == r.latest.ttl+1 {
		n += 3
	}
	return n
}

// beginsAgain reports whether a probe is the first of a new run: the TTL is back
// where it began, and the sequence number too, or each hop had all its probes.
func (r *run) beginsAgain(s *sighting) bool {
	if r.highest == 0 || s.ttl == 0 || s.ttl > r.first.ttl {
		return false
	}
	sequence := &r.style.sequence
	isEcho := s.protocol == uint8(layers.IPProtocolICMPv4) || s.protocol == uint8(layers.IPProtocolICMPv6)
	if isEcho && sequence.counts() && uint64(s.token) <= sequence.first {
		return true
	}
	return r.burst && s.ttl < r.latest.ttl && r.sent[s.ttl] >= slices.Max(r.sent)
}
