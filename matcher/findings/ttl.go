package findings

import (
	"fmt"

	"github.com/tracewire/tracewire/matcher"
)

// quotedTTL is the TTL that all time-exceededs of a hop quote, if they agree.
// Where a probe expired it should be 1.
func (v *view) quotedTTL(hop uint8) perhaps {
	return agreed(v.exceeded(hop), func(a answer) int { return int(a.reply.Quoted.TTL) })
}

// sortOfTTL says what the quoted TTL of a hop's time-exceededs shows.
func sortOfTTL(hop, quoted int) ttlSort {
	switch {
	case quoted == 1:
		return normalTTL
	case quoted == 0:
		return usedUpTTL
	case quoted == hop:
		return restoredTTL
	case quoted > hop:
		return aboveTTL
	}
	return raisedTTL
}

// ttlRule finds time-exceededs that quote a TTL with which nothing expires.
//
// A TTL of 0 at a router that is not the next hop too is decremented before it is
// quoted; a TTL as it was sent, at several hops, is restored by something on
// the way back, and never MPLS; one above that is nonsense. What zeroTTLRule,
// explicitRule or implicitRule explain is theirs.
func ttlRule(v *view, r *record) (found []Finding) {
	look := func(a answer) (ttlSort, bool) {
		quoted := v.quoted[a.reply.Hop]
		if a.reply.Kind != matcher.TimeExceeded || !quoted.known || r.explainsHop(a.reply.Hop, keyZeroTTL, keyExplicit, keyImplicit) {
			return normalTTL, false
		}
		return sortOfTTL(int(a.reply.Hop), quoted.n), true
	}
	for _, t := range turns(stretches(v, 1, look), false) {
		if t.key == normalTTL {
			continue
		}
		f := Finding{Kind: TTLRewrite, HopFrom: t.first, HopTo: t.last, Evidence: t.evidence(), Confidence: Likely}
		f.Detail = fmt.Sprintf(saysOnlyQuotedTTL, who(&t.stretch), t.key)
		switch {
		case t.key == restoredTTL && !t.single() && t.cause == byPath:
			f.HopFrom, f.HopTo = t.from, t.to
			f.Detail = fmt.Sprintf(saysRestoredTTL, t.to)
		case t.key == restoredTTL && t.single() && t.first == 2:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf(saysSecondOfTunnel, who(&t.stretch))
		case t.key == usedUpTTL && t.cause != byRouter:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf(saysUsedUpTTL, who(&t.stretch), t.key)
		case t.key == aboveTTL:
			f.Confidence = Certain
		}
		found = append(found, f)
	}
	return found
}

// zeroTTLRule finds a router that forwards packets whose TTL has run out: the
// next one then answers for it, quoting TTL 0, and again for its own hop, quoting
// 1 (Augustin et al., "Avoiding traceroute anomalies with Paris traceroute",
// 2006). Several such routers in a row make it answer for all of them. Either sign
// alone has other causes; both together have none known.
func zeroTTLRule(v *view) (found []Finding) {
	for hop := 1; hop < int(v.last); hop++ {
		last := hop
		for last < int(v.last) && v.quoted[last] == (perhaps{0, true}) && v.sameRouter(last, last+1) {
			last++
		}
		if last == hop || v.quoted[last] != (perhaps{1, true}) {
			continue
		}
		f := Finding{Kind: ZeroTTL, HopFrom: uint8(hop), HopTo: uint8(last), Confidence: Certain}
		for h := hop; h <= last; h++ {
			f.Evidence = append(f.Evidence, numbers(v.exceeded(uint8(h)))...)
		}
		from, _ := v.router(uint8(last))
		f.Detail = fmt.Sprintf(saysZeroTTL, hop, from, last)
		found = append(found, f)
		hop = last
	}
	return found
}

// zeroTTLTargetRule is zeroTTLRule for the last router: the target answers
// probes that should have expired there, quoting TTL 0, and each farther one
// quoting one more. A target that decrements before it quotes would look the same.
func zeroTTLTargetRule(v *view) []Finding {
	var evidence []int
	zero, farther := false, false
	for _, a := range v.at[v.end] {
		if !v.isTarget(a.reply) || a.reply.Kind == matcher.TimeExceeded || !a.reply.IsQuoted() {
			continue
		}
		if int(a.probe.TTL)-int(v.end) != int(a.reply.Quoted.TTL) {
			return nil
		}
		zero = zero || a.reply.Quoted.TTL == 0
		farther = farther || a.reply.Quoted.TTL > 0
		evidence = append(evidence, a.probe.Number)
	}
	if !zero || !farther {
		return nil
	}
	return []Finding{{
		Kind: ZeroTTL, HopFrom: v.end, HopTo: v.end, Evidence: evidence, Confidence: Likely,
		Detail: fmt.Sprintf(saysZeroTTLTarget, v.end),
	}}
}
