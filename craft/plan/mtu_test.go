package plan_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/craft/plan"
)

func mtu(change func(*plan.MTU)) *plan.MTU {
	m := &plan.MTU{First: 1, Last: 30, Queries: 3, Longest: 1500, Shortest: plan.MinMTU4}
	if change != nil {
		change(m)
	}
	return m
}

func byLink(hop uint8, mtu int) plan.Size { return plan.Size{Hop: hop, MTU: mtu, Known: plan.ByLink} }
func stated(hop uint8, mtu int) plan.Size { return plan.Size{Hop: hop, MTU: mtu, Known: plan.Stated} }
func searched(hop uint8, mtu int) plan.Size {
	return plan.Size{Hop: hop, MTU: mtu, Known: plan.Searched}
}
func atLeast(hop uint8, mtu int) plan.Size { return plan.Size{Hop: hop, MTU: mtu, Known: plan.AtLeast} }

func ipv6(m *plan.MTU) { m.Shortest = plan.MinMTU6 }

func constant(mtu int) func(mtu, length int) int { return func(int, int) int { return mtu } }

// What is found of a path, in how many probes and how long at most. Each hop is
// 10 ms farther away than the one before.
func TestMTUFinds(t *testing.T) {
	tests := map[string]struct {
		network network
		change  func(*plan.MTU)
		want    []plan.Size
		probes  int
		took    time.Duration
	}{
		"no drop": {
			network: network{links: links(8, 1500)},
			want:    []plan.Size{byLink(1, 1500)},
			probes:  24, took: 600 * time.Millisecond,
		},
		"a drop": {
			network: network{links: narrow(links(8, 1500), 4, 1400)},
			want:    []plan.Size{byLink(1, 1500), stated(4, 1400)},
			probes:  25, took: 600 * time.Millisecond,
		},
		"a drop to what is no usual size": {
			network: network{links: narrow(links(8, 1500), 4, 1337)},
			want:    []plan.Size{byLink(1, 1500), stated(4, 1337)},
			probes:  25, took: 600 * time.Millisecond,
		},
		"several drops": {
			network: network{links: narrow(narrow(narrow(links(9, 9000), 3, 1500), 6, 1420), 9, 1280)},
			change:  func(m *plan.MTU) { m.Longest = 9000 },
			want: []plan.Size{
				byLink(1, 9000), stated(3, 1500), stated(6, 1420), stated(9, 1280),
			},
			probes: 30, took: time.Second,
		},
		"a narrow link and a wide one behind it": {
			network: network{links: []int{1500, 1400, 1500, 1500, 1500}},
			want:    []plan.Size{byLink(1, 1500), stated(2, 1400)},
			probes:  16, took: 500 * time.Millisecond,
		},
		"a drop at the first hop": {
			network: network{links: links(3, 1400)},
			want:    []plan.Size{stated(1, 1400)},
			probes:  10, took: 300 * time.Millisecond,
		},
		"routers that state nothing": {
			network: network{links: narrow(links(6, 1500), 3, 1400), state: constant(0)},
			want:    []plan.Size{byLink(1, 1500), searched(3, 1400)},
			probes:  35, took: 3 * time.Second,
		},
		"routers that state more than was sent": {
			network: network{links: narrow(links(6, 1500), 3, 1450), state: constant(9000)},
			want:    []plan.Size{byLink(1, 1500), searched(3, 1450)},
			probes:  35, took: 3 * time.Second,
		},
		"routers that state what was sent": {
			network: network{links: narrow(links(6, 1500), 3, 1006), state: func(_, sent int) int { return sent }},
			want:    []plan.Size{byLink(1, 1500), searched(3, 1006)},
			probes:  35, took: 3 * time.Second,
		},
		"routers that state less than the minimum": {
			network: network{links: narrow(links(6, 1500), 3, 1400), state: constant(60)},
			want:    []plan.Size{byLink(1, 1500), searched(3, 1400)},
			probes:  35, took: 3 * time.Second,
		},
		"routers that state less than passes": {
			network: network{links: narrow(links(6, 1500), 3, 1400), state: constant(1300)},
			want:    []plan.Size{byLink(1, 1500), stated(3, 1300)},
			probes:  19, took: 500 * time.Millisecond,
		},
		"routers that understate by one, again and again": {
			network: network{links: narrow(links(6, 1500), 3, 1400), state: func(_, sent int) int { return sent - 1 }},
			want:    []plan.Size{byLink(1, 1500), stated(3, 1400)},
			probes:  150, took: 5 * time.Second,
		},
		"a black hole": {
			network: network{links: narrow(links(8, 1500), 4, 1400), hole: []uint8{4}},
			want:    []plan.Size{byLink(1, 1500), searched(4, 1400)},
			probes:  40, took: 10 * time.Second,
		},
		"a black hole of no usual size": {
			network: network{links: narrow(links(8, 1500), 4, 1337), hole: []uint8{4}},
			want:    []plan.Size{byLink(1, 1500), searched(4, 1337)},
			probes:  55, took: 15 * time.Second,
		},
		"a black hole that lets only the shortest through": {
			network: network{links: narrow(links(4, 1500), 2, 68), hole: []uint8{2}},
			want:    []plan.Size{byLink(1, 1500), searched(2, 68)},
			probes:  40, took: 12 * time.Second,
		},
		"a black hole behind a drop": {
			network: network{links: narrow(narrow(links(8, 1500), 3, 1480), 6, 1420), hole: []uint8{6}},
			want:    []plan.Size{byLink(1, 1500), stated(3, 1480), searched(6, 1420)},
			probes:  45, took: 12 * time.Second,
		},
		"a black hole of jumbo frames": {
			network: network{links: narrow(links(4, 9000), 2, 1500), hole: []uint8{2}},
			change:  func(m *plan.MTU) { m.Longest = 9000 },
			want:    []plan.Size{byLink(1, 9000), searched(2, 1500)},
			probes:  35, took: 12 * time.Second,
		},
		"silent hops": {
			network: network{links: links(8, 1500), mute: []uint8{2, 3, 5}},
			want:    []plan.Size{byLink(1, 1500)},
			probes:  26, took: 4 * time.Second,
		},
		"a drop behind silent hops": {
			network: network{links: narrow(links(8, 1500), 6, 1400), mute: []uint8{3, 4}},
			want:    []plan.Size{byLink(1, 1500), stated(6, 1400)},
			probes:  27, took: 3 * time.Second,
		},
		"a black hole behind a silent hop": {
			network: network{links: narrow(links(8, 1500), 5, 1400), mute: []uint8{4}, hole: []uint8{5}},
			want:    []plan.Size{byLink(1, 1500), searched(5, 1400)},
			probes:  45, took: 15 * time.Second,
		},
		"a black hole to a silent hop tells of itself at the next": {
			network: network{links: narrow(links(8, 1500), 4, 1400), mute: []uint8{4}, hole: []uint8{4}},
			want:    []plan.Size{byLink(1, 1500), searched(5, 1400)},
			probes:  45, took: 15 * time.Second,
		},
		"a drop to a hop that is silent": {
			network: network{links: narrow(links(8, 1500), 4, 1400), mute: []uint8{4}},
			want:    []plan.Size{byLink(1, 1500), stated(4, 1400)},
			probes:  25, took: 2 * time.Second,
		},
		"a drop of which the router states nothing, to a hop that is silent": {
			network: network{links: narrow(links(8, 1500), 4, 1337), mute: []uint8{4}, state: constant(0)},
			want:    []plan.Size{byLink(1, 1500), searched(4, 1337)},
			probes:  39, took: 3 * time.Second,
		},
		"a destination whose answers can't be told apart": {
			network: network{links: narrow(links(4, 1500), 4, 1400), hole: []uint8{4}, vague: true},
			want:    []plan.Size{byLink(1, 1500), searched(4, 1400)},
			probes:  35, took: 15 * time.Second,
		},
		"everything silent": {
			network: network{links: links(40, 1500), mute: upTo(40)},
			probes:  150, took: 37 * time.Second,
		},
		"everything silent, one at a time": {
			network: network{links: links(40, 1500), mute: upTo(40)},
			change:  func(m *plan.MTU) { m.Serial, m.Last = true, 4 },
			probes:  12, took: time.Minute,
		},
		"a silent destination": {
			network: network{links: narrow(links(3, 1500), 3, 1400), mute: upTo(40)[2:]},
			change:  func(m *plan.MTU) { m.Last = 10 },
			want:    []plan.Size{byLink(1, 1500)},
			probes:  60, took: 20 * time.Second,
		},
		"a destination that limits its answers": {
			network: network{links: links(4, 1500), limit: &bucket{tokens: 6 * time.Second}},
			change:  func(m *plan.MTU) { m.Queries = 10 },
			want:    []plan.Size{byLink(1, 1500)},
			probes:  40, took: 3 * time.Second,
		},
		"a destination that has none left of its answers": {
			network: network{links: links(4, 1500), limit: &bucket{}},
			want:    []plan.Size{byLink(1, 1500)},
			probes:  18, took: 10 * time.Second,
		},
		"a destination that limits its answers behind a black hole": {
			network: network{
				links: narrow(links(4, 1500), 4, 1337), hole: []uint8{4}, limit: &bucket{tokens: 6 * time.Second},
			},
			want:   []plan.Size{byLink(1, 1500), searched(4, 1337)},
			probes: 50, took: 25 * time.Second,
		},
		"a destination that takes less than its link": {
			network: network{links: []int{1500, 1500, 1280}, hole: []uint8{3}, limit: &bucket{tokens: 6 * time.Second}},
			want:    []plan.Size{byLink(1, 1500), searched(3, 1280)},
			probes:  30, took: 15 * time.Second,
		},
		"the destination is a neighbour": {
			network: network{links: links(1, 1500)},
			want:    []plan.Size{byLink(1, 1500)},
			probes:  3, took: 200 * time.Millisecond,
		},
		"loopback": {
			network: network{links: links(1, 65536)},
			change:  func(m *plan.MTU) { m.Longest = 65535 },
			want:    []plan.Size{byLink(1, 65535)},
			probes:  3, took: 200 * time.Millisecond,
		},
		"a final unreachable": {
			network: network{links: narrow(links(8, 1500), 3, 1400), final: 4},
			want:    []plan.Size{byLink(1, 1500), stated(3, 1400)},
			probes:  20, took: 500 * time.Millisecond,
		},
		"even the shortest is too big": {
			network: network{links: narrow(links(8, 1500), 3, 60)},
			want:    []plan.Size{byLink(1, 1500)},
			probes:  20, took: time.Second,
		},
		"IPv6, a drop": {
			network: network{links: narrow(links(8, 1500), 4, 1420)}, change: ipv6,
			want:   []plan.Size{byLink(1, 1500), stated(4, 1420)},
			probes: 25, took: 600 * time.Millisecond,
		},
		"IPv6, the minimum stated": {
			network: network{links: narrow(links(8, 1500), 4, 1280)}, change: ipv6,
			want:   []plan.Size{byLink(1, 1500), stated(4, 1280)},
			probes: 25, took: 600 * time.Millisecond,
		},
		"IPv6, less than the minimum stated": {
			network: network{links: narrow(links(8, 1500), 4, 1400), state: constant(1000)}, change: ipv6,
			want:   []plan.Size{byLink(1, 1500), searched(4, 1400)},
			probes: 35, took: 2 * time.Second,
		},
		"IPv6, a black hole": {
			network: network{links: narrow(links(8, 1500), 4, 1480), hole: []uint8{4}}, change: ipv6,
			want:   []plan.Size{byLink(1, 1500), searched(4, 1480)},
			probes: 40, took: 10 * time.Second,
		},
		"from a later hop on": {
			network: network{links: narrow(links(8, 1500), 4, 1400)},
			change:  func(m *plan.MTU) { m.First = 6 },
			want:    []plan.Size{stated(6, 1400)},
			probes:  10, took: 600 * time.Millisecond,
		},
		"from beyond the destination on": {
			network: network{links: narrow(links(4, 1500), 4, 1400)},
			change:  func(m *plan.MTU) { m.First = 9 },
			want:    []plan.Size{stated(9, 1400)},
			probes:  4, took: 300 * time.Millisecond,
		},
		"one at a time": {
			network: network{links: narrow(links(4, 1500), 2, 1400)},
			change:  func(m *plan.MTU) { m.Serial = true },
			want:    []plan.Size{byLink(1, 1500), stated(2, 1400)},
			probes:  13, took: 600 * time.Millisecond,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.network.rtt = 10 * time.Millisecond
			m := mtu(test.change)
			r := test.network.run(t, m, 1)
			if d := cmp.Diff(test.want, r.found); d != "" {
				t.Error(d)
			}
			if r.probes > test.probes || r.took > test.took {
				t.Errorf("%d probes in %v, want at most %d in %v", r.probes, r.took, test.probes, test.took)
			}
			if r.last.TTL != 0 && r.last.Length != r.found[len(r.found)-1].MTU {
				t.Errorf("what got to the destination last are %d bytes", r.last.Length)
			}
			if testing.Verbose() {
				t.Logf("%d probes in %v", r.probes, r.took)
			}
		})
	}
}

