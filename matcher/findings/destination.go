package findings

import (
	"fmt"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// fromTarget are a hop's time-exceededs in the target's name.
func (v *view) fromTarget(hop uint8) (all []answer) {
	for _, a := range v.exceeded(hop) {
		if v.isTarget(a.reply) {
			all = append(all, a)
		}
	}
	return all
}

// farthestRouter is the farthest hop at which a router answered in its own name.
func (v *view) farthestRouter() (farthest uint8) {
	for hop := range v.hops {
		if len(v.exceeded(hop)) > len(v.fromTarget(hop)) {
			farthest = hop
		}
	}
	return farthest
}

// leastContradiction is by how many routers two replies of the target must be
// apart to be from two senders: by less they may come back different ways.
const leastContradiction = 3

// spoofedRepliesRule finds somebody who answers as the target beside it: its
// answers contradict each other, by the routers that they passed; or a router
// answers from as far away or farther, for the same flow. An anycast target, or
// one behind a balancer, can do the former too, and a per-packet balancer with
// ways of different length the latter: where other hops show one, nothing is
// concluded. A middlebox that leaves the target no chance to answer is not seen.
func spoofedRepliesRule(v *view) []Finding {
	var all []answer
	least, most := 255, -255
	note := func(probe *path.Probe, r *path.Reply) {
		if !v.isTarget(r) || r.Kind == matcher.TimeExceeded || r.Hop != v.end || probe.TTL == 0 {
			return
		}
		all = append(all, answer{probe, r})
		least, most = min(least, excessOf(r)), max(most, excessOf(r))
	}
	for i := range v.path.Probes {
		probe := &v.path.Probes[i]
		if probe.Reply != nil {
			note(probe, probe.Reply)
		}
		for j := range probe.Extra {
			note(probe, &probe.Extra[j])
		}
	}
	if len(all) == 0 || !v.flow || v.isBalanced() {
		return nil
	}
	f := Finding{Kind: SpoofedTarget, HopFrom: v.end, HopTo: v.end, Evidence: numbers(all), Confidence: Likely}
	switch farthest := v.farthestRouter(); {
	case most-least >= leastContradiction:
		f.Detail = fmt.Sprintf(saysTwoSenders, v.path.Target.Addr, most-least)
	case farthest >= v.end && v.end != 0:
		f.HopTo = farthest
		f.Evidence = append(f.Evidence, numbers(v.exceeded(farthest))...)
		f.Detail = fmt.Sprintf(saysRouterBehind, v.path.Target.Addr, v.end, farthest)
	default:
		return nil
	}
	return []Finding{f}
}

// targetExceededRule finds time-exceededs from the target's address: usually of a
// translator or balancer with that address, behind which the real target is. Where
// routers answer behind it in their own names, it forwards ports (DNAT), or a
// middlebox answers in the target's name. A router just before the target that
// takes its name looks the same.
func targetExceededRule(v *view) []Finding {
	f := Finding{Kind: TargetExceeded, Confidence: Certain}
	for hop := range v.hops {
		all := v.fromTarget(hop)
		if len(all) == 0 {
			continue
		}
		if f.HopFrom == 0 {
			f.HopFrom = hop
		}
		f.HopTo = hop
		f.Evidence = append(f.Evidence, numbers(all)...)
	}
	if f.HopTo == 0 {
		return nil
	}
	f.Detail = fmt.Sprintf(saysTargetExceeded, v.path.Target.Addr)
	if farthest := v.farthestRouter(); farthest > f.HopFrom {
		f.Confidence = Likely
		f.Detail = fmt.Sprintf(saysForwards,
			v.path.Target.Addr, f.HopFrom, farthest)
	}
	return []Finding{f}
}
