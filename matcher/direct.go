package matcher

import "github.com/tracewire/tracewire/craft"

// answered finds the probe that the destination itself answered.
func (t *Run) answered(m *Message, at int64) (int32, Rule) {
	if m.Of.HasCookie {
		if i := t.byCookie(&m.Of, at); i != none && t.entries[i].key.Same(m.Has, &m.Of) {
			return i, ByCookie
		}
	}
	switch m.Reply.Kind {
	case SYNACK, RST:
		return t.acknowledged(m, at)
	case EchoReply:
		return t.echoed(m, at)
	}
	return t.datagram(m, at)
}

// acknowledged finds the probe that a SYN-ACK or RST acknowledges. One that
// acknowledges something else is foreign.
func (t *Run) acknowledged(m *Message, at int64) (int32, Rule) {
	view := craft.PortToken
	if t.segments && t.index.head(t.entries, view, &m.Of) == none {
		view = craft.PortAcked // a RST acknowledges the data too
	}
	return t.same(view, &m.Of, at)
}

// echoed finds the probe that an echo reply returns: identifier, sequence number and
// data. A probe's cookie must be in it, unless the capture cut it off.
func (t *Run) echoed(m *Message, at int64) (int32, Rule) {
	i := t.index.head(t.entries, craft.PortToken, &m.Of)
	if i == none || t.isDoubtful(i, &m.Of) || !t.entries[i].allows(&m.Of) || t.entries[i].key.HasCookie && !m.Of.HasCookie && !m.Cut {
		return none, 0
	}
	return t.same(craft.PortToken, &m.Of, at)
}

// datagram finds the probe that a datagram from the destination answers, which
// returns no cookie. The answer to a DNS query has its ID, which proves nothing in a
// flood. Any other shows nothing of the probe.
func (t *Run) datagram(m *Message, at int64) (int32, Rule) {
	if m.Has == craft.PortQuery {
		switch known := t.index.head(t.entries, craft.PortQuery, &m.Of) != none; {
		case known && t.learnt.flooded: // whoever tries all IDs finds it
			return t.alone(craft.PortQuery, &m.Of, at)
		case known:
			return t.same(craft.PortQuery, &m.Of, at)
		}
		if i := t.index.head(t.entries, craft.Flow, &m.Of); t.entries[i].key.Query != 0 {
			t.Fail() // a query that nobody asked
			return none, 0
		}
	}
	if t.learnt.flooded {
		return none, 0
	}
	return t.alone(craft.Flow, &m.Of, at)
}

// same finds the probe that is the same as an answer in a view that tells probes
// apart, unless they are alike.
func (t *Run) same(view craft.View, of *craft.Key, at int64) (int32, Rule) {
	only := t.index.head(t.entries, view, of)
	if only == none {
		return none, 0
	}
	probe, rule := t.alone(view, of, at)
	if only == probe && t.index.before(t.entries, view, only) == none {
		rule = ByFields
	}
	return probe, rule
}

// alone finds the probe, of those the same in a view, that an answer without
// identity is to: the only one outstanding that can have come so far, else, in
// doubt, the one with the highest TTL. When none is outstanding it may be late,
// or a duplicate.
//
// An answer in doubt leaves the others of its probes in doubt for good: one of
// them was answered then, whatever is answered now.
func (t *Run) alone(view craft.View, of *craft.Key, at int64) (int32, Rule) {
	var farthest [answered + 1]int32 // by state: the probe with the highest TTL
	var count [answered + 1]int
	routers := t.routers(view, of, at)
	for s := range farthest {
		farthest[s] = none
	}
	for i := range t.index.filed(t.entries, view, of) {
		e := &t.entries[i]
		if !e.sentBy(at) || e.ttl <= routers {
			continue
		}
		count[e.state]++
		if best := farthest[e.state]; best == none || e.ttl > t.entries[best].ttl {
			farthest[e.state] = i
		}
	}
	switch {
	case count[outstanding] == 1 && !t.entries[farthest[outstanding]].doubt:
		return farthest[outstanding], Alone
	case count[outstanding] == 0 && count[expired] == 1 && count[answered] == 0 && !t.entries[farthest[expired]].doubt:
		return farthest[expired], Alone
	case count[outstanding] > 0:
		t.putInDoubt(view, of, at)
		return farthest[outstanding], Ambiguous
	case count[answered] > 0:
		t.unexplained(view)
		return farthest[answered], Ambiguous
	}
	t.unexplained(view)
	return farthest[expired], Ambiguous
}

// putInDoubt marks the outstanding probes that are the same in a view: an answer
// that came may be to any of them.
func (t *Run) putInDoubt(view craft.View, of *craft.Key, at int64) {
	for i := range t.index.filed(t.entries, view, of) {
		if e := &t.entries[i]; e.state == outstanding && e.sentBy(at) {
			e.doubt = true
		}
	}
}

// routers is the highest TTL at which a router answered a probe that is the same
// in a view: the destination is farther away.
func (t *Run) routers(view craft.View, of *craft.Key, at int64) (ttl uint8) {
	for i := range t.index.filed(t.entries, view, of) {
		if e := &t.entries[i]; e.state == exceeded && e.sentBy(at) {
			ttl = max(ttl, e.ttl)
		}
	}
	return ttl
}

// unexplained counts an answer that shows nothing of a probe, and came when none was
// waited for.
func (t *Run) unexplained(view craft.View) {
	if view == craft.Flow {
		t.Fail()
	}
}
