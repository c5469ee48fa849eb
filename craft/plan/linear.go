package plan

import "time"

// How Linear paces itself where its fields don't say.
const (
	// aheadLimit is how many TTLs beyond the farthest one heard of may be
	// tried: few enough that the destination, whose hop isn't known yet, is
	// not asked more often than the six times at once that Linux answers.
	aheadLimit = 6

	// sameTTLPause is how long a router that hasn't answered yet is left
	// alone before the next round asks it again.
	sameTTLPause = 50 * time.Millisecond

	// maxRepeats bounds the probes to a TTL that keeps answering ambiguously:
	// this many times Queries.
	maxRepeats = 3
)

// Linear asks one hop after the other along a single path. Each TTL is probed
// once a round, since routers limit the ICMP errors they send; several TTLs
// are in flight at the same time. It ends at the hop where the path ends, or
// at Last.
//
// The fields are set before the first call of a method. All must be set, but
// for Interval and Serial.
type Linear struct {
	First, Last uint8         // the TTLs to probe, from 1
	Queries     int           // rounds
	InFlight    int           // probes outstanding at most
	Interval    time.Duration // least time between two probes

	// Serial is set when probes that may reach the destination must go one at
	// a time, for its answers to be told apart. It sets itself when an
	// Outcome is Ambiguous or Unverified.
	Serial bool

	ttls     []ttlState // by TTL; see begin
	inFlight int
	lastSend time.Time
	far      uint8 // the highest TTL with an outcome
	hops     uint8 // the highest TTL that a router answered for
	end      uint8
}

// ttlState is what Linear knows of one TTL.
type ttlState struct {
	sent     int32 // probes
	open     int32 // of these, without an outcome
	void     int32 // of these, ambiguous: to be sent again
	answered int32 // of these, in time and beyond doubt
	lastSend time.Time
}

// begin makes room for what is known of each TTL. The fields are set by then.
func (l *Linear) begin() {
	if l.ttls == nil {
		l.ttls = make([]ttlState, int(l.Last)+1)
	}
}

// Next implements Plan.
func (l *Linear) Next(now time.Time) Step {
	l.begin()
	if l.Done() {
		return Step{Action: Stop}
	}
	if l.inFlight >= l.InFlight {
		return Step{}
	}
	if next := l.lastSend.Add(l.Interval); !l.lastSend.IsZero() && now.Before(next) {
		return Step{Until: next}
	}
	ttl, until := l.pick(now)
	if ttl == 0 {
		return Step{Until: until}
	}
	s := &l.ttls[ttl]
	s.sent++
	s.open++
	s.lastSend = now
	l.inFlight++
	l.lastSend = now
	return Step{Action: Send, TTL: ttl, Round: int(s.sent)}
}

// pick chooses the TTL to probe: the lowest of those that have been probed the
// least. If none may be probed now, it is 0 and until says when one may.
func (l *Linear) pick(now time.Time) (ttl uint8, until time.Time) {
	for t := int(l.First); t <= l.limit(); t++ {
		s := &l.ttls[t]
		if l.satisfied(t) || !l.allowed(t) || (ttl != 0 && s.asked() >= l.ttls[ttl].asked()) {
			continue
		}
		if again := s.lastSend.Add(sameTTLPause); s.open > 0 && now.Before(again) {
			if until.IsZero() || again.Before(until) {
				until = again
			}
			continue
		}
		ttl = uint8(t)
	}
	return ttl, until
}

// asked counts the probes that may still be told what they want to know.
func (s *ttlState) asked() int { return int(s.sent - s.void) }

// satisfied reports whether nothing more is to be sent at ttl. The hop where
// the path ends need not be asked as often as others, since probes that were
// sent before it was known to be the end are answered there too.
func (l *Linear) satisfied(ttl int) bool {
	s := &l.ttls[ttl]
	if s.asked() >= l.Queries || int(s.sent) >= maxRepeats*l.Queries {
		return true
	}
	if l.end == 0 || ttl < l.limit() {
		return false
	}
	answered, open := l.beyond(ttl)
	return answered+open >= l.Queries
}

// beyond counts the probes with this TTL or a higher one that were answered,
// and those still open.
func (l *Linear) beyond(ttl int) (answered, open int) {
	for t := ttl; t < len(l.ttls); t++ {
		answered += int(l.ttls[t].answered)
		open += int(l.ttls[t].open)
	}
	return answered, open
}

// allowed keeps the front of the trace close behind what is known, and probes
// that may reach the destination apart where they have to be.
func (l *Linear) allowed(ttl int) bool {
	if front := max(int(l.far), int(l.First)-1); ttl > front+aheadLimit {
		return false
	}
	if !l.Serial || ttl <= int(l.hops) {
		return true
	}
	for t := int(l.hops) + 1; t < len(l.ttls); t++ {
		if l.ttls[t].open > 0 {
			return false
		}
	}
	return true
}

// limit is the highest TTL worth probing.
func (l *Linear) limit() int {
	if l.end != 0 && l.end < l.Last {
		return max(int(l.end), int(l.First))
	}
	return int(l.Last)
}

// Observe implements Plan.
func (l *Linear) Observe(o Outcome) {
	l.begin()
	l.end = o.End
	if int(o.TTL) >= len(l.ttls) {
		return // it was not asked for
	}
	s := &l.ttls[o.TTL]
	if o.Status == Late || s.open == 0 {
		return
	}
	s.open--
	l.inFlight--
	l.far = max(l.far, o.TTL)
	switch o.Status {
	case Ambiguous:
		s.void++
		l.Serial = true
	case Answered:
		s.answered++
		l.Serial = l.Serial || o.Unverified
		if !o.Unverified && (l.end == 0 || o.TTL < l.end) {
			l.hops = max(l.hops, o.TTL)
		}
	}
}

// Done implements Plan. Once the end of the path has answered often enough,
// what else was sent beyond it is not waited for.
func (l *Linear) Done() bool {
	l.begin()
	last := l.limit()
	for t := int(l.First); t <= last; t++ {
		if !l.satisfied(t) || l.ttls[t].open > 0 {
			return false
		}
	}
	answered, open := l.beyond(last)
	return open == 0 || answered >= l.Queries
}
