package matcher

import (
	"errors"
	"time"

	"github.com/tracewire/tracewire/craft"
)

// Errors of Match: why a frame is no news of any probe in the table.
var (
	// ErrForeign: a reply, but not beyond doubt to a probe in the table.
	ErrForeign = errors.New("matcher: a reply to somebody else's packet")

	// ErrMalformed: meant as an ICMP error, but broken.
	ErrMalformed = errors.New("matcher: malformed")

	// ErrUnrelated: neither a probe nor a reply to one.
	ErrUnrelated = errors.New("matcher: unrelated")
)

// Table holds the probes of a run and finds the one that a frame is about. The
// zero Table is empty and ready for use. It belongs to one goroutine at a time.
type Table struct {
	entries []entry
	index   index
	shifted int64 // by how much the clock was stepped: entries are in the time before that
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

// Match is what a frame is to the probes of a Table.
type Match struct {
	Probe int    // its number
	Copy  bool   // the frame is the probe itself, seen leaving
	Reply *Reply // else: what the frame says to the probe; the Message's
}

// Sent adds a probe that is about to be sent with a TTL, and returns its number,
// counted from 0 in the order of sending. The time is the program's until
// Match sees the captured copy.
func (t *Table) Sent(key *craft.Key, ttl uint8, at time.Time) int {
	shared := false
	if key.HasCookie {
		for i := range t.index.filed(t.entries, craft.Cookie, key) {
			shared, t.entries[i].shared = true, true
			break // the others know
		}
	}
	n := len(t.entries)
	t.entries = append(t.entries, entry{})
	e := &t.entries[n]
	e.key, e.ttl, e.sent, e.shared = *key, ttl, at.UnixNano()-t.shifted, shared
	return n
}

// Reset empties the table, for the probes of another run. It keeps its memory.
func (t *Table) Reset() {
	t.entries = t.entries[:0]
	t.index.reset()
	t.shifted = 0
}

// Expire says that a reply to the probe is no longer waited for. One that
// still comes is matched all the same, where it shows whose it is; an answer
// that quotes nothing is no longer taken for this probe's.
func (t *Table) Expire(probe int) {
	if e := &t.entries[probe]; e.state == outstanding {
		e.state = expired
	}
}

// Withdraw takes a probe back that was not sent after all: nothing matches it.
func (t *Table) Withdraw(probe int) { t.entries[probe].state = withdrawn }

// Shift moves the times of all probes: the clock that stamps the frames was
// stepped by d since they were sent.
func (t *Table) Shift(d time.Duration) { t.shifted += int64(d) }

// Match says what a frame is to the probes in the table. It fails with
// ErrForeign or ErrUnrelated, keeps nothing of the frame, and doesn't allocate.
// Of a reply to a probe it sets MatchedBy.
func (t *Table) Match(m *Message) (Match, error) {
	at := m.Time.UnixNano() - t.shifted
	if m.IsProbe {
		if i := t.copied(&m.Key); i != none {
			t.entries[i].seen = true
			t.entries[i].sent = at
			return Match{Probe: int(i), Copy: true}, nil
		}
	}
	if !m.IsReply {
		return Match{}, ErrUnrelated
	}
	var probe int32
	var by Rule
	switch {
	case m.Reply.IsQuoted():
		probe, by = t.find(&m.Of, at)
	case t.index.head(t.entries, craft.Flow, &m.Of) == none:
		return Match{}, ErrUnrelated
	default:
		probe, by = t.answered(m, at)
	}
	if probe == none {
		return Match{}, ErrForeign
	}
	if t.entries[probe].state = answered; m.Reply.Kind == TimeExceeded {
		t.entries[probe].state = exceeded
	}
	m.Reply.MatchedBy = by
	return Match{Probe: int(probe), Reply: &m.Reply}, nil
}

// copied recognises a probe on its way out: of several that look alike, the
// earliest that was not seen yet.
func (t *Table) copied(key *craft.Key) int32 {
	found := none
	for i := range t.index.filed(t.entries, craft.PortToken, key) {
		if e := &t.entries[i]; e.key == *key && !e.seen && e.state != withdrawn {
			found = i // they come from the latest to the earliest
		}
	}
	return found
}

// answered finds the probe that the destination itself answered.
func (t *Table) answered(m *Message, at int64) (int32, Rule) {
	if m.Of.HasCookie {
		if i := t.byCookie(&m.Of, at); i != none && t.entries[i].key.Same(m.Has, &m.Of) {
			return i, ByCookie
		}
	}
	if m.Has == craft.Flow || t.index.head(t.entries, m.Has, &m.Of) == none {
		return t.alone(craft.Flow, &m.Of, at)
	}
	probe, rule := t.alone(m.Has, &m.Of, at)
	if only := t.index.head(t.entries, m.Has, &m.Of); only == probe && t.index.before(t.entries, m.Has, only) == none {
		rule = ByFields
	}
	return probe, rule
}

// find returns the one probe sent before at that a quote can be of, and the
// rule that says so. A cookie that is visible must be the probe's.
func (t *Table) find(quote *craft.Key, at int64) (int32, Rule) {
	best := candidate{probe: none}
	for view, part := range quote.Sought {
		t.seek(&best, view, part, quote, at)
		if best.agreement == 3 {
			break // whoever agrees in all is under every view
		}
	}
	switch {
	case best.doubtful:
		return none, 0
	case best.alike:
		return best.probe, ByOrder
	case best.probe != none && quote.HasCookie && t.entries[best.probe].tells():
		return best.probe, ByCookie
	case best.probe != none:
		return best.probe, ByFields
	case quote.HasCookie:
		return t.byCookie(quote, at), ByCookie
	}
	return none, 0
}

// tells reports whether the probe is told by its cookie.
func (e *entry) tells() bool { return e.key.HasCookie && !e.shared }

// byCookie finds the probe by its cookie alone: all else was rewritten.
func (t *Table) byCookie(quote *craft.Key, at int64) int32 {
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
	alike     bool // several probes are the same in all that identifies them
	doubtful  bool // different probes fit equally well
}

// seek considers the probes that are the same as a part of the quote in a view.
func (t *Table) seek(best *candidate, view craft.View, part, quote *craft.Key, at int64) {
	i := t.index.head(t.entries, view, part)
	for n := 0; i != none && n < maxChain; n++ {
		t.consider(best, i, quote, at)
		i = t.index.before(t.entries, view, i)
	}
}

func (t *Table) consider(best *candidate, i int32, quote *craft.Key, at int64) {
	e := &t.entries[i]
	if i == best.probe || !e.sentBy(at) {
		return
	}
	if quote.HasCookie && e.key.HasCookie && quote.Cookie != e.key.Cookie {
		return
	}
	n := e.key.Agreement(quote)
	if n < 2 || n < best.agreement {
		return
	}
	if n > best.agreement {
		*best = candidate{probe: i, agreement: n}
		return
	}
	if e.key != t.entries[best.probe].key {
		best.doubtful = true
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
func (t *Table) earlier(a, b int32) bool {
	stateA, stateB := min(t.entries[a].state, exceeded), min(t.entries[b].state, exceeded)
	switch {
	case stateA != stateB:
		return stateA < stateB
	case stateA == outstanding:
		return a < b
	}
	return a > b
}

// alone finds the probe, of those the same in a view, that an answer without
// identity is to: the only one outstanding that can have come so far, else, in
// doubt, the one with the highest TTL. When none is outstanding it may be late,
// or a duplicate.
//
// An answer in doubt leaves the others of its probes in doubt for good: one of
// them was answered then, whatever is answered now.
func (t *Table) alone(view craft.View, of *craft.Key, at int64) (int32, Rule) {
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
		return farthest[answered], Ambiguous
	}
	return farthest[expired], Ambiguous
}

// putInDoubt marks the outstanding probes that are the same in a view: an answer
// that came may be to any of them.
func (t *Table) putInDoubt(view craft.View, of *craft.Key, at int64) {
	for i := range t.index.filed(t.entries, view, of) {
		if e := &t.entries[i]; e.state == outstanding && e.sentBy(at) {
			e.doubt = true
		}
	}
}

// routers is the highest TTL at which a router answered a probe that is the same
// in a view: the destination is farther away.
func (t *Table) routers(view craft.View, of *craft.Key, at int64) (ttl uint8) {
	for i := range t.index.filed(t.entries, view, of) {
		if e := &t.entries[i]; e.state == exceeded && e.sentBy(at) {
			ttl = max(ttl, e.ttl)
		}
	}
	return ttl
}
