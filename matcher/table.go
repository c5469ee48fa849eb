package matcher

import (
	"net/netip"
	"slices"
)

// Table finds the runs that a frame may be about, of all that share a capture. What
// that costs does not depend on how many there are. The zero Table is empty and ready
// for use. It belongs to one goroutine at a time.
//
// A probe's destination is part of every Key, so a frame can only be about runs to the
// destination that it shows; unless it shows a cookie, which tells a probe whatever else
// was rewritten.
type Table struct {
	runs    map[netip.Addr][]*Run // by destination, in the order in which they were added
	cookies map[uint64]*Run       // by cookie of a probe: the run that sent it last
	found   []*Run
}

// Add adds a run to a destination. All its probes go there.
func (t *Table) Add(r *Run, dst netip.Addr) {
	if t.runs == nil {
		t.runs, t.cookies = map[netip.Addr][]*Run{}, map[uint64]*Run{}
	}
	t.runs[dst] = append(t.runs[dst], r)
	r.table, r.dst = t, dst
	for i := range r.entries {
		t.sent(r, &r.entries[i])
	}
}

// Remove removes a run that was added.
func (t *Table) Remove(r *Run) {
	left := slices.DeleteFunc(t.runs[r.dst], func(o *Run) bool { return o == r })
	if t.runs[r.dst] = left; len(left) == 0 {
		delete(t.runs, r.dst)
	}
	for i := range r.entries {
		t.forget(r, &r.entries[i])
	}
	r.table = nil
}

// forget forgets the cookie of a probe.
func (t *Table) forget(r *Run, e *entry) {
	if k := &e.key; k.HasCookie && t.cookies[k.Cookie] == r {
		delete(t.cookies, k.Cookie)
	}
}

// sent notes the cookie of a probe.
func (t *Table) sent(r *Run, e *entry) {
	if e.key.HasCookie {
		t.cookies[e.key.Cookie] = r
	}
}

// Concerned returns the runs that a Message may be about: as a probe of theirs, as a
// reply, or as one to somebody else with the same destination. To every other run it
// is a reply to nobody's probe. The result is valid until the next call.
func (t *Table) Concerned(m *Message) []*Run {
	t.found = t.found[:0]
	if m.IsProbe {
		t.found = append(t.found, t.runs[m.Key.Dst]...)
	}
	if !m.IsReply {
		return t.found
	}
	if !m.IsProbe || m.Of.Dst != m.Key.Dst {
		t.found = append(t.found, t.runs[m.Of.Dst]...)
	}
	if r := t.byCookie(m); r != nil && !slices.Contains(t.found, r) {
		t.found = append(t.found, r)
	}
	return t.found
}

func (t *Table) byCookie(m *Message) *Run {
	if !m.Of.HasCookie {
		return nil
	}
	return t.cookies[m.Of.Cookie]
}

// VerifiesEcho reports whether a Message is not an echo reply, or is one that
// returns the cookie of a probe. An identifier is nobody's: another program on
// this host may ping with the same.
func (t *Table) VerifiesEcho(m *Message) bool {
	if !m.IsReply || m.Reply.Kind != EchoReply {
		return true
	}
	r := t.byCookie(m)
	return r != nil && r.byCookie(&m.Of, m.Time.UnixNano()) != none
}
