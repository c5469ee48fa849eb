package session

import (
	"slices"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
)

// style is how a run's probes differ from each other.
type style struct {
	sport, dport, sequence, id, length, payload series
	sports, dports                              span
	ids                                         turns
	tos                                         uint8
	df                                          bool
	n                                           int
}

// span is the least and the greatest value of a field.
type span struct{ least, most uint16 }

func (p *span) add(v uint16, first bool) {
	if first {
		p.least = v
	}
	p.least, p.most = min(p.least, v), max(p.most, v)
}

// reach reports whether a value is in the span, or not farther beyond it than some.
func (p *span) reach(v uint16, some int) bool {
	return int(v) >= int(p.least)-some && int(v) <= int(p.most)+some
}

func (y *style) add(s *sighting, fills gaps) {
	if y.n++; y.n == 1 {
		y.tos, y.df = s.tos, s.df
	}
	y.sports.add(s.sport, y.n == 1)
	y.dports.add(s.dport, y.n == 1)
	y.ids.add(s.id, y.n == 1)
	y.sport.addOrFill(uint64(s.sport), fills.sport)
	y.dport.addOrFill(uint64(s.dport), fills.dport)
	y.sequence.add(uint64(s.token))
	y.id.add(uint64(s.id))
	y.length.add(uint64(s.length))
	y.payload.add(s.payload)
}

// turns is how far IDs are from the first, either way: after the greatest comes the
// least again.
type turns struct {
	first       uint16
	least, most int16
}

func (t *turns) add(id uint16, first bool) {
	if first {
		t.first = id
	}
	by := int16(id - t.first)
	t.least, t.most = min(t.least, by), max(t.most, by)
}

// reach reports whether an ID is among the others, or not farther from them than
// some.
func (t *turns) reach(id uint16, some int) bool {
	by := int(int16(id - t.first))
	return by >= int(t.least)-some && by <= int(t.most)+some
}

