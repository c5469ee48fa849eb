package plan

import (
	"iter"
	"time"

	"github.com/tracewire/tracewire/craft"
)

// How MTU paces itself where its fields don't say.
const (
	// sizeTries is how often a size is sent to a hop that answers shorter
	// probes, before no answer means that it is too long: loss of one packet
	// in twenty makes that wrong once in eight thousand times.
	sizeTries = 3

	// quietPause is how long an answer is waited for before a shorter probe
	// goes out, and after that before the next TTL is asked as well. What the
	// wait for an answer is in the end, the engine decides.
	quietPause = 500 * time.Millisecond

	// limitPause is how long a hop that has answered is left alone before it
	// is sent a size again that it left unanswered: a Linux host that has made
	// six errors at once makes one a second, so it has one to give by then.
	limitPause = 1100 * time.Millisecond

	// maxSearch bounds the probes to a TTL, beside maxRepeats times Queries.
	maxSearch = 128
)

// MTU finds how long a packet may be to get to each hop of a single path. Its
// probes must have DF set. They start as long as the first link allows, and
// get shorter where a router says that they are too big: to the MTU it
// states, or, of a router that states none, or none that can be, through the
// plateaus of RFC 1191, section 7. Where long probes are lost without a word
// while short ones are answered (a black hole, RFC 2923), the size is
// searched between the two.
//
// One TTL is asked after the other, the next as soon as the size is known;
// each is probed Queries times at its size. A hop that answers no probe at
// all is asked with long and short ones in turn. It delays the next TTL for a
// second, not for the whole wait. The plan ends at the hop where the path
// ends, so with a probe of the size found that got there; at Last; or where
// even the shortest probe is too big.
//
// What it costs, by the simulated paths of the tests: eight hops without a drop
// 24 probes (3 Queries) and little more than the round trips to each, one after
// the other; each router that states a smaller MTU one more probe and one more
// round trip, one that states nothing some ten. A black hole costs some 15 probes
// and 6 to 14 seconds, as each size that is too long is tried for two seconds. A
// silent hop costs a second and up to 5 probes, thirty of them 36 seconds.
//
// The fields are set before the first call of a method. All must be set, but
// for Interval and Serial.
type MTU struct {
	First, Last uint8         // the TTLs to probe, from 1
	Queries     int           // probes to each hop at its size
	Interval    time.Duration // least time between two probes

	// Longest is the length of the first probes, in bytes of the IP packet:
	// the MTU of the link that they leave by. Shortest is the length that
	// every path lets through: MinMTU4, MinMTU6, or more if a probe can't be
	// that short. It is not more than Longest.
	Longest, Shortest int

	// Serial is set when probes must go one at a time, for the answers to be
	// told apart. It sets itself when an Outcome is Ambiguous. A silent hop
	// then costs the whole wait for each of Queries probes, or 3 at least.
	Serial bool

	ttls     [256]sizes
	inFlight int
	lastSend time.Time
	end      uint8
}

// MaxRounds is the highest Round of the Steps of an MTU with so many Queries.
func MaxRounds(queries int) int { return maxSearch + maxRepeats*queries }

// The sizes that every link must carry.
const (
	MinMTU4 = craft.MinMTU4
	MinMTU6 = craft.MinMTU6
)

// sizes is what is known of the probes with one TTL.
type sizes struct {
	byLength   map[int]*tally
	longest    int // that was answered, by other than that it is too big
	sent, open int
	lastSend   time.Time
	answered   time.Time // when the probe that was answered last left, or one after it
}

// tally is what is known of the probes with one TTL and one length.
type tally struct {
	sent    int
	open    int // of these, without an outcome
	void    int // of these, ambiguous
	silent  int // without an answer in time
	refused bool
	stated  int       // the MTU that refusals state; 0 if none states one that can be
	first   time.Time // when the first was sent
}

// at returns the tally of a length, which is empty if nothing is known of it.
func (s *sizes) at(length int) *tally {
	if t := s.byLength[length]; t != nil {
		return t
	}
	return &tally{}
}

