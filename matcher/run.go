package matcher

import (
	"errors"
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/craft"
)

// Errors of Match: why a frame is no news of any probe of the run.
var (
	// ErrForeign: a reply, but not beyond doubt to a probe of the run.
	ErrForeign = errors.New("matcher: a reply to somebody else's packet")

	// ErrMalformed: meant as an ICMP error, but broken.
	ErrMalformed = errors.New("matcher: malformed")

	// ErrUnrelated: neither a probe nor a reply to one.
	ErrUnrelated = errors.New("matcher: unrelated")
)

// Run holds the probes of one run and finds the one that a frame is about. The zero
// Run is empty and ready for use. It belongs to one goroutine at a time; if it is in
// a Table, to that of the Table.
type Run struct {
	table    *Table // that it is in, to dst; nil if it is in none
	dst      netip.Addr
	entries  []entry
	index    index
	shifted  int64 // by how much the clock was stepped: entries are in the time before that
	segments bool  // some probes carry data over TCP
	learnt   learnt

	first     int // the number of the first entry's probe
	forgotten int // of the entries
}

type entry struct {
	key    craft.Key
	sent   int64 // nanoseconds since 1970, less shifted
	ttl    uint8 // as sent
	seen   bool  // the captured copy was seen
	doubt  bool  // an answer came that may be to it, and was not told apart
	shared bool  // another probe has the same cookie: it tells nothing
	state  state
}

type state uint8

const (
	outstanding state = iota
	expired           // the wait for a reply is over
	exceeded          // a router said that the TTL was
	answered          // any other reply came
	withdrawn         // it was never sent
)

// sentBy reports whether the probe was on its way at a time.
func (e *entry) sentBy(at int64) bool { return e.state != withdrawn && e.sent <= at }

// Match is what a frame is to the probes of a Run.
type Match struct {
	Probe int    // its number
	Copy  bool   // the frame is the probe itself, seen leaving
	Reply *Reply // else: what the frame says to the probe; the Message's
	Held  bool   // the reply came before, and was held
}

// Sent adds a probe that is about to be sent with a TTL, and returns its number,
// counted from 0 in the order of sending. The time is the program's until
// Match sees the captured copy.
func (t *Run) Sent(key *craft.Key, ttl uint8, at time.Time) int {
	shared := false
	if key.HasCookie && !t.learnt.captured {
		for i := range t.index.filed(t.entries, craft.Cookie, key) {
			shared, t.entries[i].shared = true, true
			break // the others know
		}
	}
	n := len(t.entries)
	t.entries = append(t.entries, entry{})
	e := &t.entries[n]
	e.key, e.ttl, e.sent, e.shared = *key, ttl, at.UnixNano()-t.shifted, shared
	t.segments = t.segments || key.Data > 0
	if t.table != nil {
		t.table.sent(t, e)
	}
	return t.first + n
}

// Reset empties the Run, for the probes of another run. It keeps its memory.
func (t *Run) Reset() {
	t.entries, t.segments = t.entries[:0], false
	t.index.reset()
	t.shifted, t.first, t.forgotten = 0, 0, 0
	t.learnt.reset()
}

// Expire says that a reply to the probe is no longer waited for. If one is held that
// can be told by itself, it is accepted now: Released has it. One that still
// comes is matched all the same, where it shows whose it is; an answer that quotes
// nothing is no longer taken for this probe's.
func (t *Run) Expire(probe int) {
	if e := t.entry(probe); e != nil && e.state == outstanding {
		if !t.settle(int32(probe - t.first)) {
			e.state = expired
		}
	}
}

// Withdraw takes a probe back that was not sent after all: nothing matches it.
func (t *Run) Withdraw(probe int) {
	if e := t.entry(probe); e != nil {
		e.state = withdrawn
	}
}

// Shift moves the times of all probes: the clock that stamps the frames was
// stepped by d since they were sent.
func (t *Run) Shift(d time.Duration) { t.shifted += int64(d) }

// Match says what a frame is to the probes of the run. It fails with
// ErrForeign or ErrUnrelated, keeps nothing of the frame, and doesn't allocate.
// Of a reply to a probe it sets MatchedBy and Translation. It may show what became of
// others that are held: Released has them. A quote that it calls foreign may be one for
// Hold.
func (t *Run) Match(m *Message) (Match, error) {
	at := m.Time.UnixNano() - t.shifted
	if m.IsProbe {
		if i := t.copied(&m.Key); i != none {
			t.entries[i].seen = true
			t.entries[i].sent = at
			return Match{Probe: t.number(i), Copy: true}, nil
		}
	}
	if !m.IsReply {
		return Match{}, ErrUnrelated
	}
	var probe int32
	var by Rule
	switch {
	case m.Reply.IsQuoted():
		probe, by, m.Reply.Translation = t.quoted(&m.Of, at)
	case t.index.head(t.entries, craft.Flow, &m.Of) == none:
		return Match{}, ErrUnrelated
	default:
		probe, by = t.answered(m, at)
	}
	if probe == none {
		return Match{}, ErrForeign
	}
	t.accept(probe, &m.Reply, by)
	return Match{Probe: t.number(probe), Reply: &m.Reply}, nil
}

// accept notes that a reply is a probe's.
func (t *Run) accept(probe int32, r *Reply, by Rule) {
	e := &t.entries[probe]
	if e.state = answered; r.Kind == TimeExceeded {
		e.state = exceeded
	}
	t.learnt.accepted++
	r.MatchedBy = by
}