// series is how a field goes from probe to probe.
type series struct {
	first, last       uint64
	n, same, up, jump int32 // values; and how often it stayed, rose by up to maxStep, did anything else
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

// addOrFill adds a value, which may be one that others have overtaken: then it counts
// on from the last.
func (r *series) addOrFill(v uint64, fills bool) {
	if !fills {
		r.add(v)
		return
	}
	r.first = min(r.first, v)
	r.up++
	r.n++
}

// follows reports whether a value comes next if the field counts.
func (r *series) follows(v uint64) bool { return v > r.last && v-r.last <= maxStep }

// isConstant reports whether the field is known to stay.
func (r *series) isConstant() bool { return r.same > 0 && r.up+r.jump == 0 }

// counts reports whether it is known to count.
func (r *series) counts() bool { return r.up > 0 && r.jump <= r.up/8 && r.same <= r.up }

// goesOn reports whether a value goes on as the series did: it stays, or counts.
// That it stayed once may be since two programs began with it.
func (r *series) goesOn(v uint64) bool {
	return v == r.last && !r.counts() || r.follows(v) && (r.same < 2 || r.up+r.jump > 0)
}

// How well a probe fits a run. What is less than strong fits only by its looks;
// surely, in all.
const (
	unfit  = 0
	weak   = 1
	strong = 16
	surely = strong + 9
)

// fit says how well a probe fits the run: unfit, weak and up, or strong and up.
//
// A program is told by its source port or, in ICMP, by its identifier. One that
// takes a new port for each probe is told by the looks of its probes, and by
// their destination ports, which stay or count.
func (r *run) fit(s *sighting) int {
	y := &r.style
	if y.n == 0 {
		return weak
	}
	fills := r.gaps(s)
	switch {
	case fills == gaps{} && r.beginsAgain(s), r.isOther(s), r.isElsewhere(s):
		return unfit
	case s.isEcho():
		if uint64(s.sport) != y.sport.last {
			return unfit
		}
		return strong + r.looks(s)
	case r.climb.n == 0 && r.lacks(s):
		return strong + r.looks(s) // of a run that is known by replies, in whatever order
	case r.asks(s):
		return strong + r.looks(s) // a SYN goes again that nothing answered
	case !y.dport.goesOn(uint64(s.dport)) && !r.leaps(s) && !fills.dport:
		return unfit
	case y.sport.goesOn(uint64(s.sport)), y.isBlock() && y.sports.reach(s.sport, block):
		return strong + r.looks(s)
	case y.isBlock():
		return unfit
	case y.sport.isConstant() || y.sport.counts() && y.sport.n > 2 && !r.turnsBack(s) && !fills.sport || !r.alike(s):
		return unfit
	case fills != gaps{}:
		return weak // less than one that goes on
	}
	return weak + r.looks(s)
}

// isOther reports whether a captured segment is no SYN, and the run's probes are, or
// the other way round: it is one of a connection whose SYN is not in the capture.
func (r *run) isOther(s *sighting) bool {
	return s.protocol == uint8(layers.IPProtocolTCP) && s.ttl != 0 && r.climb.n > 0 && (s.flags^r.first.flags)&flagSYN != 0
}

// lacks reports whether a probe that is not in the capture, or out of order, may be
// one of the run's: its ports are those of the others, between them, or like them
// in that they are all over the place.
func (r *run) lacks(s *sighting) bool {
	y := &r.style
	if s.isEcho() {
		return uint64(s.sport) == y.sport.last
	}
	return y.dport.mayHave(s.dport, &y.dports) && (y.n == 1 || y.sport.mayHave(s.sport, &y.sports))
}

// mayHave reports whether a value may be one of the series', whose span is known.
func (r *series) mayHave(v uint16, within *span) bool {
	switch {
	case r.isConstant():
		return uint64(v) == r.last
	case r.jump > r.up:
		return true
	}
	return within.reach(v, maxStep)
}

// leaps reports whether the destination port is ahead of the first by more than
// probes are of each other, of a program that counts round by round from one
// source port.
func (r *run) leaps(s *sighting) bool {
	const most = 255
	to, sport := &r.style.dport, &r.style.sport
	return sport.isConstant() && uint64(s.sport) == sport.last && to.up > 0 && to.up+to.jump >= to.same &&
		s.dport > r.style.dports.least && int(s.dport) <= int(r.style.dports.most)+most
}

// block is how far the ports of a program may be from each other that takes them
// from a block at random, as nmap does: a base, of which a count turns bits.
const block = 64

// turnsBack reports whether a port that is none of those which come next may be
// from the same block all the same, since some others of it came in order: the
// probe goes down to a hop that none asked.
func (r *run) turnsBack(s *sighting) bool {
	return s.ttl+1 == r.latest.ttl && !r.climb.has(s.ttl) && r.style.sports.reach(s.sport, block)
}

// isBlock reports whether the source ports are from a block, in no order, and the
// destination port is one.
func (y *style) isBlock() bool {
	return y.n >= 3 && y.dport.isConstant() && y.sport.jump > 0 && y.sports.most-y.sports.least < block
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
// where it began, and a number that counts too, or each hop had all its probes.
func (r *run) beginsAgain(s *sighting) bool {
	const soonest = 2 * time.Millisecond // after its last probe a program is started anew
	if r.climb.n == 0 || s.ttl == 0 || s.ttl > r.first.ttl || s.at-r.latest.at < int64(soonest) {
		return false
	}
	y := &r.style
	switch {
	case s.isEcho() && y.sequence.counts() && uint64(s.token) <= y.sequence.first,
		y.sequence.counts() && uint64(s.token) == y.sequence.first,
		y.sport.counts() && y.dport.isConstant() && uint64(s.sport) == y.sport.first,
		!s.is6 && y.id.counts() && uint64(s.id) == y.id.first:
		return true
	}
	if r.isOurs(s) {
		return false // the ID tells more than how often a hop was asked
	}
	return r.climb.isDone(s.ttl) || r.isAskedAnew(s)
}

// isAskedAnew reports whether a program that takes unrelated ports for its probes
// asks a hop that has answered: it has no reason to, if it asks each once.
func (r *run) isAskedAnew(s *sighting) bool {
	const most = 256 // probes of such a program
	y := &r.style
	if s.isEcho() || y.n > most || y.sport.jump == 0 || y.dport.counts() || s.ttl == r.latest.ttl || !r.climb.has(s.ttl) || r.climb.burst {
		return false
	}
	return slices.ContainsFunc(r.path.Probes, func(p path.Probe) bool { return p.TTL == s.ttl && p.Reply != nil })
}

// isOurs reports whether the run is known to be of this program, over IPv4: its
// probes have one flow, cookies, and IDs that follow from a first one at random.
func (r *run) isOurs(s *sighting) bool {
	const enough = 3
	y := &r.style
	return !s.is6 && y.n >= enough && y.sport.isConstant() && y.dport.isConstant() && hasCookies(r)
}

// isElsewhere reports whether a probe over the flow of this program has an ID that is
// far from the run's.
func (r *run) isElsewhere(s *sighting) bool {
	const far = 4096
	return r.isOurs(s) && !r.style.ids.reach(s.id, far)
}
