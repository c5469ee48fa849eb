package plan

import "time"

// hop is what is known, at one moment, of the size that gets to a TTL.
type hop struct {
	*sizes
	plan *MTU
	ttl  uint8

	limit  int // the longest that may get there: what gets to the hop before
	low    int // the longest that did, as an answer shows; 0 if none
	high   int // the shortest that is known to be too long; limit + 1 if none
	stated int // what a router that refused high states; 0 if nothing
}

// then returns the hop behind h, which a probe of the length reached has got to
// or passed. Behind a hop that isn't known to be reached at all, what a router
// refused on the way to that one is too long as well.
func (h *hop) then(ttl uint8, reached int) *hop {
	next := hop{sizes: &h.plan.ttls[ttl], plan: h.plan, ttl: ttl, limit: h.limit, low: min(reached, h.limit)}
	switch {
	case h.sizes == nil: // h is the source
	case h.settled() || h.longest > 0:
		next.limit, next.low = h.low, min(reached, h.low)
	default:
		next.high, next.stated = h.high, h.stated
	}
	next.bound()
	return &next
}

// bound finds high. A length that got through is not too long, whatever a
// router says.
func (h *hop) bound() {
	if h.high <= h.low {
		h.high, h.stated = h.limit+1, 0
	}
	for length, t := range h.byLength {
		if length > h.low && length < h.high && (t.refused || h.lost(t)) {
			h.high, h.stated = length, t.stated
		}
	}
}

// lost reports whether a length was sent often enough to a hop that answers
// shorter ones. A hop that doesn't always answer the shortest either is given
// one more try for each time.
func (h *hop) lost(t *tally) bool {
	need := sizeTries
	if shortest := h.plan.Shortest; h.low > shortest {
		need += h.at(shortest).silent
	}
	return h.longest > 0 && t.silent >= need
}

// over reports whether the hop need not be waited for, be its size known or
// not.
func (h *hop) over() bool {
	length, _ := h.wants()
	return h.settled() || h.spent() || length == 0 && h.open == 0
}

// settled reports whether the hop's size is known.
func (h *hop) settled() bool {
	return h.low > 0 && (h.low >= h.limit || h.high == h.low+1 || h.stated == h.low)
}

// spent reports whether no more is to be found out about the hop's size.
func (h *hop) spent() bool { return h.sent >= maxSearch+maxRepeats*h.plan.Queries }

// blocked reports whether not even the shortest probe gets to the hop.
func (h *hop) blocked() bool { return h.low == 0 && h.high == h.plan.Shortest }

// next is the size to try while the hop isn't settled; 0 if there is none.
func (h *hop) next() int {
	switch {
	case h.high > h.limit:
		return h.limit
	case h.stated > h.low:
		return h.stated
	case h.longest > 0:
		return between(h.low, h.high)
	case h.high > h.plan.Shortest:
		return max(plateauBelow(h.high), h.plan.Shortest)
	}
	return 0
}

// wants returns the length of the probe that the hop is to be sent next, and
// when; 0 if none, or none before an outcome.
func (h *hop) wants() (length int, at time.Time) {
	switch {
	case h.settled():
		return h.query()
	case h.spent():
		return 0, time.Time{}
	case h.longest > 0:
		return h.search()
	}
	return h.knock()
}

// query asks for the round trips at the size that is known. A hop that answers
// nothing, of which those behind it tell, is asked no more often than others.
func (h *hop) query() (length int, at time.Time) {
	asked, sent := h.sent, h.sent
	if h.longest > 0 {
		t := h.at(h.low)
		asked, sent = t.asked(), t.sent
	}
	if asked >= h.plan.Queries || sent >= maxRepeats*h.plan.Queries {
		return 0, time.Time{}
	}
	if h.open > 0 {
		at = h.lastSend.Add(sameTTLPause)
	}
	return h.low, at
}

// search tries one size at a time.
func (h *hop) search() (length int, at time.Time) {
	if h.open > 0 {
		return 0, time.Time{}
	}
	length = h.next()
	if h.at(length).silent > 0 {
		at = h.answeredLast().Add(limitPause)
	}
	return length, at
}

// answeredLast is when the latest probe left that the hop, or the destination
// behind it, has answered.
func (h *hop) answeredLast() (at time.Time) {
	for ttl := int(h.ttl); ttl <= 255; ttl++ {
		if t := h.plan.ttls[ttl].answered; t.After(at) {
			at = t
		}
	}
	return at
}

// knock asks a hop that has answered nothing yet, in turn with the size to try
// and the shortest. Where each has to be waited for, it does so no more often
// than it must.
func (h *hop) knock() (length int, at time.Time) {
	length = h.next()
	if length == 0 {
		return 0, time.Time{}
	}
	long, short := h.at(length).asked(), h.at(h.plan.Shortest).asked()
	if long > 0 {
		at = h.lastSend.Add(quietPause)
	}
	switch {
	case h.plan.Serial && long > 0 && short > 0 && long+short >= max(sizeTries, h.plan.Queries):
		return 0, time.Time{}
	case long < sizeTries && (long <= short || length == h.plan.Shortest):
		return length, at
	case short < sizeTries-1:
		return h.plan.Shortest, at
	case long < sizeTries, h.sent < h.plan.Queries:
		return length, at
	}
	return 0, time.Time{}
}

// quiet reports whether the hop has had the chance to answer, since when it
// need not be waited for before those behind it are asked.
func (h *hop) quiet() (quiet bool, since time.Time) {
	long, short := h.at(h.next()), h.at(h.plan.Shortest)
	if h.longest > 0 || long.sent == 0 || short.sent == 0 {
		return false, time.Time{}
	}
	since = long.first
	if short.first.After(since) {
		since = short.first
	}
	return true, since.Add(quietPause)
}
