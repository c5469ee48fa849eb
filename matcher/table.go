package matcher

import (
	"errors"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
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
	heads   map[craft.Key]int32 // partial key → the newest probe filed under it
}

// none ends a chain.
const none = int32(-1)

type entry struct {
	key    craft.Key
	sent   time.Time
	next   [craft.Views]int32 // the probe filed before it under the same partial key
	ttl    uint8              // as sent
	seen   bool               // the captured copy was seen
	doubt  bool               // an answer came that may be to it, and was not told apart
	shared bool               // another probe has the same cookie: it tells nothing
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
func (e *entry) sentBy(at time.Time) bool { return e.state != withdrawn && !e.sent.After(at) }

// Match is what a frame is to the probes of a Table.
type Match struct {
	Probe int   // its number
	Copy  bool  // the frame is the probe itself, seen leaving
	Reply Reply // else: what the frame says to the probe
}

// Sent adds a probe that is about to be sent with a TTL, and returns its number,
// counted from 0 in the order of sending. The time is the program's until
// Match sees the captured copy.
func (t *Table) Sent(key craft.Key, ttl uint8, at time.Time) int {
	if t.heads == nil {
		t.heads = make(map[craft.Key]int32)
	}
	n := int32(len(t.entries))
	e := entry{key: key, ttl: ttl, sent: at}
	for view, part := range key.Filed() {
		e.next[view] = none
		if part.View() != view {
			continue
		}
		if older, ok := t.heads[part]; ok {
			e.next[view] = older
			if part.HasCookie {
				e.shared, t.entries[older].shared = true, true
			}
		}
		t.heads[part] = n
	}
	t.entries = append(t.entries, e)
	return int(n)
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
func (t *Table) Shift(d time.Duration) {
	for i := range t.entries {
		t.entries[i].sent = t.entries[i].sent.Add(d)
	}
}

// Match says what a frame is to the probes in the table. It fails with
// ErrForeign, ErrMalformed or ErrUnrelated, keeps nothing of the frame, and
// doesn't allocate.
func (t *Table) Match(f *frame.Frame) (Match, error) {
	carried, err := frame.Decode(f)
	if err != nil {
		return Match{}, ErrUnrelated
	}
	p, err := craft.ParsePacket(carried.IP)
	if err != nil {
		return Match{}, ErrUnrelated
	}
	if carried.Direction != frame.In && p.Protocol != layers.IPProtocolICMPv4 {
		if i := t.copied(&p); i != none {
			t.entries[i].seen = true
			t.entries[i].sent = f.Time
			return Match{Probe: int(i), Copy: true}, nil
		}
	}
	if carried.Direction == frame.Out {
		return Match{}, ErrUnrelated // what this host says is no reply
	}
	m := Match{Reply: Reply{From: p.Src, TTL: p.TTL, Received: f.Time, Read: f.Read}}
	probe, err := t.replied(&p, &m.Reply)
	if err != nil {
		return Match{}, err
	}
	m.Probe = int(probe)
	if t.entries[probe].state = answered; m.Reply.Kind == TimeExceeded {
		t.entries[probe].state = exceeded
	}
	return m, nil
}

// copied recognises a probe on its way out: of several that look alike, the
// earliest that was not seen yet.
func (t *Table) copied(p *craft.Packet) int32 {
	found := none
	key, err := p.Key()
	if err != nil {
		return none
	}
	part := key.Filed()[0]
	for i := t.head(part); i != none; i = t.entries[i].next[part.View()] {
		if e := &t.entries[i]; e.key == key && !e.seen && e.state != withdrawn {
			found = i // the chain goes back in time
		}
	}
	return found
}

// replied finds the probe that a packet is a reply to, and completes r, of
// which the fields that every packet has are set.
func (t *Table) replied(p *craft.Packet, r *Reply) (probe int32, err error) {
	if p.Protocol == layers.IPProtocolICMPv4 {
		probe, err = t.quoted(p, r)
	} else {
		probe, err = t.answered(p, r)
	}
	if err == nil && probe == none {
		err = ErrForeign
	}
	return probe, err
}

// quoted finds the probe that an ICMP error quotes.
func (t *Table) quoted(p *craft.Packet, r *Reply) (int32, error) {
	quote, err := icmpError(p, r)
	if err != nil {
		return none, err
	}
	key, err := quote.Key()
	if err != nil {
		return none, ErrForeign
	}
	var probe int32
	probe, r.MatchedBy = t.find(&key, r.Received)
	return probe, nil
}

// answered finds the probe that the destination itself answered.
func (t *Table) answered(p *craft.Packet, r *Reply) (int32, error) {
	key, err := p.AnswerKey()
	if err != nil || t.head(key.Flow()) == none {
		return none, ErrUnrelated
	}
	r.Kind = UDP
	if key.HasCookie {
		if i := t.byCookie(&key, r.Received); i != none && t.entries[i].key.Flow() == key.Flow() {
			r.MatchedBy = ByCookie
			return i, nil
		}
	}
	var probe int32
	probe, r.MatchedBy = t.alone(key.Flow(), r.Received)
	return probe, nil
}

// find returns the one probe sent before at that a quote can be of, and the
// rule that says so. A cookie that is visible must be the probe's.
func (t *Table) find(quote *craft.Key, at time.Time) (int32, Rule) {
	best := candidate{probe: none}
	for part := range quote.Sought {
		for i := t.head(part); i != none; i = t.entries[i].next[part.View()] {
			t.consider(&best, i, quote, at)
		}
		if best.agreement == 3 {
			break // whoever agrees in all is under every part
		}
	}
	switch {
	case best.doubtful:
		return none, 0
	case best.alike:
		return best.probe, ByOrder
	case best.probe != none && quote.HasCookie && !t.entries[best.probe].shared:
		return best.probe, ByCookie
	case best.probe != none:
		return best.probe, ByFields
	case quote.HasCookie:
		return t.byCookie(quote, at), ByCookie
	}
	return none, 0
}

// byCookie finds the probe by its cookie alone: all else was rewritten.
func (t *Table) byCookie(quote *craft.Key, at time.Time) int32 {
	i := t.head(quote.ByCookie())
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

func (t *Table) consider(best *candidate, i int32, quote *craft.Key, at time.Time) {
	e := &t.entries[i]
	if i == best.probe || !e.sentBy(at) {
		return
	}
	if quote.HasCookie && quote.Cookie != e.key.Cookie {
		return
	}
	n := e.key.Agreement(*quote)
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
// owner of a reply: the earliest that has none; if all have one, the latest,
// whose duplicate it is.
func (t *Table) earlier(a, b int32) bool {
	if waitsA, waitsB := t.entries[a].state <= expired, t.entries[b].state <= expired; waitsA != waitsB {
		return waitsA
	} else if waitsA {
		return a < b
	}
	return a > b
}

// alone finds the probe of a flow that an answer without identity is to: the
// only one outstanding that can have come so far, else, in doubt, the one
// with the highest TTL. When none is outstanding it may be late, or a
// duplicate.
//
// An answer in doubt leaves the others of its probes in doubt for good: one of
// them was answered then, whatever is answered now.
func (t *Table) alone(flow craft.Key, at time.Time) (int32, Rule) {
	var farthest [answered + 1]int32 // by state: the probe with the highest TTL
	var count [answered + 1]int
	routers := t.routers(flow, at)
	for s := range farthest {
		farthest[s] = none
	}
	for i := t.head(flow); i != none; i = t.entries[i].next[flow.View()] {
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
		t.putInDoubt(flow, at)
		return farthest[outstanding], Ambiguous
	case count[answered] > 0:
		return farthest[answered], Ambiguous
	}
	return farthest[expired], Ambiguous
}

// putInDoubt marks the outstanding probes of a flow: an answer that came may
// be to any of them.
func (t *Table) putInDoubt(flow craft.Key, at time.Time) {
	for i := t.head(flow); i != none; i = t.entries[i].next[flow.View()] {
		if e := &t.entries[i]; e.state == outstanding && e.sentBy(at) {
			e.doubt = true
		}
	}
}

// routers is the highest TTL at which a router answered a probe of a flow: the
// destination is farther away.
func (t *Table) routers(flow craft.Key, at time.Time) (ttl uint8) {
	for i := t.head(flow); i != none; i = t.entries[i].next[flow.View()] {
		if e := &t.entries[i]; e.state == exceeded && e.sentBy(at) {
			ttl = max(ttl, e.ttl)
		}
	}
	return ttl
}

// head returns the newest probe filed under a partial key.
func (t *Table) head(part craft.Key) int32 {
	if i, ok := t.heads[part]; ok {
		return i
	}
	return none
}
