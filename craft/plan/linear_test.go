package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/craft/plan"
)

// start is as good a time as any.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// path plays a path against a plan: a destination at hop end, hops that are
// silent, everything else answering after rtt. It returns the TTLs in the order
// of sending, and how long that took.
type path struct {
	end     uint8
	silent  map[uint8]bool
	rtt     time.Duration
	timeout time.Duration
}

type sent struct {
	ttl  uint8
	due  time.Time
	kind plan.Status
}

func (p path) play(t *testing.T, l plan.Plan) (order []uint8, took time.Duration, mostInFlight int) {
	t.Helper()
	now, flight, end := start, []sent(nil), uint8(0)
	for range 100_000 {
		step := l.Next(now)
		switch step.Action {
		case plan.Stop:
			return order, now.Sub(start), mostInFlight
		case plan.Send:
			order = append(order, step.TTL)
			s := sent{ttl: step.TTL, due: now.Add(p.rtt)}
			if p.silent[step.TTL] {
				s.due, s.kind = now.Add(p.timeout), plan.Silent
			}
			flight = append(flight, s)
			mostInFlight = max(mostInFlight, len(flight))
			continue
		}
		first := -1
		for i, s := range flight {
			if first < 0 || s.due.Before(flight[first].due) {
				first = i
			}
		}
		if first < 0 || !step.Until.IsZero() && step.Until.Before(flight[first].due) {
			if step.Until.IsZero() {
				t.Fatal("waits for nothing")
			}
			now = step.Until
			continue
		}
		s := flight[first]
		flight = append(flight[:first], flight[first+1:]...)
		now = s.due
		if s.kind == plan.Answered && p.end != 0 && s.ttl >= p.end {
			end = p.end
		}
		l.Observe(plan.Outcome{TTL: s.ttl, Status: s.kind, End: end})
	}
	t.Fatal("never stops")
	return nil, 0, 0
}

func linear(change func(*plan.Linear)) *plan.Linear {
	l := &plan.Linear{First: 1, Last: 30, Queries: 3, InFlight: 16}
	if change != nil {
		change(l)
	}
	return l
}

func counts(order []uint8) map[uint8]int {
	n := map[uint8]int{}
	for _, ttl := range order {
		n[ttl]++
	}
	return n
}

func TestLinearOneAtATimeGoesRoundByRound(t *testing.T) {
	l := linear(func(l *plan.Linear) { l.InFlight, l.Queries = 1, 2 })
	order, _, most := path{end: 3, rtt: time.Millisecond}.play(t, l)
	if d := cmp.Diff([]uint8{1, 2, 3, 1, 2, 3}, order); d != "" || most != 1 {
		t.Error(d, most)
	}
}

func TestLinearProbesEachHopAsOftenAsAsked(t *testing.T) {
	order, took, most := path{end: 8, rtt: 20 * time.Millisecond}.play(t, linear(nil))
	n := counts(order)
	for ttl := uint8(1); ttl < 8; ttl++ {
		if n[ttl] != 3 {
			t.Errorf("TTL %d probed %d times", ttl, n[ttl])
		}
	}
	beyond := 0
	for ttl, k := range n {
		if ttl >= 8 {
			beyond += k
		}
	}
	if beyond < 3 || beyond > 8 {
		t.Errorf("%d probes reached the destination", beyond)
	}
	if most > 16 {
		t.Errorf("%d in flight", most)
	}
	if took > 200*time.Millisecond {
		t.Errorf("took %v of 20 ms round trips", took)
	}
}

func TestLinearLeavesARouterAPauseBetweenRounds(t *testing.T) {
	l := linear(func(l *plan.Linear) { l.Last = 1 })
	now := start
	if s := l.Next(now); s.Action != plan.Send || s.Round != 1 {
		t.Fatalf("%+v", s)
	}
	s := l.Next(now)
	if s.Action != plan.Wait || !s.Until.After(now) {
		t.Fatalf("asks an unanswered router again at once: %+v", s)
	}
	l.Observe(plan.Outcome{TTL: 1})
	if s := l.Next(now); s.Action != plan.Send || s.Round != 2 {
		t.Errorf("doesn't ask an answering router at once: %+v", s)
	}
}