// copied recognises a probe on its way out: of several that look alike, the
// earliest that was not seen yet.
func (t *Run) copied(key *craft.Key) int32 {
	found := none
	for i := range t.index.filed(t.entries, craft.PortToken, key) {
		if e := &t.entries[i]; e.key == *key && !e.seen && e.state != withdrawn {
			found = i // they come from the latest to the earliest
		}
	}
	return found
}

// complete returns the one probe sent before at that a quote agrees with in all that
// it shows, and the rule that says so. A cookie that is visible must be the
// probe's.
func (t *Run) complete(quote *craft.Key, at int64) (int32, Rule) {
	best := candidate{probe: none}
	if !quote.Short && !(t.learnt.flooded && isGuessed(quote)) {
		t.seek(&best, craft.PortToken, quote, quote, at, agreesFully(quote))
	}
	switch {
	case best.doubtful, best.probe != none && t.isDoubtful(best.probe, quote):
		return none, 0
	case best.alike:
		return best.probe, ByOrder
	case best.probe != none && quote.HasCookie && t.entries[best.probe].tells():
		return best.probe, ByCookie
	case best.probe != none:
		return best.probe, ByFields
	}
	return none, 0
}

// quoted returns the probe that a quote is of, and the rule that says so.
func (t *Run) quoted(quote *craft.Key, at int64) (probe int32, by Rule, how Translation) {
	if probe, by = t.complete(quote, at); probe != none {
		t.learnt.farthest = max(t.learnt.farthest, t.entries[probe].ttl)
		return probe, by, how
	}
	if quote.HasCookie {
		if probe = t.byCookie(quote, at); probe != none {
			t.prove(probe, quote)
			return probe, ByCookie, how
		}
	}
	if len(t.learnt.confirmed) > 0 {
		return t.translated(quote, at)
	}
	return none, 0, how
}

// agreesFully is the Agreement of a quote that agrees in all. IPv6 has no ID, and
// the length in its place counts nothing.
func agreesFully(quote *craft.Key) int {
	if quote.Dst.Is6() {
		return 2
	}
	return 3
}

// isGuessed reports whether a quote that agrees in all can be guessed in a flood: over
// IPv6, where a checksum or sequence number of 16 bits is all there is besides
// the ports. RFC 4443 asks routers to quote as much as fits, so that a cookie is
// visible.
func isGuessed(quote *craft.Key) bool {
	return quote.Dst.Is6() && !craft.ProtocolOf(quote.Protocol).Carries(craft.Sequence) && !quote.HasCookie
}

// tells reports whether the probe is told by its cookie.
func (e *entry) tells() bool { return e.key.HasCookie && !e.shared }

// allows reports whether the quote's cookie does not contradict that it is of the
// probe.
func (e *entry) allows(quote *craft.Key) bool {
	return !quote.HasCookie || !e.key.HasCookie || quote.Cookie == e.key.Cookie
}

// byCookie finds the probe by its cookie alone: all else was rewritten.
func (t *Run) byCookie(quote *craft.Key, at int64) int32 {
	if t.learnt.captured {
		return none // it is not certain that payloads are cookies
	}
	i := t.index.head(t.entries, craft.Cookie, quote)
	if i == none || t.entries[i].shared || !t.entries[i].sentBy(at) {
		return none
	}
	return i
}

// candidate is the best that find has come upon.
type candidate struct {
	probe     int32
	agreement int
	alike     bool  // several probes are the same in all that identifies them
	doubtful  bool  // different probes fit equally well
	rival     int32 // if so, another
	several   bool  // and there are more
}

// seek considers the probes that are the same as a part of the quote in a view, and
// agree with it in at least so much.
func (t *Run) seek(best *candidate, view craft.View, part, quote *craft.Key, at int64, least int) {
	i := t.index.head(t.entries, view, part)
	for n := 0; i != none && n < maxChain; n++ {
		t.consider(best, i, quote, at, least)
		i = t.index.before(t.entries, view, i)
	}
}

func (t *Run) consider(best *candidate, i int32, quote *craft.Key, at int64, least int) {
	e := &t.entries[i]
	if i == best.probe || !e.sentBy(at) || !e.allows(quote) {
		return
	}
	n := e.key.Agreement(quote)
	if n == 3 && quote.Dst.Is4() && least == 3 && e.key.ID != quote.ID {
		return // its bytes are swapped: a translation
	}
	if n < least || n < best.agreement {
		return
	}
	if n > best.agreement {
		*best = candidate{probe: i, agreement: n}
		return
	}
	if !t.looksAlike(e, &t.entries[best.probe]) {
		best.several = best.several || best.doubtful && i != best.rival
		best.doubtful, best.rival = true, i
		return
	}
	best.alike = true
	if t.earlier(i, best.probe) {
		best.probe = i
	}
}

// earlier reports whether of two probes that look alike a is the likelier
// owner of a reply: the earliest that is waited for, else the latest that was
// given up; if all have a reply, the latest, whose duplicate it is.
func (t *Run) earlier(a, b int32) bool {
	stateA, stateB := min(t.entries[a].state, exceeded), min(t.entries[b].state, exceeded)
	switch {
	case stateA != stateB:
		return stateA < stateB
	case stateA == outstanding:
		return a < b
	}
	return a > b
}
