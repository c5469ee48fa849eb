package plan_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/craft/plan"
)

// network is a path whose links have MTUs. Link i leads to hop i + 1, the last
// to the destination.
type network struct {
	links []int
	mute  []uint8                   // hops that answer nothing; the destination may be one
	hole  []uint8                   // hops to which what is too long is lost without a word
	state func(mtu, length int) int // what routers state of a link; nil: its MTU
	rtt   time.Duration             // for each hop on the way
	odd   func(*rand.Rand) oddity   // what befalls an answer; nil: nothing
	vague bool                      // the destination's answer to one probe of several may be to any
	limit *bucket                   // how often the destination answers; nil: always
	final uint8                     // a hop that says that the destination can't be reached; 0: none
	play  func(plan.Step)           // is told of each probe
}

// bucket limits answers as Linux does (net.ipv4.icmp_ratelimit).
type bucket struct {
	tokens time.Duration
	last   time.Time
}

func (b *bucket) take(now time.Time) bool {
	if !b.last.IsZero() {
		b.tokens = min(b.tokens+now.Sub(b.last), 6*time.Second)
	}
	b.last = now
	if b.tokens < time.Second {
		return false
	}
	b.tokens -= time.Second
	return true
}

// oddity is what befalls an answer on its way.
type oddity uint8

const (
	ordinary oddity = iota
	lost
	late
	twice
	unclear // may be to another probe; of the destination alone
)

// wait is the longest that the simulated engine waits for an answer.
const wait = 5 * time.Second

// event is an outcome that the plan will observe.
type event struct {
	due     time.Time
	sent    time.Time
	outcome plan.Outcome
	ends    uint8
}

// result is how a plan fared in a network.
type result struct {
	found  []plan.Size
	probes int
	at     map[uint8]int // probes by TTL
	took   time.Duration
	last   plan.Outcome // in time, from the destination
}

// answer is what a network makes of a probe: an outcome without End, and the
// hop at which it shows the path to end.
func (n *network) answer(step plan.Step, now time.Time) (o plan.Outcome, hops int, ends uint8) {
	o = plan.Outcome{TTL: step.TTL, Length: step.Length, Status: plan.Silent}
	for i, mtu := range n.links {
		if i == int(step.TTL) || n.final != 0 && i == int(n.final) {
			break
		}
		if step.Length <= mtu {
			hops++
			continue
		}
		if slices.Contains(n.hole, uint8(i+1)) || slices.Contains(n.mute, uint8(i)) {
			return o, 0, 0
		}
		o.Status, o.TooBig, o.MTU = plan.Answered, true, mtu
		if n.state != nil {
			o.MTU = n.state(mtu, step.Length)
		}
		return o, i, 0
	}
	if slices.Contains(n.mute, uint8(hops)) {
		return o, 0, 0
	}
	if hops == len(n.links) {
		if n.limit != nil && !n.limit.take(now) {
			return o, 0, 0
		}
		ends = uint8(hops)
	}
	if n.final != 0 && hops == int(n.final) && step.TTL > n.final {
		ends = n.final
	}
	o.Status = plan.Answered
	return o, hops, ends
}

// events are what the plan will observe of a probe, which is alone on its way
// or not.
func (n *network) events(step plan.Step, now time.Time, random *rand.Rand, alone bool) []event {
	o, hops, ends := n.answer(step, now)
	e := event{due: now.Add(time.Duration(hops) * n.rtt), sent: now, outcome: o, ends: ends}
	silence := e
	silence.due, silence.ends = now.Add(wait), 0
	silence.outcome = plan.Outcome{TTL: o.TTL, Length: o.Length, Status: plan.Silent}
	if o.Status == plan.Silent {
		return []event{silence}
	}
	again := e
	again.outcome.Status = plan.Late
	odd := n.oddity(random)
	if n.vague && !alone {
		odd = unclear
	}
	switch {
	case odd == lost:
		return []event{silence}
	case odd == late:
		again.due = now.Add(wait + time.Second)
		return []event{silence, again}
	case odd == twice:
		again.due = e.due.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
		return []event{e, again}
	case odd == unclear && ends != 0 && !o.TooBig:
		e.outcome.Status = plan.Ambiguous
	}
	return []event{e}
}

