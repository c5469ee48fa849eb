package matcher

import (
	"time"

	"github.com/tracewire/tracewire/craft"
)

// cookies is what a Table has learnt of the payloads of probes that are found in a
// capture. Nobody says which program sent them: if they are cookies, each probe of
// one flow has another. So they are taken for cookies from the third probe on, and a
// reply that contradicts the payload of a probe before is kept in doubt until then.
// The payloads of other programs tell nothing: routers and middleboxes do change them.
type cookies struct {
	probes       int    // that have a payload of their own each
	none         bool   // one has not: the payloads are no cookies
	last         uint64 // of the probe found last, as are
	sport, dport uint16
	doubts       []doubt
	refused      int // replies that were in doubt, and whose cookie is wrong
}

// doubt is a reply that agrees with a probe in all but the payload.
type doubt struct {
	reply Reply
	of    craft.Key
	has   craft.View
	at    time.Time
}

const (
	// enoughCookies is how many probes must have a payload of their own for these to
	// be cookies.
	enoughCookies = 3

	// maxDoubts is how many replies to fewer probes than that are kept in doubt.
	maxDoubts = 64

	// maxStep is by how much a payload may exceed the one before that is a count.
	maxStep = 16
)

// are reports whether the payloads are known to be cookies.
func (c *cookies) are() bool { return !c.none && c.probes >= enoughCookies }

// add notes the payload of a probe that was found, and reports whether all so far may
// be cookies.
func (c *cookies) add(key *craft.Key) bool {
	isOther := c.probes == 0 || key.Cookie < c.last || key.Cookie-c.last > maxStep
	isOneFlow := c.probes == 0 || key.SrcPort == c.sport && key.DstPort == c.dport
	if !key.HasCookie || !isOther || !isOneFlow {
		return false
	}
	c.probes++
	c.last, c.sport, c.dport = key.Cookie, key.SrcPort, key.DstPort
	return true
}

// Found is Sent for a probe that was found in a capture. What its payload has in the
// place of a cookie may be one: the Table finds out.
func (t *Run) Found(key *craft.Key, ttl uint8, at time.Time) int {
	plain := *key
	plain.HasCookie, plain.Cookie = false, 0
	n := t.Sent(&plain, ttl, at)
	c := &t.learnt.cookies
	switch {
	case c.none:
	case !c.add(key):
		t.forgetCookies()
	default:
		e := t.entry(n)
		e.key.Cookie, e.key.HasCookie, e.shared = key.Cookie, c.are(), true
		if c.probes == enoughCookies {
			t.trustCookies()
		}
	}
	return n
}

// trustCookies makes the payloads cookies, and refuses the replies that show others.
func (t *Run) trustCookies() {
	for i := range t.entries {
		k := &t.entries[i].key
		k.HasCookie = k.Cookie != 0
	}
	c := &t.learnt.cookies
	for range c.doubts {
		t.Fail()
	}
	c.refused += len(c.doubts)
	c.doubts = nil
}

// forgetCookies makes the payloads no cookies, and accepts the replies that show
// others.
func (t *Run) forgetCookies() {
	for i := range t.entries {
		k := &t.entries[i].key
		k.Cookie, k.HasCookie = 0, false
	}
	c := &t.learnt.cookies
	c.none = true
	for i := range c.doubts {
		d := &c.doubts[i]
		m := Message{Time: d.at, Frame: d.reply.Frame, IsReply: true, Reply: d.reply, Of: d.of, Has: d.has}
		switch found, err := t.Match(&m); {
		case err == nil:
			t.learnt.released = append(t.learnt.released, released{m.Reply, int32(found.Probe - t.first)})
		case !t.Hold(&m, true):
			t.learnt.rejected = append(t.learnt.rejected, held{reply: d.reply, of: d.of})
		}
	}
	c.doubts = nil
}

// isDoubtful reports whether what a reply shows contradicts the payload of a probe, of
// which it is not known yet whether it is a cookie.
func (t *Run) isDoubtful(probe int32, of *craft.Key) bool {
	k := &t.entries[probe].key
	return of.HasCookie && !k.HasCookie && k.Cookie != 0 && k.Cookie != of.Cookie
}

// Doubt considers a reply that Match calls foreign, to the probes of a capture: if it
// agrees with one in all but the payload, it is refused where that is a cookie, and
// kept in doubt where that is not known yet. What becomes of it then Released,
// Rejected and Refused say.
func (t *Run) Doubt(m *Message) (kept, refused bool) {
	c := &t.learnt.cookies
	if c.none || c.probes == 0 || !m.IsReply || !m.Of.HasCookie || !t.contradicts(m) {
		return false, false
	}
	if c.are() || len(c.doubts) == maxDoubts {
		t.Fail()
		c.refused++
		return false, true
	}
	c.doubts = append(c.doubts, doubt{m.Reply, m.Of, m.Has, m.Time})
	return true, false
}

// contradicts reports whether a reply with something in the place of a cookie agrees
// with a probe in all but that.
func (t *Run) contradicts(m *Message) bool {
	of, at := m.Of, m.Time.UnixNano()-t.shifted
	of.HasCookie = false
	best := candidate{probe: none}
	switch {
	case m.Reply.IsQuoted():
		t.seek(&best, craft.PortToken, &of, &of, at, agreesFully(&of))
	case m.Reply.Kind == EchoReply:
		best.probe = t.index.head(t.entries, craft.PortToken, &of)
	}
	return best.probe != none && t.entries[best.probe].key.Cookie != m.Of.Cookie
}

// IsForged reports whether a quote shows another cookie than the probe of a capture
// with which it agrees in two of source port, ID and Token: it is of no other that the
// capture lacks.
func (t *Run) IsForged(m *Message) bool {
	if !t.learnt.cookies.are() || !m.IsReply || !m.Reply.IsQuoted() || !m.Of.HasCookie {
		return false
	}
	of := m.Of
	of.HasCookie = false
	probe, _, _ := t.two(&of, m.Time.UnixNano()-t.shifted)
	return probe != none && !t.entries[probe].allows(&m.Of)
}

// Refused returns how many replies Doubt has refused, or kept and refused later, since
// it was asked last.
func (t *Run) Refused() int {
	n := t.learnt.cookies.refused
	t.learnt.cookies.refused = 0
	return n
}

// looksAlike reports whether two probes are the same in all that identifies them. Of
// those found in a capture the payload is no part of that.
func (t *Run) looksAlike(a, b *entry) bool {
	if a.key == b.key || !t.learnt.captured {
		return a.key == b.key
	}
	k := a.key
	k.Cookie, k.HasCookie = b.key.Cookie, b.key.HasCookie
	return k == b.key
}