// of returns the tally of a length, to be changed.
func (s *sizes) of(length int) *tally {
	if s.byLength == nil {
		s.byLength = map[int]*tally{}
	}
	if s.byLength[length] == nil {
		s.byLength[length] = &tally{}
	}
	return s.byLength[length]
}

// asked counts the probes that may still be told what they want to know.
func (t *tally) asked() int { return t.sent - t.void }

// Next implements Plan.
func (m *MTU) Next(now time.Time) Step {
	if m.Done() {
		return Step{Action: Stop}
	}
	if m.Serial && m.inFlight > 0 {
		return Step{}
	}
	if next := m.lastSend.Add(m.Interval); !m.lastSend.IsZero() && now.Before(next) {
		return Step{Until: next}
	}
	ttl, length, until := m.pick(now)
	if length == 0 {
		return Step{Until: until}
	}
	s := &m.ttls[ttl]
	t := s.of(length)
	if t.sent == 0 {
		t.first = now
	}
	t.sent++
	t.open++
	s.sent++
	s.open++
	s.lastSend, m.lastSend = now, now
	m.inFlight++
	return Step{Action: Send, TTL: ttl, Round: s.sent, Length: length}
}

// pick chooses the probe to send: the nearest hop's that wants one. If none
// may be sent now, length is 0, and until says when one may.
func (m *MTU) pick(now time.Time) (ttl uint8, length int, until time.Time) {
	for h := range m.hops() {
		length, at := h.wants()
		if length != 0 && !at.After(now) {
			return h.ttl, length, time.Time{}
		}
		if length != 0 {
			until = earlier(until, at)
		}
		if h.over() {
			continue
		}
		quiet, since := h.quiet()
		if !quiet {
			break
		}
		if since.After(now) {
			until = earlier(until, since)
			break
		}
	}
	return 0, 0, until
}

// earlier is the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// Observe implements Plan.
func (m *MTU) Observe(o Outcome) {
	m.end = o.End
	if o.Length == 0 {
		return
	}
	s := &m.ttls[o.TTL]
	t := s.of(o.Length)
	if o.Status != Late && t.open > 0 {
		t.open--
		s.open--
		m.inFlight--
	}
	switch {
	case o.Status == Ambiguous:
		t.void++
		m.Serial = true
	case o.Status == Silent:
		t.silent++
	case o.TooBig:
		t.refuse(o.MTU, m.Shortest, o.Length)
	default:
		s.longest = max(s.longest, o.Length)
		s.answered = s.lastSend
	}
}

// refuse notes that a router finds a length too big, and the MTU it states. One
// below the minimum, or one that the probe would fit, says nothing.
func (t *tally) refuse(stated, minimum, length int) {
	t.refused = true
	if stated >= minimum && stated < length && (t.stated == 0 || stated < t.stated) {
		t.stated = stated
	}
}

// Done implements Plan.
func (m *MTU) Done() bool {
	for h := range m.hops() {
		if length, _ := h.wants(); length != 0 || h.open > 0 {
			return false
		}
	}
	return true
}

// hops yields the hops from First to where the path ends, each with what the
// hops before it leave of the sizes.
func (m *MTU) hops() iter.Seq[*hop] {
	return func(yield func(*hop) bool) {
		reached := m.reached()
		h := &hop{plan: m, limit: m.Longest}
		for ttl := int(m.First); ttl <= m.limit(); ttl++ {
			h = h.then(uint8(ttl), reached[ttl])
			if !yield(h) || h.blocked() {
				return
			}
		}
	}
}

// reached returns for each TTL the longest probe that was answered from there
// or from farther away.
func (m *MTU) reached() (longest [257]int) {
	for ttl := 255; ttl >= 0; ttl-- {
		longest[ttl] = max(longest[ttl+1], m.ttls[ttl].longest)
	}
	return longest
}

// limit is the highest TTL worth probing.
func (m *MTU) limit() int {
	if m.end != 0 && m.end < m.Last {
		return max(int(m.end), int(m.First))
	}
	return int(m.Last)
}