func upTo(n uint8) (hops []uint8) {
	for hop := range n {
		hops = append(hops, hop+1)
	}
	return hops
}

func TestMTUProbesEachHopAsOftenAsAskedAtItsSize(t *testing.T) {
	n := network{links: narrow(links(5, 1500), 3, 1400), rtt: 10 * time.Millisecond, mute: []uint8{4}}
	at := map[[2]int]int{}
	n.play = func(s plan.Step) { at[[2]int{int(s.TTL), s.Length}]++ }
	n.run(t, mtu(nil), 1)
	want := map[[2]int]int{{1, 1500}: 3, {2, 1500}: 3, {3, 1500}: 1, {3, 1400}: 3, {4, 1400}: 2, {4, 68}: 1, {5, 1400}: 3}
	if d := cmp.Diff(want, at); d != "" {
		t.Error(d)
	}
}

func TestMTUKeepsTheInterval(t *testing.T) {
	n := network{links: narrow(links(4, 1500), 2, 1400), rtt: time.Millisecond}
	r := n.run(t, mtu(func(m *plan.MTU) { m.Interval = time.Second }), 1)
	if want := time.Duration(r.probes-1) * time.Second; r.took < want {
		t.Errorf("%d probes in %v", r.probes, r.took)
	}
}

func TestMTUAsksOneTTLAfterTheOther(t *testing.T) {
	n := network{links: narrow(links(6, 1500), 3, 1400), hole: []uint8{3}, rtt: 10 * time.Millisecond}
	front, narrowAt := uint8(0), 0
	n.play = func(s plan.Step) {
		if s.TTL > front+1 {
			t.Errorf("TTL %d after %d", s.TTL, front)
		}
		front = max(front, s.TTL)
		if s.TTL > 3 && s.Length > 1400 {
			narrowAt++
		}
	}
	n.run(t, mtu(nil), 1)
	if narrowAt > 0 {
		t.Errorf("%d probes behind the black hole are longer than gets through it", narrowAt)
	}
}

