package findings

import (
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
)

// WaysBack returns, for the replies of a trace, by how many hops each has come if it
// took another way than its probe, else 0: path.Reply.WayBack counts the routers
// between. It is 0 too where that can't be told, as the findings say: where
// packets go round, where something sets the TTL of replies or raises that of
// probes, where a router answers for one before it, and where the hop of a reply is
// not how far its sender is.
func WaysBack(p *path.Path) func(*path.Reply) int {
	v := newView(p)
	untold := v.untold()
	return func(r *path.Reply) int {
		if v.detour(r, untold) == 0 {
			return 0
		}
		return r.WayBack() + 1
	}
}

// untold are the findings of where a way back can't be compared with the way there.
func (v *view) untold() []Finding {
	return slices.Concat(zeroTTLRule(v), zeroTTLTargetRule(v), loopRule(v), raisedRule(v))
}

// detour is path.Reply.Detour, or 0 where that can't be told.
func (v *view) detour(r *path.Reply, untold []Finding) int {
	if r.Hop == 0 || !v.placed(r) || within(untold, r.Hop) || v.setBack(r.Hop) {
		return 0
	}
	return r.Detour()
}