func (n *network) oddity(random *rand.Rand) oddity {
	if n.odd == nil {
		return ordinary
	}
	return n.odd(random)
}

// run plays the network against a plan. It fails the test if the plan does not
// end, waits for nothing, or sends what it must not. Whatever happens, a plan
// that observes the same in another order has to find the same.
func (n *network) run(t *testing.T, m *plan.MTU, seed uint64) (r result) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	now, coming, end := start, []event(nil), uint8(0)
	var seen []plan.Outcome
	heard := uint8(0)
	r.at = map[uint8]int{}
	for range 1_000_000 {
		step := m.Next(now)
		if step.Action == plan.Stop {
			r.found, r.took = m.Found(), now.Sub(start)
			replayed(t, m, seen, random, r.found)
			return r
		}
		if step.Action == plan.Send {
			n.check(t, m, step, r.at[step.TTL])
			r.probes++
			r.at[step.TTL]++
			if n.play != nil {
				n.play(step)
			}
			coming = append(coming, n.events(step, now, random, len(coming) == 0)...)
			continue
		}
		first := n.earliest(coming, heard)
		if first < 0 || !step.Until.IsZero() && step.Until.Before(n.due(&coming[first], heard)) {
			if step.Until.IsZero() || !step.Until.After(now) {
				t.Fatal("waits for nothing")
			}
			now = step.Until
			continue
		}
		e := coming[first]
		if due := n.due(&e, heard); due.After(now) {
			now = due
		}
		coming = slices.Delete(coming, first, first+1)
		if e.ends != 0 && (end == 0 || e.ends < end) {
			end = e.ends
		}
		if e.outcome.Status == plan.Answered && !e.outcome.TooBig {
			heard = max(heard, e.outcome.TTL)
			if int(e.ends) == len(n.links) {
				r.last = e.outcome
			}
		}
		e.outcome.End = end
		seen = append(seen, e.outcome)
		m.Observe(e.outcome)
	}
	t.Fatal("never stops")
	return r
}

// due is when an event happens: the wait for a TTL is short when it, or one
// behind it, was heard.
func (n *network) due(e *event, heard uint8) time.Time {
	if e.outcome.Status == plan.Silent && e.outcome.TTL <= heard {
		return e.sent.Add(500 * time.Millisecond)
	}
	return e.due
}

func (n *network) earliest(coming []event, heard uint8) int {
	first := -1
	for i := range coming {
		if first < 0 || n.due(&coming[i], heard).Before(n.due(&coming[first], heard)) {
			first = i
		}
	}
	return first
}

func (n *network) check(t *testing.T, m *plan.MTU, step plan.Step, before int) {
	t.Helper()
	if step.Length < m.Shortest || step.Length > m.Longest {
		t.Fatalf("sends %d bytes", step.Length)
	}
	if step.TTL < m.First || step.TTL > m.Last || step.Round != before+1 {
		t.Fatalf("sends TTL %d round %d after %d", step.TTL, step.Round, before)
	}
}

// replayed checks that the conclusion follows from the outcomes alone.
func replayed(t *testing.T, live *plan.MTU, seen []plan.Outcome, random *rand.Rand, found []plan.Size) {
	t.Helper()
	m := &plan.MTU{
		First: live.First, Last: live.Last, Queries: live.Queries,
		Longest: live.Longest, Shortest: live.Shortest,
	}
	var end uint8
	if len(seen) > 0 {
		end = seen[len(seen)-1].End
	}
	for _, i := range random.Perm(len(seen)) {
		o := seen[i]
		o.End = end
		m.Observe(o)
	}
	if d := cmp.Diff(found, m.Found()); d != "" {
		t.Errorf("the outcomes alone, in another order, find something else (-live +replayed):\n%s", d)
	}
}

// links are the MTUs of a path: n of them.
func links(n, mtu int) []int { return slices.Repeat([]int{mtu}, n) }

// narrow is links(n, mtu) with the link to a hop, and those behind, at another MTU.
func narrow(path []int, hop, mtu int) []int {
	path = slices.Clone(path)
	for i := hop - 1; i < len(path); i++ {
		path[i] = mtu
	}
	return path
}
