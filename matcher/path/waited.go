package path

import (
	"slices"
	"time"
)

// roundTrips are what is known of round trips when a wait is decided.
type roundTrips struct {
	rtt   [256]time.Duration // by TTL: the latest of a reply in time
	known [256]bool          // by TTL: whether rtt is set
}

func (t *roundTrips) heard(ttl uint8, rtt time.Duration) { t.rtt[ttl], t.known[ttl] = rtt, true }

// of is how long a reply to a probe with this TTL is waited for.
func (w Wait) of(ttl uint8, known *roundTrips) time.Duration {
	if w.Here > 0 && known.known[ttl] {
		return w.bounded(w.Here, known.rtt[ttl])
	}
	for t := int(ttl) + 1; w.Near > 0 && t <= 255; t++ {
		if known.known[t] {
			return w.bounded(w.Near, known.rtt[t])
		}
	}
	return w.Max
}

func (w Wait) bounded(factor float64, rtt time.Duration) time.Duration {
	return min(max(time.Duration(factor*float64(rtt)), MinWait), w.Max)
}

// Waited is how long a reply to a probe of the Path was waited for, before the
// probe was given up or would have been: what a late reply was too late by is
// its round trip less this. Steps of the clock are not counted.
func (p *Path) Waited(probe int) time.Duration {
	asked := &p.Probes[probe]
	wait := p.Parameters.Wait
	if p.Clock.Captured {
		return wait.Max
	}
	grace := time.Duration(0)
	if asked.SentClock == User {
		grace = copyGrace
	}
	var known roundTrips
	for _, at := range p.inTime() {
		r := p.Probes[at].Reply
		since := r.Received.Sub(asked.Sent)
		if waited := wait.of(asked.TTL, &known) + grace; since > waited {
			return waited
		}
		known.heard(p.Probes[at].TTL, r.RTT)
		// What shortens the wait to less than was waited ends it.
		if waited := wait.of(asked.TTL, &known) + grace; since > waited {
			return since
		}
	}
	return wait.of(asked.TTL, &known) + grace
}

// inTime are the probes that were answered in time, and with a round trip, in the
// order of the replies.
func (p *Path) inTime() (probes []int) {
	for i := range p.Probes {
		if p.Probes[i].Status == Replied && p.Probes[i].Reply.HasRTT {
			probes = append(probes, i)
		}
	}
	slices.SortStableFunc(probes, func(a, b int) int {
		return p.Probes[a].Reply.Received.Compare(p.Probes[b].Reply.Received)
	})
	return probes
}