// A late answer shows that a size gets through, for which the plan has taken a
// smaller one.
func TestMTULateAnswerCorrectsTheSize(t *testing.T) {
	m := mtu(func(m *plan.MTU) { m.Last = 1 })
	n := network{links: []int{1500, 1500}, hole: []uint8{1}, rtt: time.Millisecond}
	n.links[0] = 1400
	n.run(t, m, 1)
	m.Observe(plan.Outcome{TTL: 1, Length: 1500, Status: plan.Late})
	if d := cmp.Diff([]plan.Size{byLink(1, 1500)}, m.Found()); d != "" {
		t.Error(d)
	}
}

// Nobody knows which size it was that was answered.
func TestMTUIgnoresAnswersToUnknownProbes(t *testing.T) {
	m := mtu(nil)
	m.Next(start)
	m.Observe(plan.Outcome{TTL: 1, Status: plan.Late, End: 3})
	if found := m.Found(); found != nil {
		t.Errorf("%v", found)
	}
}

func TestMTUSaysWhenASizeIsALowerBound(t *testing.T) {
	m := mtu(nil)
	m.Observe(plan.Outcome{TTL: 1, Length: 1500, TooBig: true})
	m.Observe(plan.Outcome{TTL: 1, Length: 1492, TooBig: true})
	m.Observe(plan.Outcome{TTL: 1, Length: 1006})
	if d := cmp.Diff([]plan.Size{atLeast(1, 1006)}, m.Found()); d != "" {
		t.Error(d)
	}
}

