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

// spoofedExceededRule finds a router that sends time-exceededs in the target's
// name though other routers are behind it: the target can't be both. Where no
// router is behind it, targetExceededRule has it.
func spoofedExceededRule(v *view) (found []Finding) {
	farthest := v.farthestRouter()
	for hop := range v.hops {
		all := v.fromTarget(hop)
		if len(all) == 0 || hop >= farthest {
			continue
		}
		found = append(found, Finding{
			Kind: SpoofedTarget, HopFrom: hop, HopTo: hop, Evidence: numbers(all, v.exceeded(farthest)), Confidence: Certain,
			Detail: fmt.Sprintf("Hop %d sends time-exceededs as %v, the destination, but routers as far as hop %d are behind it.",
				hop, v.path.Target.Addr, farthest),
		})
	}
	return found
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
		f.Detail = fmt.Sprintf("Answers as %v, the destination, passed %d routers more or fewer: they have two senders.", v.path.Target.Addr, most-least)
	case farthest >= v.end && v.end != 0:
		f.HopTo = farthest
		f.Evidence = append(f.Evidence, numbers(v.exceeded(farthest))...)
		f.Detail = fmt.Sprintf("%v, the destination, seems to answer at hop %d, but a router answers at hop %d.", v.path.Target.Addr, v.end, farthest)
	default:
		return nil
	}
	return []Finding{f}
}

// targetExceededRule finds time-exceededs from the target's address with no
// router behind: usually a translator or balancer with that address, behind
// which the real target is. A router just before the target that takes its
// name looks the same.
func targetExceededRule(v *view) []Finding {
	f := Finding{Kind: TargetExceeded, Confidence: Certain}
	farthest := v.farthestRouter()
	for hop := range v.hops {
		all := v.fromTarget(hop)
		if len(all) == 0 || hop < farthest {
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
	f.Detail = fmt.Sprintf("%v lets probes expire that are for itself: it translates or balances for hosts behind it.", v.path.Target.Addr)
	return []Finding{f}
}

// hopMismatchRule finds routers that refuse packets, but only those sent with a
// higher TTL than it takes to get there, so that a tool which goes by the TTL
// shows the refusal too far away: the router refuses when it forwards, or did
// not answer the first. Which hop it is follows from a time-exceeded of the same
// address, or from the quoted TTL alone, which may be off by one.
func hopMismatchRule(v *view) (found []Finding) {
	for hop := range v.hops {
		lowest := map[string]answer{}
		for _, a := range v.refusals(hop) {
			from := a.reply.From.String()
			if old, known := lowest[from]; !known || a.probe.TTL < old.probe.TTL {
				lowest[from] = a
			}
		}
		for _, a := range v.refusals(hop) {
			if lowest[a.reply.From.String()] != a || a.probe.TTL <= hop {
				continue
			}
			found = append(found, mismatch(a))
		}
	}
	return found
}

// refusals are a hop's errors that say that the target can't be reached. That
// a packet is too long is for whoever forwards to say.
func (v *view) refusals(hop uint8) (all []answer) {
	for _, a := range v.at[hop] {
		if k := a.reply.Kind; (k == matcher.Unreachable || k == matcher.ParameterProblem) && !v.isTarget(a.reply) {
			all = append(all, a)
		}
	}
	return all
}

func mismatch(a answer) Finding {
	f := Finding{
		Kind: HopMismatch, HopFrom: a.reply.Hop, HopTo: a.probe.TTL, Evidence: []int{a.probe.Number}, Confidence: Certain,
		Detail: fmt.Sprintf("%v refuses packets sent with TTL %d or more, but is hop %d: it refuses as it forwards.",
			a.reply.From, a.probe.TTL, a.reply.Hop),
	}
	if a.reply.Basis != path.BySameAddress {
		f.Confidence = Possible
		f.Detail = fmt.Sprintf("%v refuses packets sent with TTL %d or more, but by its quote is hop %d, give or take one.",
			a.reply.From, a.probe.TTL, a.reply.Hop)
	}
	return f
}
