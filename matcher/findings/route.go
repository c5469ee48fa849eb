package findings

import (
	"fmt"
)

// loopRule finds addresses that come round: the same ones in the same order, at
// least twice in a row (Viger et al., "Detection, understanding, and prevention
// of traceroute measurement artifacts", 2008). Once more, or up to the last TTL
// that was probed, and there is no other cause; less may be a path that changed
// during the trace. One address at three hops in a row or more is a loop
// inside one system, or a system that answers for those behind it.
func loopRule(v *view, r *record) (found []Finding) {
	for hop := 1; hop <= int(v.last); hop++ {
		if period, last := v.round(hop); period > 0 && !r.overlaps(uint8(hop), uint8(last), keyZeroTTL) {
			found = append(found, v.loop(uint8(hop), uint8(last), period))
			hop = last
		}
	}
	return found
}

// round is the shortest period with which routers come round from a hop on, and
// the last hop that is so; 0 if they don't.
func (v *view) round(first int) (period, last int) {
	for period = 1; first+2*period-1 <= int(v.last); period++ {
		last = first + period - 1
		for last < int(v.last) && v.sameRouter(last+1, last+1-period) {
			last++
		}
		rounds := (last - first + 1) / period
		if rounds >= 3 || rounds == 2 && period > 1 {
			return period, last
		}
	}
	return 0, 0
}

func (v *view) sameRouter(a, b int) bool {
	x, one := v.router(uint8(a))
	y, two := v.router(uint8(b))
	return one && two && x == y
}

func (v *view) loop(first, last uint8, period int) Finding {
	f := Finding{Kind: Loop, HopFrom: first, HopTo: last, Confidence: Likely}
	for h := int(first); h <= int(last); h++ {
		f.Evidence = append(f.Evidence, numbers(v.exceeded(uint8(h)))...)
	}
	length := int(last) - int(first) + 1
	f.Detail = fmt.Sprintf(saysLoop, period, first, last)
	switch {
	case period == 1:
		f.Confidence = Possible
		a, _ := v.router(first)
		f.Detail = fmt.Sprintf(saysLoopOfOne, a, length)
	case length >= 3*period:
		f.Confidence = Certain
	}
	return f
}

// several reports whether more than one router answers at a hop.
func (v *view) several(hop uint8) bool { return len(addresses(v.exceeded(hop))) > 1 }

// isBalanced reports whether any hop has several routers.
func (v *view) isBalanced() bool {
	for hop := range v.hops {
		if v.several(hop) {
			return true
		}
	}
	return false
}

// pathChangeRule finds hops at which several routers answer though all probes are
// of one flow. If each is seen before the others and never again, at all of the
// hops at the same time, the path changed; if they take turns, packets are
// balanced one by one. Few probes can't tell these apart. At one hop alone it may
// also be a single router that answers from several addresses. Where flows vary
// it is what balancers are for, and nothing is found. Nothing is said of hops
// that differ in who refuses or is the target.
func pathChangeRule(v *view) (found []Finding) {
	if !v.flow {
		return nil
	}
	for hop := 1; hop <= int(v.last); hop++ {
		first := hop
		for hop <= int(v.last) && v.several(uint8(hop)) {
			hop++
		}
		if first < hop {
			found = append(found, v.change(uint8(first), uint8(hop-1)))
		}
	}
	return found
}

// change is the finding of a row of hops that have several routers each.
func (v *view) change(first, last uint8) Finding {
	f := Finding{Kind: PathChange, HopFrom: v.steady(first, -1), HopTo: v.steady(last, 1), Confidence: Likely}
	if f.HopTo == 0 {
		f.HopTo = last
	}
	for h := int(first); h <= int(last); h++ {
		f.Evidence = append(f.Evidence, numbers(v.exceeded(uint8(h)))...)
	}
	when, after, once := v.switched(first, last)
	switch {
	case !once && first == last:
		f.Confidence = Possible
		f.Detail = fmt.Sprintf(saysTurnsAtHop,
			v.widest(first, last), first)
	case !once:
		f.Detail = fmt.Sprintf(saysTurns, v.widest(first, last))
	case after >= 3 && when >= 3:
		f.Detail = fmt.Sprintf(saysChanged, v.changedIn(first, last))
	default:
		f.Confidence = Possible
		f.Detail = fmt.Sprintf(saysChangedOrTurns, v.widest(first, last))
	}
	return f
}

// steady is the next hop in a direction that one router alone answers, or 0.
func (v *view) steady(from uint8, step int) uint8 {
	for h := int(from) + step; h >= 1 && h <= int(v.last); h += step {
		if len(v.at[h]) > 0 {
			return uint8(h)
		}
	}
	return 0
}

func (v *view) widest(first, last uint8) (n int) {
	for h := int(first); h <= int(last); h++ {
		n = max(n, len(addresses(v.exceeded(uint8(h)))))
	}
	return n
}

// switched reports whether there is a moment before which at each of the hops
// one router answered the probes sent by then, and after it another; and how
// many replies are from before and from after.
func (v *view) switched(first, last uint8) (before, after int, once bool) {
	latestOld, earliestNew := -1, len(v.path.Probes)
	for h := int(first); h <= int(last); h++ {
		all := v.exceeded(uint8(h))
		n := 0
		for n < len(all) && all[n].reply.From == all[0].reply.From {
			n++
		}
		if n == len(all) || len(addresses(all[n:])) > 1 {
			return 0, 0, false
		}
		latestOld, earliestNew = max(latestOld, all[n-1].probe.Number), min(earliestNew, all[n].probe.Number)
		before, after = before+n, after+len(all)-n
	}
	return before, after, latestOld < earliestNew
}

// changedIn is the round in which another router answered for the first time.
func (v *view) changedIn(first, last uint8) int {
	round := 0
	for h := int(first); h <= int(last); h++ {
		all := v.exceeded(uint8(h))
		for _, a := range all {
			if a.reply.From != all[0].reply.From && (round == 0 || a.probe.Round < round) {
				round = a.probe.Round
			}
		}
	}
	return round
}

// balancedRule finds hops at which several routers answer, in a trace of several
// flows: its lines mix hops of different ways, which no packet takes together.
// Balancers that go by the flow do that, and a change of the path looks the same.
func balancedRule(v *view) (found []Finding) {
	if !v.varies() {
		return nil
	}
	for hop := 1; hop <= int(v.last); hop++ {
		first := hop
		for hop <= int(v.last) && v.several(uint8(hop)) {
			hop++
		}
		if first == hop {
			continue
		}
		f := Finding{Kind: Balanced, HopFrom: v.before(uint8(first)), HopTo: v.next(uint8(hop - 1)), Confidence: Likely}
		for h := first; h < hop; h++ {
			f.Evidence = append(f.Evidence, numbers(v.exceeded(uint8(h)))...)
		}
		f.Detail = fmt.Sprintf(saysBalanced,
			v.widest(uint8(first), uint8(hop-1)))
		if v.path.Parameters.Classic {
			f.Detail += saysTryOneFlow
		}
		found = append(found, f)
	}
	return found
}
