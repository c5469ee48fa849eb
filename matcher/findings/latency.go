package findings

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tracewire/tracewire/matcher/path"
)

// leastLatency is the least rise of the round trip that is a finding: 30 ms is what
// 3,000 km of fibre take, more than lies between most routers. A rise must also be
// half of the whole round trip or more, to be where most of the time goes.
const leastLatency = 30 * time.Millisecond

// leastSlow is by how much a router must answer later than those behind it: 20 ms
// is more than a router that is not busy takes to make an ICMP error.
const leastSlow = 20 * time.Millisecond

// timedAt are the round trips of a hop's answers in time, where they are known.
func (v *view) timedAt(hop uint8) []time.Duration {
	rtts := make([]time.Duration, 0, len(v.at[hop]))
	for _, a := range v.at[hop] {
		if a.probe.Status == path.Replied && a.reply.HasRTT {
			rtts = append(rtts, a.reply.RTT)
		}
	}
	return rtts
}

// latencyRule finds the hop from which on all round trips are much longer than
// before it: a long link, or a queue. What a single router takes longer is its
// own. Round trips that vary differ by chance: those of the hops just before have
// to be within half of the rise, and enough replies to show it. At most one hop has
// half of the round trip.
//
// In simulated traces of 9 hops with a link that adds up to 100 ms each way, each
// packet anew, at most 4 in 100 show it at the wrong hop.
func latencyRule(v *view) []Finding {
	var fastest [257]time.Duration // by hop: of it and those behind it
	fastest[256] = math.MaxInt64
	for hop := 255; hop > 0; hop-- {
		fastest[hop] = fastest[hop+1]
		for _, rtt := range v.timed[hop] {
			fastest[hop] = min(fastest[hop], rtt)
		}
	}
	last := 0 // the farthest hop with a round trip
	for hop := 1; hop <= int(v.last); hop++ {
		if len(v.timed[hop]) > 0 {
			last = hop
		}
	}
	before := 0
	for hop := 1; hop <= last; hop++ {
		if len(v.timed[hop]) == 0 {
			continue
		}
		rise := fastest[hop]
		if before > 0 {
			rise -= fastest[before]
		}
		if rise >= leastLatency && 2*rise >= fastest[last] && v.steps(before, hop, fastest[hop], rise) {
			return []Finding{v.latency(uint8(before), uint8(hop), rise, fastest[last])}
		}
		before = hop
	}
	return nil
}

// How many replies have to show a rise, on each side of it.
const (
	enoughBefore = 4 // or all there are, if these are leastReplies
	leastReplies = 3
)

// steps reports whether enough replies show that round trips rise to a time from a
// hop on, by more than those before it vary.
func (v *view) steps(before, hop int, to, rise time.Duration) bool {
	far := 0
	for h := hop; h <= int(v.last); h++ {
		far += len(v.timed[h])
	}
	if far < leastReplies || before == 0 {
		return far >= leastReplies
	}
	var near []time.Duration
	for h, hops := before, 0; h > 0 && (len(near) < enoughBefore || hops < 2); h-- {
		rtts := v.timed[h]
		if len(rtts) > 0 && slices.Min(rtts) < to { // else it is slow to answer
			near = append(near, rtts...)
			hops++
		}
	}
	return len(near) >= leastReplies && slices.Max(near)-slices.Min(near) <= rise/2
}

// separated is how likely chance leaves all but some of the first n values on one
// side of all of m others.
func separated(n, but, m int) float64 {
	return math.Exp(lnWays(m+but, but) - lnWays(n+m, n))
}

func (v *view) latency(from, to uint8, rise, whole time.Duration) Finding {
	f := Finding{Kind: Latency, HopFrom: from, HopTo: to, Confidence: Likely}
	for h := int(to); h <= int(v.last); h++ {
		f.Evidence = append(f.Evidence, numbers(v.at[h])...)
	}
	what := saysLink
	if to == v.end && v.path.Reached() {
		what = saysLinkOrTarget
	}
	f.Detail = fmt.Sprintf(saysLatency,
		to, inMS(rise), inMS(whole), v.last, what)
	return f
}

// slowRepliesRule finds routers whose replies take much longer than those of the
// hops behind them, though these passed the router on both ways: it forwards
// without delay and is slow to make ICMP errors, as routers are whose control
// plane is busy or guarded. A way back of its own that is longer looks the same.
// Where labels say that replies first go on to the end of a tunnel, nothing is
// found. Neither is what chance can do among the hops, unless all that is close to the
// router varies by no more than half of the difference.
func slowRepliesRule(v *view, r *record) (found []Finding) {
	for hop := 1; hop < int(v.last); hop++ {
		own := v.timed[hop]
		if len(own) == 0 || r.explainsHop(uint8(hop), keyExplicit, keyImplicit) {
			continue
		}
		fastest, behind, over := own[0], []time.Duration{}, 0
		for _, rtt := range own {
			fastest = min(fastest, rtt)
		}
		for h := hop + 1; h <= int(v.last); h++ {
			behind = append(behind, v.timed[h]...)
		}
		least := time.Duration(math.MaxInt64)
		for _, rtt := range behind {
			least = min(least, rtt)
			if rtt >= fastest {
				over++
			}
		}
		chance := float64(v.last) * separated(len(behind), over, len(own))
		gap := fastest - least
		if len(behind) == 0 || gap < leastSlow || chance > chancePossible && !v.isSteady(hop, gap/2) {
			continue
		}
		f := Finding{Kind: SlowReplies, HopFrom: uint8(hop), HopTo: uint8(hop), Evidence: numbers(v.at[hop]), Confidence: Possible}
		if chance <= chanceLikely {
			f.Confidence = Likely
		}
		f.Detail = fmt.Sprintf(saysSlowReplies,
			hop, inMS(gap))
		found = append(found, f)
	}
	return found
}

// isSteady reports whether the round trips to a hop vary by no more than spread, and
// those to each of the nearest two behind it, and whether these are enough. That
// the second is behind a long link makes neither vary.
func (v *view) isSteady(hop int, spread time.Duration) bool {
	varies := func(rtts []time.Duration) bool { return slices.Max(rtts)-slices.Min(rtts) > spread }
	behind := 0
	for h, hops := hop+1, 0; h <= int(v.last) && hops < 2; h++ {
		if rtts := v.timed[h]; len(rtts) > 0 {
			if varies(rtts) {
				return false
			}
			behind += len(rtts)
			hops++
		}
	}
	return len(v.timed[hop]) >= leastReplies && behind >= enoughBefore && !varies(v.timed[hop])
}