// A host that limits its answers has one to give a second after the last.
func TestMTULeavesAHopAPauseBeforeItTriesASizeAgain(t *testing.T) {
	m := mtu(nil)
	m.Next(start)
	second := start.Add(500 * time.Millisecond)
	if s := m.Next(second); s.Action != plan.Send || s.TTL != 1 || s.Length != plan.MinMTU4 {
		t.Fatalf("no short probe to a silent hop: %+v", s)
	}
	m.Observe(plan.Outcome{TTL: 1, Length: plan.MinMTU4})
	m.Observe(plan.Outcome{TTL: 1, Length: 1500, Status: plan.Silent})
	s := m.Next(second.Add(100 * time.Millisecond))
	if s.Action != plan.Wait || s.Until.Before(second.Add(time.Second)) {
		t.Fatalf("%+v", s)
	}
	if s := m.Next(s.Until); s.Action != plan.Send || s.TTL != 1 || s.Length != 1500 {
		t.Errorf("%+v", s)
	}
}

// A hop that leaves even short probes unanswered loses some, or limits its
// answers: one more try each.
func TestMTUTriesASizeMoreOftenWhereShortProbesAreLost(t *testing.T) {
	m := mtu(nil)
	for _, o := range []plan.Outcome{
		{Length: 68, Status: plan.Silent}, {Length: 68}, {Length: 1400},
		{Length: 1401, Status: plan.Silent}, {Length: 1401, Status: plan.Silent}, {Length: 1401, Status: plan.Silent},
	} {
		o.TTL = 1
		m.Observe(o)
	}
	if d := cmp.Diff([]plan.Size{atLeast(1, 1400)}, m.Found()); d != "" {
		t.Errorf("after three tries: %s", d)
	}
	m.Observe(plan.Outcome{TTL: 1, Length: 1401, Status: plan.Silent})
	if d := cmp.Diff([]plan.Size{searched(1, 1400)}, m.Found()); d != "" {
		t.Errorf("after four tries: %s", d)
	}
}

