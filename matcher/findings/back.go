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
	_, r := run(v, slices.Max(placing))
	return func(reply *path.Reply) int {
		if v.detour(reply, r) == 0 {
			return 0
		}
		return reply.WayBack() + 1
	}
}

// isTold reports whether the way back from a hop can be compared with the way there.
func isTold(hop uint8, r *record) bool {
	return !r.explainsHop(hop, placing...) && !r.setsTTL(hop, keySetReplies)
}

// detour is path.Reply.Detour, or 0 where that can't be told.
func (v *view) detour(reply *path.Reply, r *record) int {
	if reply.Hop == 0 || !v.placed(reply) || !isTold(reply.Hop, r) {
		return 0
	}
	return reply.Detour()
}
