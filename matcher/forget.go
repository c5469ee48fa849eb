package matcher

import "slices"

// Forget forgets the probes before a number: nothing matches them any more, and Expire
// and Withdraw of one do nothing. What is held and can only be of them, Rejected has.
// The numbers of the others stay. A run without end keeps its memory bounded so, if
// Forget is called for each probe some time after its deadline. The probes of a run in a
// capture can't be forgotten.
//
// Until as many are forgotten as are left they only count as withdrawn, so that each
// costs the same however many there are.
func (t *Run) Forget(before int) {
	if t.learnt.captured {
		return
	}
	for ; t.forgotten < min(before-t.first, len(t.entries)); t.forgotten++ {
		e := &t.entries[t.forgotten]
		e.state = withdrawn
		if t.table != nil {
			t.table.forget(t, e)
		}
	}
	if t.forgotten > 0 && 2*t.forgotten >= len(t.entries) {
		t.compact()
	}
}

// compact moves the entries that are left to the front. All that is known of the path
// stays known.
func (t *Run) compact() {
	n := t.forgotten
	t.entries = slices.Delete(t.entries, 0, n)
	t.index.reset()
	t.first, t.forgotten = t.first+n, 0
	t.learnt.moved(int32(n))
}

// number is that of an entry's probe.
func (t *Run) number(entry int32) int { return t.first + int(entry) }

// entry is that of a probe, or nil if it is forgotten.
func (t *Run) entry(probe int) *entry {
	if probe < t.first+t.forgotten {
		return nil
	}
	return &t.entries[probe-t.first]
}

// moved notes that each entry's number is less by n, and that those below 0 are gone.
// Where it only counts how many probes have shown something, such a number stays.
func (l *learnt) moved(n int32) {
	for i := range l.proofs {
		l.proofs[i].probe -= n
	}
	for i := range l.rewritten {
		l.rewritten[i] -= n
	}
	for i := range l.released {
		l.released[i].probe -= n
	}
	supported := l.movedSupporters(n)
	kept, at := l.held[:0], map[int32]int32{} // at: from where it was held to where it is
	for i := range l.held {
		switch h := l.held[i]; {
		case h.moved(n, supported[int32(i)]):
			at[int32(i)] = int32(len(kept))
			kept = append(kept, h)
		case !h.done:
			l.rejected = append(l.rejected, h)
		}
	}
	l.held = kept
	for shift, all := range l.shifts {
		left := all[:0]
		for _, s := range all {
			if held, ok := at[s.held]; ok {
				left = append(left, supporter{held, s.probe})
			}
		}
		if l.shifts[shift] = left; len(left) == 0 {
			delete(l.shifts, shift)
		}
	}
}

// movedSupporters moves the probes that held quotes would be of under a shift, and
// returns the quotes that are left with any.
func (l *learnt) movedSupporters(n int32) (supported map[int32]bool) {
	supported = map[int32]bool{}
	for shift, all := range l.shifts {
		left := all[:0]
		for _, s := range all {
			if s.probe >= n {
				supported[s.held] = true
				left = append(left, supporter{s.held, s.probe - n})
			}
		}
		l.shifts[shift] = left
	}
	return supported
}

// moved notes that the entries' numbers are less by n. It reports whether what is held
// may still be of a probe; other is whether it is by a shift.
func (h *held) moved(n int32, other bool) bool {
	for _, probe := range [...]*int32{&h.two, &h.rival, &h.ports, &h.told} {
		switch {
		case probe == &h.told && !h.done, *probe == none:
		case *probe < n:
			return false
		default:
			*probe -= n
			other = true
		}
	}
	return other
}
