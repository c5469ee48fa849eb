package findings

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
)

// turnout is how many of the probes that stand at a hop were answered.
type turnout struct {
	hop    uint8
	probes []*path.Probe // in the order of sending
	lost   int
}

func (t *turnout) silent() bool { return t.lost == len(t.probes) }

func (t *turnout) lostProbes() (probes []int) {
	for _, p := range t.probes {
		if p.Reply == nil {
			probes = append(probes, p.Number)
		}
	}
	return probes
}

// turnouts are those of the hops that answered at least once.
func (v *view) turnouts(r *record) (all []turnout) {
	for _, h := range v.path.Hops() {
		t := turnout{hop: h.TTL}
		for i := range h.Probes {
			if p := &h.Probes[i]; h.TTL != 0 && v.concluded(p, r) {
				t.probes = append(t.probes, p)
				if p.Reply == nil {
					t.lost++
				}
			}
		}
		if !t.silent() {
			all = append(all, t)
		}
	}
	return all
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

// concluded reports whether it is known that a probe was answered, or that it
// wasn't: in a capture that ended soon after, or that missed frames, it isn't, nor of
// one that was only sent to see whether it is too long.
func (v *view) concluded(p *path.Probe, r *record) bool {
	switch {
	case p.Reply != nil:
		return p.TTL != 0
	case p.Status == path.Unsent || p.Status == path.Outstanding || p.Status == path.Abandoned:
		return false
	case r.explainsProbe(p.Number, keyCaptureLoss) || r.explainsProbe(p.Number, keyMTU):
		return false
	case v.path.Clock.Captured || v.path.Interrupted:
		return v.path.Ended.Sub(p.Sent) >= soon
	}
	return true
}

// soon is how long almost all replies take at most.
const soon = 2 * time.Second

// How unlikely chance must be as the explanation of a hop that answers less than
// the others, for a finding of each confidence.
const (
	chancePossible = 0.02
	chanceLikely   = 0.001
	chanceCertain  = 0.0001
)

// How unlikely it must be, at the rate of a loss, that hops lose nothing for the
// loss to be beyond them, and that the nearer of its hops lose so much more than
// those behind them for it to be none.
const (
	chanceClean = 0.001
	chanceLess  = 0.02
)

// rateLimitRule finds hops that limit their replies: they leave probes unanswered, and
// answer others.
//
// A hop limits its replies if those behind it answer more, since their probes
// and replies passed it; or if what it left out is just what a token bucket
// would: none of a first burst, then whatever comes too soon after an answer. How
// likely chance does as much is reckoned, from how many probes were lost behind
// it. At the last hop the second sign must be enough, and in TCP neither is: a
// host answers the same SYN again differently.
//
// In simulated traces of 9 hops with a link that loses 2 to 40 % each way, 200 for
// each of several rates, links and numbers of queries (3 or 10), at most 9 show a
// limit, as possible.
func rateLimitRule(v *view, r *record) (found []Finding) {
	all := v.turnouts(r)
	candidates := distinctLosers(all)
	var rest []turnout // behind the hop that is looked at, without those that limit
	for i := len(all) - 1; i >= 0; i-- {
		t := &all[i]
		if f, limits := v.limit(t, rest, candidates); limits {
			found = append(found, f)
			continue
		}
		rest = append([]turnout{*t}, rest...)
	}
	return found
}

// lossRule finds where probes or replies get lost, by the probes that were not answered
// at hops that answer others and don't limit their replies.
//
// It is loss if all hops from some one on lose about as much, and three probes or more
// at two hops. It is nearer than the first of
// these hops, and beyond the last of which so many probes were all answered that
// they can't have passed it. If one of the farther hops loses much less, it is no
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

// limit is the finding of a hop that limits its replies, if it does. It is one of
// so many candidates, among which chance can choose.
func (v *view) limit(t *turnout, behind []turnout, candidates int) (Finding, bool) {
	if t.lost == 0 || t.hop == v.end && v.path.Protocol == layers.IPProtocolTCP {
		return Finding{}, false
	}
	chance, how := float64(candidates), ""
	if asked, lost := total(behind); asked > 0 {
		chance *= atLeast(t.lost, len(t.probes), t.lost+lost, len(t.probes)+asked)
		how = fmt.Sprintf(", farther hops %d of %d", asked-lost, asked)
	}
	if t.isBucket() {
		chance *= math.Min(1, float64(t.buckets())/ways(len(t.probes), t.lost))
		how += "; it leaves out those that come soon after others"
	}
	f := Finding{Kind: RateLimit, HopFrom: t.hop, HopTo: t.hop, Evidence: t.lostProbes(), Confidence: Possible}
	f.Detail = fmt.Sprintf("Hop %d answers %d of %d probes%s: it limits its replies.", t.hop, len(t.probes)-t.lost, len(t.probes), how)
	switch {
	case chance <= chanceCertain:
		f.Confidence = Certain
	case chance <= chanceLikely:
		f.Confidence = Likely
	}
	return f, chance <= chancePossible
}

// isBucket reports whether a token bucket explains which probes were answered: a
// first burst, and then those that came long enough after the answered one
// before. No probe that was left out may have waited longer than one that was
// answered.
func (t *turnout) isBucket() bool {
	burst := true
	var last time.Time // an answered probe was sent
	longestLost, shortestAnswered := time.Duration(-1), time.Duration(math.MaxInt64)
	for i, p := range t.probes {
		if p.Reply == nil {
			if i == 0 {
				return false
			}
			burst = false
			longestLost = max(longestLost, p.Sent.Sub(last))
			continue
		}
		if !burst {
			shortestAnswered = min(shortestAnswered, p.Sent.Sub(last))
		}
		last = p.Sent
	}
	return longestLost < shortestAnswered
}

// buckets is about how many token buckets would leave out as many probes: one, if
// nothing is answered any more after the burst, else one for each length of that.
func (t *turnout) buckets() int {
	lost := 0
	for i := len(t.probes) - 1; i >= 0 && t.probes[i].Reply == nil; i-- {
		lost++
	}
	if lost == t.lost {
		return 1
	}
	return len(t.probes) - t.lost
}

func total(all []turnout) (asked, lost int) {
	for i := range all {
		asked += len(all[i].probes)
		lost += all[i].lost
	}
	return asked, lost
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
	f.Detail = fmt.Sprintf("From hop %d on %d of %d probes get no reply.", f.HopTo, lost, asked)
	switch {
	case !isLast && all[len(all)-1].lost == 0:
		f.Confidence = Possible
		f.Detail = fmt.Sprintf("From hop %d on %d of %d probes get no reply: they get lost, or several hops limit their replies.", f.HopTo, lost, asked)
	case isLast:
		f.Confidence = Possible
		f.Detail = fmt.Sprintf("Hop %d, the last, doesn't answer %d of %d probes: they get lost, or it limits its replies.", f.HopTo, lost, asked)
	}
	if dropped := v.path.Counters.Dropped; dropped > 0 {
		f.Confidence = Possible
		f.Detail = fmt.Sprintf("From hop %d on %d of %d probes get no reply, but the capture lost %d frames itself.", f.HopTo, lost, asked, dropped)
	}
	return []Finding{f}
}

// distinctLosers is how many of the hops left probes unanswered.
func distinctLosers(all []turnout) (n int) {
	for i := range all {
		if all[i].lost > 0 {
			n++
		}
	}
	return n
}

// atLeast is how likely it is to find k or more lost ones among n drawn from a
// total of which so many are lost.
func atLeast(k, n, lost, total int) (p float64) {
	for ; k <= min(n, lost); k++ {
		p += math.Exp(lnWays(lost, k) + lnWays(total-lost, n-k) - lnWays(total, n))
	}
	return p
}

// ways is in how many ways k of n can be chosen.
func ways(n, k int) float64 { return math.Exp(lnWays(n, k)) }

func lnWays(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
