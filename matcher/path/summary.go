package path

import "github.com/tracewire/tracewire/matcher/stats"

// Summary is what the probes of a hop show together.
type Summary struct {
	// Sent is how many probes left. A probe that went beyond the end of the path
	// counts, at the hop where the path ends, only if it was answered.
	Sent int

	// Loss is how many of those whose deadline has passed, or that were answered, were
	// not. What is outstanding or abandoned is in neither number.
	Loss stats.Loss

	// Late is how many were answered after the wait was over. They are not lost.
	Late int

	// RTT has the round trips that are known, those of late replies included, in the
	// order of sending. Further replies to a probe are not in it.
	RTT stats.RTT
}

// Summary returns what the probes of the hop show together.
func (h Hop) Summary() Summary {
	var s Summary
	for i := range h.Probes {
		p := &h.Probes[i]
		if p.Status == Unsent || p.TTL == 0 || p.Overshot(h.TTL) {
			continue
		}
		s.Sent++
		switch p.Status {
		case Timeout:
			s.Loss.Lost++
			s.Loss.Of++
		case Late:
			s.Late++
			s.Loss.Of++
		case Replied:
			s.Loss.Of++
		}
		if p.Reply != nil && p.Reply.HasRTT {
			s.RTT.Add(p.Reply.RTT)
		}
	}
	return s
}