func TestLinearPassesSilentHops(t *testing.T) {
	p := path{end: 6, rtt: 10 * time.Millisecond, timeout: 5 * time.Second, silent: map[uint8]bool{2: true, 3: true}}
	order, took, _ := p.play(t, linear(nil))
	n := counts(order)
	if n[2] != 3 || n[3] != 3 || n[6] == 0 {
		t.Errorf("%v", n)
	}
	if took > 6*time.Second {
		t.Errorf("took %v: rounds to a silent hop must overlap", took)
	}
}

func TestLinearEndsAtLast(t *testing.T) {
	p := path{rtt: time.Millisecond, timeout: time.Second, silent: map[uint8]bool{}}
	for ttl := uint8(4); ttl <= 30; ttl++ {
		p.silent[ttl] = true
	}
	l := linear(func(l *plan.Linear) { l.First, l.Last = 3, 12 })
	n := counts(first(p.play(t, l)))
	for ttl := range uint8(31) {
		want := 0
		if ttl >= 3 && ttl <= 12 {
			want = 3
		}
		if n[ttl] != want {
			t.Errorf("TTL %d probed %d times, want %d", ttl, n[ttl], want)
		}
	}
}

func TestLinearKeepsTheInterval(t *testing.T) {
	l := linear(func(l *plan.Linear) { l.Interval = time.Second })
	order, took, _ := path{end: 2, rtt: time.Millisecond}.play(t, l)
	if want := time.Duration(len(order)-1) * time.Second; took < want {
		t.Errorf("%d probes in %v", len(order), took)
	}
}

func TestLinearFirstBeyondTheDestination(t *testing.T) {
	l := linear(func(l *plan.Linear) { l.First = 10 })
	order, _, _ := path{end: 4, rtt: time.Millisecond}.play(t, l)
	if len(order) < 3 || len(order) > 8 {
		t.Errorf("%v", order)
	}
}

// When the destination's answers can't be told apart, its probes go one at a
// time, until as many as asked for are beyond doubt.
func TestLinearAsksAnAmbiguousDestinationAlone(t *testing.T) {
	const destination = 3
	l := linear(nil)
	now, open, end := start, []uint8(nil), uint8(0)
	alone := 0
	for range 1000 {
		step := l.Next(now)
		if step.Action == plan.Stop {
			break
		}
		if step.Action == plan.Send {
			open = append(open, step.TTL)
			continue
		}
		if len(open) == 0 {
			now = step.Until
			continue
		}
		ttl := open[0]
		if ttl < destination {
			open = open[1:]
			l.Observe(plan.Outcome{TTL: ttl, End: end})
			continue
		}
		// The engine can only tie the answer to the highest TTL outstanding.
		ttl = slices.Max(open)
		i := slices.Index(open, ttl)
		open = slices.Delete(open, i, i+1)
		status := plan.Ambiguous
		if len(open) == 0 {
			status = plan.Answered
			alone++
		}
		if end == 0 || ttl < end {
			end = ttl
		}
		l.Observe(plan.Outcome{TTL: ttl, Status: status, End: end})
	}
	if !l.Done() || end != destination || alone < 3 {
		t.Errorf("done %v, destination at %d, %d answers beyond doubt", l.Done(), end, alone)
	}
}

func TestLinearDoesNotRepeatForEver(t *testing.T) {
	l := linear(func(l *plan.Linear) { l.Last = 1 })
	n := 0
	for !l.Done() {
		if s := l.Next(start.Add(time.Duration(n) * time.Second)); s.Action != plan.Send {
			t.Fatalf("%+v", s)
		}
		l.Observe(plan.Outcome{TTL: 1, Status: plan.Ambiguous, End: 1})
		if n++; n > 100 {
			t.Fatal("never stops")
		}
	}
}

func TestLinearResumesWhenTheEndMovesBack(t *testing.T) {
	l := linear(func(l *plan.Linear) { l.InFlight, l.Queries, l.Last = 1, 1, 4 })
	l.Next(start)
	l.Observe(plan.Outcome{TTL: 1, End: 1}) // said to be unreachable here
	if !l.Done() {
		t.Fatal("goes on beyond the end")
	}
	l.Observe(plan.Outcome{TTL: 1, Status: plan.Late, End: 0})
	if s := l.Next(start); l.Done() || s.Action != plan.Send || s.TTL != 2 {
		t.Errorf("%+v", s)
	}
}

func first[A, B, C any](a A, _ B, _ C) A { return a }
