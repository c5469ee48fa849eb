package findings

import (
	"fmt"

	"github.com/tracewire/tracewire/matcher"
)

// A device may give packets a new TTL as it forwards them, as a firewall's rule (nft:
// ip ttl set) and some NATs of virtual machines do.

// raisedProbesRule finds that a device raises the TTL of probes: the target quotes a
// higher one than was sent. All probes that pass the device get to the target, and
// hops between the two are not seen.
func raisedProbesRule(v *view) []Finding {
	f := Finding{Kind: TTLRaised, HopFrom: v.before(v.end), HopTo: v.end, Confidence: Likely}
	var example answer
	for _, a := range v.at[v.end] {
		r := a.reply
		if v.isTarget(r) && r.Kind == matcher.Unreachable && r.IsQuoted() && r.Quoted.TTL > a.probe.TTL {
			f.Evidence = append(f.Evidence, a.probe.Number)
			example = a
		}
	}
	switch len(f.Evidence) {
	case 0:
		return nil
	case 1:
	default:
		f.Confidence = Certain
	}
	f.Detail = fmt.Sprintf(saysRaisedProbes,
		v.end, example.probe.TTL, example.reply.Quoted.TTL)
	return []Finding{f}
}

// setRepliesRule finds that a device sets the TTL of replies: those of the farthest
// three hops or more all arrive with the same TTL, though each should have a lower one
// than those before it, so that the way back of the last one seems shorter than the
// way there. At two hops that is as likely another way back.
func setRepliesRule(v *view) []Finding {
	s, ok := v.sameTTL()
	if !ok {
		return nil
	}
	f := Finding{Kind: TTLRaised, HopFrom: s.first, HopTo: v.next(s.first), Evidence: s.evidence(), Confidence: Likely}
	f.Detail = fmt.Sprintf(saysSetReplies,
		s.first, s.last, s.key, s.first)
	return []Finding{f}
}

// theirHopsOnward explains what is seen at the hops of the findings, and the TTL of
// replies from there on.
func theirHopsOnward(v *view, found []Finding) explanation {
	e := theirHops(v, found)
	for _, s := range e.hops {
		e.onward = s.first
	}
	return e
}

// leastSame is how many hops have to answer with the same TTL.
const leastSame = 3

// sameTTL is the stretch of hops, up to the last, whose replies all arrive with the
// same TTL, if it is long enough.
func (v *view) sameTTL() (stretch[uint8], bool) {
	all := stretches(v, 1, func(a answer) (uint8, bool) { return a.reply.TTL, v.placed(a.reply) })
	if len(all) == 0 {
		return stretch[uint8]{}, false
	}
	s := all[len(all)-1]
	hops := 0
	for hop := s.first; hop <= s.last && hop != 0; hop++ {
		if len(v.at[hop]) > 0 {
			hops++
		}
	}
	isShorter := s.sights[len(s.sights)-1].reply.Detour() < 0
	return s, hops >= leastSame && len(s.routers) >= leastSame && s.last == v.last && isShorter
}

// next is the nearest hop behind one that answers, or that one.
func (v *view) next(hop uint8) uint8 {
	for h := int(hop) + 1; h <= int(v.last); h++ {
		if len(v.at[h]) > 0 {
			return uint8(h)
		}
	}
	return hop
}

// before is the nearest hop before one that answers, or 0.
func (v *view) before(hop uint8) uint8 {
	for h := int(hop) - 1; h > 0; h-- {
		if len(v.at[h]) > 0 {
			return uint8(h)
		}
	}
	return 0
}
