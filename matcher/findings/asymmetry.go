package findings

import (
	"fmt"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

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

func excessOf(r *path.Reply) int { return r.WayBack() - (int(r.Hop) - 1) }

// The ways back that are findings.
const (
	asThere wayBack = iota
	longer
	shorter
)

// wayBack is how long a way back is beside the way there.
type wayBack uint8

// String returns the adjective; of asThere there is no finding.
func (w wayBack) String() string {
	return [...]string{asThere: "", longer: "longer", shorter: "shorter"}[w]
}

// asymmetryRule finds hops whose replies pass more or fewer routers than the
// probes did, by the TTL that replies arrive with (path.Reply.WayBack). Where the
// path goes through MPLS routers that send replies on to the end of the tunnel,
// that is the cause, and the finding is the tunnel's; where a router answers for
// one before it, that; where packets go round, the loop; and where something sets
// the TTL, that. A longer way back from some hop on may also be a tunnel which
// hides its routers on the way there and doesn't on the way back (FRPLA in
// Vanaubel et al., 2017): by itself it is no better a sign of that than of another
// route. If the target shows it and quotes nothing, its distance may be wrong
// instead: something before it may raise the TTL of probes.
func asymmetryRule(v *view, r *record) (found []Finding) {
	look := func(a answer) (wayBack, bool) {
		detour := v.detour(a.reply, r)
		switch {
		case !v.excess[a.reply.Hop].known || !v.placed(a.reply) || !isTold(a.reply.Hop, r) || r.explainsHop(a.reply.Hop, tunnels...):
			return asThere, false
		case detour > 0:
			return longer, true
		case detour < 0:
			return shorter, true
		}
		return asThere, true
	}
	for _, t := range turns(stretches(v, 1, look), true) {
		switch {
		case t.key == asThere:
			continue // symmetric again: the beginning tells it
		case r.overlaps(t.from+1, t.to, keyInvisible):
			continue // it began at the tunnel
		}
		f := Finding{Kind: Asymmetry, HopFrom: t.from, HopTo: t.to, Evidence: t.evidence(), Confidence: Likely}
		f.Detail = fmt.Sprintf(saysWayBack, t.to, t.key, routers(&t.stretch))
		if t.key == longer {
			f.Detail = fmt.Sprintf(saysLongerOrTunnel, t.to, routers(&t.stretch))
		}
		if t.single() {
			f.HopFrom, f.HopTo = t.first, t.last
			f.Detail = fmt.Sprintf(saysReplyBack, t.routers[0], t.key, routers(&t.stretch))
			if a := t.sights[0].answer; t.key == longer && v.isTarget(a.reply) && !a.reply.IsQuoted() {
				f.Detail = fmt.Sprintf(saysTargetBack,
					t.routers[0], routers(&t.stretch))
			}
		}
		found = append(found, f)
	}
	return found
}
