package findings

import (
	"fmt"
	"math"
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

// limit is the finding of a hop that limits its replies, if it does. It is one of
// so many candidates, among which chance can choose.
func (v *view) limit(t *turnout, behind []turnout, candidates int) (Finding, bool) {
	if t.lost == 0 || t.hop == v.end && v.path.Protocol == layers.IPProtocolTCP {
		return Finding{}, false
	}
	chance, how := float64(candidates), ""
	if asked, lost := total(behind); asked > 0 {
		chance *= atLeast(t.lost, len(t.probes), t.lost+lost, len(t.probes)+asked)
		how = fmt.Sprintf(saysFartherAnswer, asked-lost, asked)
	}
	if t.isBucket() {
		chance *= math.Min(1, float64(t.buckets())/ways(len(t.probes), t.lost))
		how += saysIsBucket
	}
	f := Finding{Kind: RateLimit, HopFrom: t.hop, HopTo: t.hop, Evidence: t.lostProbes(), Confidence: Possible}
	f.Detail = fmt.Sprintf(saysLimits, t.hop, len(t.probes)-t.lost, len(t.probes), how)
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
