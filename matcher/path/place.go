package path

import (
	"cmp"
	"net/netip"

	"github.com/tracewire/tracewire/matcher"
)

// places says of every reply of a Path which hop it is from, by the rules of
// Basis. What one reply tells can depend on what the others told, so replies
// are placed anew when one comes that tells something new; one that repeats
// what is known, as those of an endless trace do, is placed alone.
type places struct {
	path *Path

	// Of first replies that are time-exceeded: who answered each TTL first, the
	// TTLs at which others answered, and the highest of all, with the highest of
	// another address.
	first    []netip.Addr // by TTL
	exceeded map[netip.Addr]ttls
	farthest [2]struct {
		from netip.Addr
		ttl  uint8
	}

	// Of all the others: where they are, and the lowest TTL that drew one from an
	// address.
	others  []ref
	lowest  map[netip.Addr]lowestTTL
	nearest uint8    // the target's hop, 0 if it didn't answer
	target  evidence // of the target's first replies

	end   uint8 // see Path.End
	stale bool  // end is not known

	quotes map[netip.Addr]quotes // of all the others, by who sent them
}

// ref says where in a Path a reply is.
type ref struct{ probe, extra int }

// firstReply is the place in Extra of a reply that is not there.
const firstReply = -1

// ttls is a set of TTLs.
type ttls [4]uint64

func (s *ttls) has(ttl uint8) bool { return s[ttl>>6]>>(ttl&63)&1 != 0 }
func (s *ttls) add(ttl uint8)      { s[ttl>>6] |= 1 << (ttl & 63) }

// highest is the highest in the set that is no higher than most, or 0.
func (s *ttls) highest(most uint8) uint8 {
	for ttl := most; ttl > 0; ttl-- {
		if s.has(ttl) {
			return ttl
		}
	}
	return 0
}

// lowestTTL is the lowest TTL that drew a reply; the lowest of those whose reply is
// no other probe's; and of those the lowest whose reply shows that it is to the
// probe.
type lowestTTL struct{ any, alone, sure uint8 }

// best is the lowest TTL of those that are known best.
func (l lowestTTL) best() uint8 { return cmp.Or(l.sure, l.alone, l.any) }

func newPlaces(p *Path) places { return places{path: p} }

// reset begins with another Path. It keeps its memory, but for what only a few
// Paths need that much of.
func (l *places) reset(p *Path) {
	const usual = 64
	kept := newPlaces(p)
	kept.first = l.first[:0]
	if len(l.others) <= usual {
		clear(l.exceeded)
		clear(l.lowest)
		clear(l.quotes)
		kept.exceeded, kept.lowest, kept.others = l.exceeded, l.lowest, l.others[:0]
		kept.quotes = l.quotes
	}
	*l = kept
}

func (l *places) at(at ref) (*Reply, *Probe) {
	probe := &l.path.Probes[at.probe]
	if at.extra == firstReply {
		return probe.Reply, probe
	}
	return &probe.Extra[at.extra], probe
}

// add places a reply that came, and others if it tells of them.
func (l *places) add(at ref) {
	r, probe := l.at(at)
	news := false
	if r.Kind == matcher.TimeExceeded {
		r.Hop, r.Basis = probe.TTL, BySentTTL
		news = at.extra == firstReply && l.learnExceeded(r.From, probe.TTL)
	} else {
		l.others = append(l.others, at)
		news = l.learnLowest(r, probe.TTL)
		if at.extra == firstReply && l.path.isTarget(r) {
			l.target.add(r)
		}
		l.stale = true
		was := l.nearest
		news = l.learnQuote(r, probe.TTL) || news
		l.place(r, probe)
		switch {
		case news:
		case l.nearest != was:
			l.gather()
		case l.path.isTarget(r) && r.Hop > l.nearest:
			r.Hop, r.Basis = l.nearest, ByLowestTTL
		}
	}
	if news {
		l.placeAll()
	}
}