func TestMTUSendsOneProbeAtATimeWhenAnswersAreAmbiguous(t *testing.T) {
	m := mtu(nil)
	m.Next(start)
	now := start.Add(time.Second)
	m.Next(now)
	m.Observe(plan.Outcome{TTL: 1, Length: 1500, Status: plan.Ambiguous, End: 1})
	if s := m.Next(now.Add(time.Minute)); s.Action != plan.Wait {
		t.Fatalf("%+v while a probe is outstanding", s)
	}
	m.Observe(plan.Outcome{TTL: 1, Length: plan.MinMTU4, Status: plan.Ambiguous, End: 1})
	if s := m.Next(now.Add(time.Minute)); s.Action != plan.Send {
		t.Errorf("%+v", s)
	}
}

func TestMTUResumesWhenTheEndMovesBack(t *testing.T) {
	m := mtu(func(m *plan.MTU) { m.Queries = 1 })
	m.Next(start)
	m.Observe(plan.Outcome{TTL: 1, Length: 1500, End: 1}) // said to be unreachable here
	if !m.Done() {
		t.Fatal("goes on beyond the end")
	}
	m.Observe(plan.Outcome{TTL: 1, Length: 1500, Status: plan.Late})
	if s := m.Next(start); m.Done() || s.Action != plan.Send || s.TTL != 2 {
		t.Errorf("%+v", s)
	}
}

