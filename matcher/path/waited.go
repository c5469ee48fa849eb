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
	if longest := factor * float64(rtt); longest < float64(w.Max) {
		return min(max(time.Duration(longest), MinWait), w.Max)
	}
	return w.Max
}

// Waits know how long a reply to each probe of a Path was waited for.
type Waits struct {
	path     *Path
	replies  []int               // see Path.inTime
	changing map[uint8][]setting // by TTL
}

// setting is the wait for replies to probes with one TTL from some time on.
type setting struct {
	from time.Time
	wait time.Duration
}

// Waits returns the Waits of a Path that is complete.
func (p *Path) Waits() *Waits {
	return &Waits{path: p, replies: p.inTime(), changing: map[uint8][]setting{}}
}

// Of is how long a reply to a probe was waited for, before the probe was given up or
// would have been: what a late reply was too late by is its round trip less this. Steps
// of the clock are not counted.
func (w *Waits) Of(probe int) time.Duration {
	asked := &w.path.Probes[probe]
	wait := w.path.Parameters.Wait
	if w.path.Clock.Captured {
		return wait.Max
	}
	grace := time.Duration(0)
	if asked.SentClock == User {
		grace = copyGrace
	}
	waited := wait.of(asked.TTL, &roundTrips{}) + grace
	for _, s := range w.settings(asked.TTL) {
		since := s.from.Sub(asked.Sent)
		if since > waited {
			return waited
		}
		// What shortens the wait to less than was waited ends it.
		if waited = s.wait + grace; since > waited {
			return since
		}
	}
	return waited
}

// settings are the waits for replies to probes with a TTL, in the order of time, but
// for the one that the trace begins with.
func (w *Waits) settings(ttl uint8) []setting {
	if known, ok := w.changing[ttl]; ok {
		return known
	}
	var all []setting
	var known roundTrips
	wait := w.path.Parameters.Wait
	nearest := 256 // of the TTLs that were answered and count
	for _, at := range w.replies {
		p := &w.path.Probes[at]
		if p.TTL < ttl || int(p.TTL) > nearest {
			continue
		}
		known.heard(p.TTL, p.Reply.RTT)
		if p.TTL > ttl || wait.Here > 0 {
			nearest = int(p.TTL)
		}
		all = append(all, setting{p.Reply.Received, wait.of(ttl, &known)})
	}
	w.changing[ttl] = all
	return all
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