// learnExceeded notes a time-exceeded, and reports whether that is news.
func (l *places) learnExceeded(from netip.Addr, ttl uint8) bool {
	for len(l.first) <= int(ttl) {
		l.first = append(l.first, netip.Addr{})
	}
	switch first := &l.first[ttl]; {
	case *first == from:
		return false
	case !first.IsValid():
		*first = from
	default:
		known := l.exceeded[from]
		if known.has(ttl) {
			return false
		}
		known.add(ttl)
		if l.exceeded == nil {
			l.exceeded = map[netip.Addr]ttls{}
		}
		l.exceeded[from] = known
	}
	switch most, next := &l.farthest[0], &l.farthest[1]; {
	case from == most.from:
		most.ttl = max(most.ttl, ttl)
	case ttl > most.ttl:
		*next = *most
		most.from, most.ttl = from, ttl
	case ttl > next.ttl:
		next.from, next.ttl = from, ttl
	}
	return true
}

// answeredAt is the highest TTL, no higher than most, at which an address
// answered a time-exceeded, or 0.
func (l *places) answeredAt(from netip.Addr, most uint8) uint8 {
	known := l.exceeded[from]
	for ttl := range l.first {
		if l.first[ttl] == from {
			known.add(uint8(ttl))
		}
	}
	return known.highest(most)
}

// learnLowest notes the TTL that drew a reply other than a time-exceeded, and
// reports whether that is news.
func (l *places) learnLowest(r *Reply, ttl uint8) bool {
	old := l.lowest[r.From]
	now := lowestTTL{any: lowest(old.any, ttl), alone: old.alone, sure: old.sure}
	if r.MatchedBy != matcher.Ambiguous {
		now.alone = lowest(old.alone, ttl)
	}
	if r.MatchedBy != matcher.Ambiguous && !r.IsUnverified() {
		now.sure = lowest(old.sure, ttl)
	}
	if now == old {
		return false
	}
	if l.lowest == nil {
		l.lowest = map[netip.Addr]lowestTTL{}
	}
	l.lowest[r.From] = now
	return true
}

// placeAll places all replies but time-exceeded anew.
func (l *places) placeAll() {
	l.nearest, l.stale = 0, true
	for _, at := range l.others {
		l.place(l.at(at))
	}
	l.gather()
}

// place says which hop a reply is from.
func (l *places) place(r *Reply, probe *Probe) {
	r.Hop, r.Basis = l.told(r, probe.TTL)
	if l.path.isTarget(r) {
		l.nearest = lowest(l.nearest, r.Hop)
	}
}

// gather places all replies of the target at one hop: the nearest that any of
// them tells of.
func (l *places) gather() {
	for _, at := range l.others {
		if r, _ := l.at(at); l.path.isTarget(r) && r.Hop > l.nearest {
			r.Hop, r.Basis = l.nearest, ByLowestTTL
		}
	}
}

// told is the hop that a reply to a probe with a TTL tells of by itself.
func (l *places) told(r *Reply, sent uint8) (uint8, Basis) {
	isTarget := l.path.isTarget(r)
	if !isTarget {
		if hop := l.answeredAt(r.From, sent); hop != 0 {
			return hop, BySameAddress
		}
	}
	lowest := l.lowest[r.From].best()
	if hop := quotedHop(sent, r); hop != 0 && !l.quotes[r.From].areRewritten(lowest) && !l.contradicted(r.From, hop) {
		switch {
		case isTarget:
			return hop, ByQuotedTTL
		case hop <= lowest:
			return hop, ByArithmetic
		}
	}
	return lowest, ByLowestTTL
}

// quotedHop is how far the probe got by the TTL that the reply quotes, or 0 if
// it quotes none that can be so.
func quotedHop(sent uint8, r *Reply) uint8 {
	if q := r.Quoted.TTL; r.IsQuoted() && q >= 1 && q <= sent {
		return sent - q + 1
	}
	return 0
}

// contradicted reports whether another address answered a time-exceeded at hop
// or farther away: then the reply can't be from there.
func (l *places) contradicted(from netip.Addr, hop uint8) bool {
	other := l.farthest[0]
	if other.from == from {
		other = l.farthest[1]
	}
	return other.ttl >= hop
}

// ending is Path.End, from what is known already.
func (l *places) ending() uint8 {
	if l.path.endedBy(l.target, l.nearest, l.farthest[0].ttl) {
		return l.nearest
	}
	if !l.stale {
		return l.end
	}
	l.end, l.stale = 0, false
	for _, at := range l.others {
		if r, _ := l.at(at); at.extra == firstReply && l.path.refuses(r) && !r.IsUnverified() && r.Hop >= l.farthest[0].ttl {
			l.end = lowest(l.end, r.Hop)
		}
	}
	return l.end
}