// Over many paths with packets lost, answers late, doubled and unclear: the plan
// ends in a bounded number of probes, and mostly with the right MTU.
func TestMTUEndsWhateverHappens(t *testing.T) {
	const runs = 400
	for name, test := range map[string]struct {
		odds  [5]float64 // by oddity; ordinary is the rest
		wrong int        // runs in which another MTU may be found
	}{
		"nothing odd":        {},
		"some lost":          {odds: [5]float64{lost: 0.02}, wrong: 4},
		"late and doubled":   {odds: [5]float64{late: 0.05, twice: 0.2}, wrong: 4},
		"often unclear":      {odds: [5]float64{lost: 0.01, unclear: 0.3}, wrong: 4},
		"always unclear":     {odds: [5]float64{unclear: 1}, wrong: runs},
		"most lost":          {odds: [5]float64{lost: 0.7}, wrong: runs},
		"everything at once": {odds: [5]float64{lost: 0.3, late: 0.2, twice: 0.2, unclear: 0.2}, wrong: runs},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong []uint64
			for seed := range uint64(runs) {
				n, m, want := randomPath(rand.New(rand.NewPCG(seed, 0)))
				n.odd = func(random *rand.Rand) oddity {
					x := random.Float64()
					for odd, chance := range test.odds {
						if x -= chance; x < 0 {
							return oddity(odd)
						}
					}
					return ordinary
				}
				r := n.run(t, m, seed)
				for ttl, probes := range r.at {
					if probes > 150 {
						t.Errorf("seed %d: %d probes with TTL %d", seed, probes, ttl)
					}
				}
				if len(r.found) == 0 || r.found[len(r.found)-1].MTU != want {
					wrong = append(wrong, seed)
				}
			}
			if len(wrong) > test.wrong {
				t.Errorf("another MTU in %d of %d runs: %v", len(wrong), runs, wrong)
			}
		})
	}
}

// randomPath makes up a path whose destination answers, and says its MTU.
func randomPath(random *rand.Rand) (n *network, m *plan.MTU, want int) {
	hops := 2 + random.IntN(10)
	n = &network{links: links(hops, 1500), rtt: time.Duration(1+random.IntN(60)) * time.Millisecond}
	for range random.IntN(3) {
		hop, size := 1+random.IntN(hops), 68+random.IntN(1433)
		for i := hop - 1; i < hops; i++ {
			n.links[i] = min(n.links[i], size)
		}
		if random.IntN(2) == 0 {
			n.hole = append(n.hole, uint8(hop))
		}
	}
	for hop := uint8(1); int(hop) < hops; hop++ {
		if random.IntN(5) == 0 {
			n.mute = append(n.mute, hop)
		}
	}
	if random.IntN(4) == 0 {
		n.state = constant(random.IntN(2) * 40)
	}
	if random.IntN(2) == 0 {
		n.limit = &bucket{tokens: time.Duration(random.IntN(7)) * time.Second}
	}
	return n, mtu(func(m *plan.MTU) { m.Queries = 1 + random.IntN(3) }), n.links[hops-1]
}
