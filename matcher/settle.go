package matcher

import "slices"

// settle accepts what is held of a probe that is not waited for any longer, if
// it can be told by itself, and reports whether it was: the first quote that agrees in
// two of three, or in ports that no other probe has, and those that repeat it.
func (t *Run) settle(probe int32) bool {
	first := t.settleFirst(probe)
	if first == nil {
		return false
	}
	for i := range t.learnt.held {
		if h := &t.learnt.held[i]; !h.done && h.two == first.two && h.rival == first.rival && h.ports == first.ports && h.repeats(first) {
			t.release(h, probe, first.by, translationOf(&t.entries[probe].key, &h.of))
		}
	}
	return true
}

func (t *Run) settleFirst(probe int32) *held {
	for i := range t.learnt.held {
		h := &t.learnt.held[i]
		switch {
		case h.done:
		case t.owner(h) == probe:
			t.release(h, probe, ByTwo, translationOf(&t.entries[probe].key, &h.of))
			return h
		case h.ports == probe && t.portsTell(probe):
			t.release(h, probe, ByPorts, translationOf(&t.entries[probe].key, &h.of))
			return h
		}
	}
	return nil
}

// owner is the probe that a held quote is of, as far as that it agrees in two of three
// says so, or none: of two probes the one that makes the quote show what others show.
// Where packets are renumbered an ID says nothing then.
func (t *Run) owner(h *held) int32 {
	if h.two == none {
		return none
	}
	if h.rival == none {
		return h.two
	}
	first, other := t.isShown(h, h.two), t.isShown(h, h.rival)
	switch {
	case first && !other:
		return h.two
	case other && !first:
		return h.rival
	}
	return none
}

// isByID reports whether a quote agrees in the ID and not in the Token.
func isByID(how Translation) bool {
	return how.Token == TokenOther && how.ID == IDSame || how.ID == IDSwapped
}

// isShown reports whether other quotes show what was done to this one, if it is of a
// probe.
func (t *Run) isShown(h *held, probe int32) bool {
	how := translationOf(&t.entries[probe].key, &h.of)
	if how.Token == TokenSame && !how.Port && t.learnt.renumbered {
		return true
	}
	if isByID(how) && t.learnt.renumbered {
		return false
	}
	return slices.ContainsFunc(t.learnt.held, func(o held) bool { return o.two != none && o.rival == none && o.how.isLike(how) }) ||
		slices.ContainsFunc(t.learnt.confirmed, how.isLike)
}

// portsTell reports whether the ports that only one probe has are enough to tell it. In
// a capture they are. On a live path what rewrites all but the ports must do so to at
// least three probes and to all that get this far, and nobody may be guessing ports.
func (t *Run) portsTell(probe int32) bool {
	if t.learnt.captured {
		return true
	}
	return t.entries[probe].ttl > t.learnt.farthest && t.learnt.strays < maxStrays && t.isOneEach()
}

// maxStrays is how many quotes from ports that are not ours end what ports tell. Who
// guesses among 16,384 ports needs some 49,000 to be right three times.
const maxStrays = 1000

// Stray notes a quote that is beyond doubt of no probe of the run. If it is of a packet
// to the destination from another port, somebody may be guessing ours.
func (t *Run) Stray(m *Message) {
	if !m.IsReply || !m.Reply.IsQuoted() || len(t.entries) == 0 {
		return
	}
	if k := &t.entries[0].key; m.Of.Dst == k.Dst && m.Of.Protocol == k.Protocol && m.Of.SrcPort != k.SrcPort {
		t.learnt.strays++
	}
}

// isOneEach reports whether of the probes known by their ports alone there is one quote
// each, but for what repeats it. With those whose cookie shows that all else was rewritten
// they must be at least three.
func (t *Run) isOneEach() bool {
	var probes []int32
	for i := range t.learnt.held {
		h := &t.learnt.held[i]
		if h.ports == none || t.isRepeated(i) {
			continue
		}
		if slices.Contains(probes, h.ports) {
			return false
		}
		probes = append(probes, h.ports)
	}
	return len(probes)+len(t.learnt.rewritten) >= enough
}

// isRepeated reports whether what is held repeats something held before.
func (t *Run) isRepeated(n int) bool {
	h := &t.learnt.held[n]
	return slices.ContainsFunc(t.learnt.held[:n], func(o held) bool { return o.ports == h.ports && h.repeats(&o) })
}
