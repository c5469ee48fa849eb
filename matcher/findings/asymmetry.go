package findings

import (
	"fmt"
	"slices"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// wayBack is how many routers a reply passed, by the TTL that is left of what
// systems send with, if that many would be as likely as possible beside the
// expected number.
func wayBack(ttl uint8, expected int) int {
	best := 255 - int(ttl)
	for _, initial := range [...]int{128, 64, 32} {
		passed := initial - int(ttl)
		if passed >= 0 && distance(passed, expected) < distance(best, expected) {
			best = passed
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// excessAt is by how many routers the way back from a hop is longer than the way
// there, if all replies agree: of time-exceededs, and of what the target sends
// itself. Other errors' hops are not sure enough.
func (v *view) excessAt(hop uint8) perhaps {
	var all []answer
	for _, a := range v.at[hop] {
		if v.placed(a.reply) {
			all = append(all, a)
		}
	}
	if len(addresses(all)) != 1 {
		return perhaps{}
	}
	return agreed(all, func(a answer) int { return excessOf(a.reply) })
}

// placed reports whether a reply's hop is how far its sender is. The lowest TTL
// that drew an answer from the target may not be, if those below were lost: a
// router has to answer just before it, or the target to quote what was left.
func (v *view) placed(r *path.Reply) bool {
	if r.Kind == matcher.TimeExceeded {
		return true
	}
	return v.isTarget(r) && r.Hop != 0 && (v.counted[r.Hop] || len(v.at[r.Hop-1]) > 0)
}

func excessOf(r *path.Reply) int {
	there := int(r.Hop) - 1
	return wayBack(r.TTL, there) - there
}

// leastExcess is the least difference between the ways that is a finding: by one
// they differ too where a router decrements its own replies, or doesn't decrement
// at all.
const leastExcess = 2

// The ways back that are findings.
const (
	longer  = "longer"
	shorter = "shorter"
)

// asymmetryRule finds hops whose replies pass more or fewer routers than the
// probes did, by the TTL that replies arrive with: systems send them with 32,
// 64, 128 or 255, of which the one is taken that fits best. Where the path goes
// through MPLS routers that send replies on to the end of the tunnel, that is the
// cause, and the finding is the tunnel's, and where a router answers for one before
// it, that. A longer way back from some hop on may also be a tunnel which hides
// its routers on the way there and doesn't on the way back (FRPLA in Vanaubel et
// al., 2017): by itself it is no better a sign of that than of another route.
func asymmetryRule(v *view) (found []Finding) {
	explained := slices.Concat(explicitRule(v), implicitRule(v), uTurnRule(v), invisibleRule(v), zeroTTLRule(v))
	look := func(a answer) (string, bool) {
		excess := v.excess[a.reply.Hop]
		switch {
		case !excess.known || !v.placed(a.reply) || within(explained, a.reply.Hop):
			return "", false
		case excess.n >= leastExcess:
			return longer, true
		case excess.n <= -leastExcess:
			return shorter, true
		}
		return "", true
	}
	for _, t := range turns(v.stretches(1, look), true) {
		switch {
		case t.key == "":
			continue // symmetric again: the beginning tells it
		case overlaps(invisibleRule(v), t.from+1, t.to):
			continue // it began at the tunnel
		}
		f := Finding{Kind: Asymmetry, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: Likely}
		f.Detail = fmt.Sprintf("The way back from hop %d on is %s than the way there, by %s.", t.to, t.key, routers(&t.stretch))
		if t.key == longer {
			f.Detail = fmt.Sprintf("The way back from hop %d on is longer than the way there, by %s; or a tunnel hides them on the way there.", t.to, routers(&t.stretch))
		}
		if t.single() {
			f.HopFrom, f.HopTo = t.first, t.last
			f.Detail = fmt.Sprintf("Replies of %v come back a way that is %s than the way there, by %s.", t.routers[0], t.key, routers(&t.stretch))
		}
		found = append(found, f)
	}
	return found
}

// routers says by how many the ways differ.
func routers(s *stretch) string {
	least, most := 255, 0
	for _, x := range s.sights {
		excess := distance(excessOf(x.reply), 0)
		least, most = min(least, excess), max(most, excess)
	}
	if least == most {
		return fmt.Sprintf("%d routers", least)
	}
	return fmt.Sprintf("%d to %d routers", least, most)
}
