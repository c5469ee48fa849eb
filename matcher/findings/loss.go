package findings

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/gopacket/layers"
)

// How unlikely it must be, at the rate of a loss, that hops lose nothing for the
// loss to be beyond them, and that the nearer of its hops lose so much more than
// those behind them for it to be none.
const (
	chanceClean = 0.001
	chanceLess  = 0.02
)

// lossRule finds where probes or replies get lost, by the probes that were not answered
// at hops that answer others and don't limit their replies.
//
// It is loss if all hops from some one on lose about as much, and three probes or more
// at two hops. It is nearer than the first of these hops, and beyond the last of which
// so many probes were all answered that they can't have passed it. If one of the farther hops loses much less, it is no
// loss; nothing is concluded then. If the last loses none, several hops may limit
// their replies a little, each of its own. At the last hop alone it may be a limit: it
// is no loss if a token bucket would leave out the same probes, however few they are,
// and if that hop isn't the target, it is all that can be expected of who refuses. The
// capture's own losses would look the same.
//
// In the simulated traces that rateLimitRule speaks of, at most 1 of 200 shows
// the loss at the wrong hops. A loss of 20 % at
// the first link or the fifth is found in 17 of 20 or more, one of 2 % in 1 of 100 to
// 2 of 3, and one at the last link seldom if there are 3 queries. In 2,000 with a target
// that answers 1 to 6 probes at once and then 1 to 100 a second, none shows a loss;
// where the fifth link loses 10 % too, 19 of 2,000 show that at the wrong hops.
func lossRule(v *view, r *record) []Finding {
	rest := slices.DeleteFunc(v.turnouts(r), func(t turnout) bool { return r.explainsHop(t.hop, keyRateLimit) })
	return v.loss(withoutOvershot(rest))
}

// loss is the finding of what gets lost on the way, at the hops that don't limit
// their replies.
func (v *view) loss(all []turnout) []Finding {
	first := 0
	for first < len(all) && all[first].lost == 0 {
		first++
	}
	asked, lost := total(all[first:])
	isLast := first == len(all)-1
	switch {
	case lost < 3, isLast && !v.path.Reached(), !isLast && distinctLosers(all[first:]) < 2:
		return nil
	case isLast && v.path.Protocol != layers.IPProtocolTCP && all[first].isBucket():
		return nil
	}
	rate := float64(lost) / float64(asked)
	for i := first + 1; i < len(all); i++ {
		if nearAsked, nearLost := total(all[first:i]); atLeast(nearLost, nearAsked, lost, asked) < chanceLess {
			return nil
		}
	}
	f := Finding{Kind: Loss, HopTo: all[first].hop, Confidence: Likely}
	clean := 0
	for i := first - 1; i >= 0 && f.HopFrom == 0; i-- {
		if clean += len(all[i].probes); math.Pow(1-rate, float64(clean)) < chanceClean {
			f.HopFrom = all[i].hop
		}
	}
	for i := first; i < len(all); i++ {
		f.Evidence = append(f.Evidence, all[i].lostProbes()...)
	}
	f.Detail = fmt.Sprintf(saysLoss, f.HopTo, lost, asked)
	switch {
	case !isLast && all[len(all)-1].lost == 0:
		f.Confidence = Possible
		f.Detail = fmt.Sprintf(saysLossOrLimits, f.HopTo, lost, asked)
	case isLast:
		f.Confidence = Possible
		f.Detail = fmt.Sprintf(saysLastLoss, f.HopTo, lost, asked)
	}
	if dropped := v.path.Counters.Dropped; dropped > 0 {
		f.Confidence = Possible
		f.Detail = fmt.Sprintf(saysLossOrCapture, f.HopTo, lost, asked, dropped)
	}
	return []Finding{f}
}

// withoutOvershot are the turnouts of what the trace meant to ask each hop: a probe that
// went beyond the end of the path did reach the end, and is one of its queries only if it
// was answered. The end has enough to answer with those that were meant for it, and
// many limit their answers, as Linux does by default: such probes show nothing of the path.
// A hop that answered none then shows nothing either.
func withoutOvershot(all []turnout) (kept []turnout) {
	for i := range all {
		t := turnout{hop: all[i].hop}
		for _, p := range all[i].probes {
			if p.Overshot(t.hop) {
				continue
			}
			t.probes = append(t.probes, p)
			if p.Reply == nil {
				t.lost++
			}
		}
		if !t.silent() {
			kept = append(kept, t)
		}
	}
	return kept
}
