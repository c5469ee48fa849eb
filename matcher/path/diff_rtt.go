package path

import (
	"fmt"
	"time"
)

// trip is the shortest round trip to a hop, and of how many.
type trip struct {
	least time.Duration
	of    int
}

// tripTo is the shortest round trip of the replies in time: how far away a hop
// is; what is above that is queues, and routers that have other things to do.
func tripTo(s *station) (t trip) {
	for i := range s.answers {
		p := &s.answers[i]
		if p.Status != Replied || !p.Reply.HasRTT {
			continue
		}
		if t.of == 0 || p.Reply.RTT < t.least {
			t.least = p.Reply.RTT
		}
		t.of++
	}
	return t
}

// step is a hop of which the round trip is known in both traces.
type step struct {
	at   int // index of its pair
	a, b trip
}

func (s *step) shift() time.Duration { return s.b.least - s.a.least }

// exceeds reports whether a shift beyond level is more than the bounds.
func (s *step) exceeds(level time.Duration, o DiffOptions) bool {
	more := (s.shift() - level).Abs()
	shorter := max(0, min(s.a.least, s.b.least))
	return more >= o.RTT && float64(more) >= (o.RTTFactor-1)*float64(shorter)
}

// continues reports whether the step shows the shift that a step before it did.
func (s *step) continues(level time.Duration, o DiffOptions) bool {
	return !s.exceeds(level, o) && (s.shift()-level).Abs() < s.shift().Abs()
}

// sure reports whether the longer of the two round trips, which alone can be
// chance, was seen twice.
func (s *step) sure() bool {
	if s.shift() > 0 {
		return s.b.of > 1
	}
	return s.a.of > 1
}

// rttChanges are the shifts of round trips, each told of the first hop that
// shows it.
func rttChanges(pairs []pair, o DiffOptions) []placed {
	if o.RTT < 0 {
		return nil
	}
	steps := stepsOf(pairs)
	var found []placed
	for i := 0; i < len(steps); {
		if !steps[i].exceeds(0, o) {
			i++
			continue
		}
		end, sure := i+1, steps[i].sure()
		for end < len(steps) && steps[end].continues(steps[i].shift(), o) {
			sure = true // two hops agree
			end++
		}
		if sure {
			found = append(found, rttChange(pairs, steps[i:end], end == len(steps)))
		}
		i = end
	}
	return found
}

func stepsOf(pairs []pair) []step {
	var steps []step
	for i := range pairs {
		p := &pairs[i]
		if !p.both() || p.a.path.Clock.Stepped || p.b.path.Clock.Stepped {
			continue
		}
		if a, b := tripTo(p.a), tripTo(p.b); a.of > 0 && b.of > 0 {
			steps = append(steps, step{i, a, b})
		}
	}
	return steps
}

func rttChange(pairs []pair, run []step, last bool) placed {
	first := &run[0]
	c := Change{
		Kind: ChangedRTT, Before: millis(first.a.least), After: millis(first.b.least), Shift: first.shift(),
		Onward: last && len(run) > 1,
	}
	c.at(&pairs[first.at])
	c.until(&pairs[run[len(run)-1].at])
	return placed{first.at, c}
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}
