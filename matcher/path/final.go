package path

import "slices"

// progress is how far a trace is that somebody watches.
type progress struct {
	round roundTrips
	open  open
	asked [256]uint16 // by TTL: probes with an outcome
	next  int         // the hop to decide next
	told  [256]bool   // by hop: whether it was told
	doubt bool        // the target gave answers that may be to other probes
}

// decide tells the hops of which nothing more is expected, each once and in
// order.
func (r *Recorder) decide() {
	pace := r.pace
	for pace.next <= 255 && int(pace.asked[pace.next]) >= r.path.Parameters.Queries {
		end := int(r.places.ending())
		if end == 0 && !r.passed(pace.next) || end != 0 && (pace.next > end || pace.next == end && pace.doubt) {
			return
		}
		if r.path.Parameters.MTU && !r.sized(pace.next, end) {
			return
		}
		r.tell(r.path.Hop(uint8(pace.next)), nil)
		pace.next++
	}
}

// tell emits that a hop, whose list of probes is its own, is final. The Path is that of a
// trace that is over.
func (r *Recorder) tell(h Hop, over *Path) {
	r.pace.told[h.TTL] = true
	h.detach()
	r.emit(Event{Kind: Decided, Hop: h, Path: over})
}

// passed reports whether it is known what became of a probe with a higher TTL.
// Until then a hop may still turn out to be one that lets nothing pass.
func (r *Recorder) passed(ttl int) bool {
	for t := ttl + 1; t <= int(r.path.Parameters.MaxTTL); t++ {
		if r.pace.asked[t] > 0 {
			return true
		}
	}
	return ttl >= int(r.path.Parameters.MaxTTL)
}

// sized reports whether a search for the MTU is through with a hop: it may take more
// than Queries, and has gone on when a higher TTL is asked. Of the last hop that
// isn't known before the trace is over.
func (r *Recorder) sized(ttl, end int) bool {
	if ttl == end || ttl >= int(r.path.Parameters.MaxTTL) || !r.passed(ttl) {
		return false
	}
	return !slices.ContainsFunc(r.pace.open.at(uint8(ttl)), func(n int) bool { return r.path.Probes[n].Status == Outstanding })
}
