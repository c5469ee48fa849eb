package path_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// Whatever comes in, and in whatever order, the books balance and every probe
// stands in one hop; and the same frames make the same Path.
func TestRandomTraces(t *testing.T) {
	var all path.Counters
	ambiguous, unsent, stepped := 0, 0, 0
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := randomTrace(t, seed)
			p := l.finish()
			l.balances()
			stands(t, p)
			l.tellsAll()

			again := randomTrace(t, seed).finish()
			if !reflect.DeepEqual(p, again) {
				t.Errorf("the same frames make another path:\n%s", cmp.Diff(p, again, equal))
			}

			all.Received += p.Counters.Received
			all.Late += p.Counters.Late
			all.Duplicate += p.Counters.Duplicate
			all.Foreign += p.Counters.Foreign
			for _, probe := range p.Probes {
				if r := probe.Reply; r != nil && r.MatchedBy == matcher.Ambiguous {
					ambiguous++
				}
				if probe.Status == path.Unsent {
					unsent++
				}
			}
			if p.Clock.Stepped {
				stepped++
			}
		})
	}
	if min(all.Received, all.Late, all.Duplicate, all.Foreign, ambiguous, unsent, stepped) < 25 {
		t.Errorf("too little happened: %+v, %d ambiguous, %d unsent, %d stepped", all, ambiguous, unsent, stepped)
	}
}

// randomTrace feeds a Recorder what comes of a seed, up to the end of the
// trace, and checks after every step.
func randomTrace(t *testing.T, seed uint64) *lab {
	random := rand.New(rand.NewPCG(seed, 0))
	first := []uint8{1, 1, 3, 250}[random.IntN(4)]
	l := newLab(t, path.Parameters{
		FirstTTL: first, MaxTTL: 255, Queries: 1 + random.IntN(3),
		Wait: path.Wait{Max: time.Second, Here: float64(random.IntN(4)), Near: float64(random.IntN(11))},
	})
	l.link = []frame.LinkType{frame.Raw, frame.Ethernet}[random.IntN(2)]
	routers := []string{r1, r2, r3, r4, r5, r7, r8, target}
	answersBlank := random.IntN(3) == 0

	for range 80 {
		l.pass(time.Duration(random.IntN(120)) * ms)
		ttl := first + uint8(random.IntN(min(9, 256-int(first))))
		if len(l.sent) == 0 {
			l.probe(ttl)
			continue
		}
		n := random.IntN(len(l.sent))
		probe := l.path.Probes[n]
		if probe.Status == path.Unsent {
			continue // nothing is heard of it
		}
		router := routers[random.IntN(len(routers))]
		switch random.IntN(12) {
		case 0, 1:
			l.probe(ttl)
		case 2:
			l.send(ttl)
		case 3:
			l.copied(n)
		case 4, 5:
			l.answer(n, exceeded(probe.TTL, routers[int(probe.TTL)%len(routers)]))
		case 6:
			l.answer(n, refused(probe.TTL, uint8(random.IntN(int(probe.TTL)+2)), router))
		case 7:
			l.answer(n, closed(probe.TTL, uint8(random.IntN(int(probe.TTL)+2))))
		case 8:
			if answersBlank {
				l.answer(n, blank())
			} else {
				l.answer(n, echoed(probe.TTL))
			}
		case 9:
			if random.IntN(4) == 0 {
				l.step(time.Duration(random.IntN(1000)-500) * ms)
			} else {
				l.watermark()
			}
		case 10:
			if !answersBlank {
				l.failed(l.send(ttl))
			}
		case 11:
			l.garbage(random, n)
		}
		l.balances()
	}
	return l
}

// garbage shows something that is no reply to any probe.
func (l *lab) garbage(random *rand.Rand, n int) {
	foreign := append([]byte(nil), l.sent[n]...)
	foreign[30+random.IntN(7)] ^= 1 // the cookie
	l.sent = append(l.sent, foreign)
	l.answer(len(l.sent)-1, exceeded(0, r1))
	l.sent = l.sent[:len(l.sent)-1]
}

// balances checks what holds at any time: that the counters agree with the
// probes and the events, and each probe with itself.
func (l *lab) balances() {
	l.Helper()
	p := l.path
	want := path.Counters{Foreign: p.Counters.Foreign}
	for _, probe := range p.Probes {
		answered := false
		switch probe.Status {
		case path.Replied:
			want.Received++
			answered = true
		case path.Late:
			want.Late++
			answered = true
		}
		if probe.Status != path.Unsent {
			want.Sent++
		}
		want.Duplicate += len(probe.Extra)
		if answered != (probe.Reply != nil) || answered && probe.Reply.Late != (probe.Status == path.Late) {
			l.Fatalf("probe %d: status %v, reply %+v", probe.Number, probe.Status, probe.Reply)
		}
		if probe.Sent.IsZero() != (probe.Status == path.Unsent) {
			l.Fatalf("probe %d: status %v, sent %v", probe.Number, probe.Status, probe.Sent)
		}
		if r := probe.Reply; r != nil && !r.IsUnverified() && r.Hop > probe.TTL {
			l.Fatalf("probe %d with TTL %d is answered from hop %d", probe.Number, probe.TTL, r.Hop)
		}
		for _, r := range replies(&probe) {
			if r.Hop == 0 || r.Basis == 0 {
				l.Fatalf("probe %d: a reply has no place: %+v", probe.Number, r)
			}
			if r.HasRTT == (r.MatchedBy == matcher.Ambiguous) {
				l.Fatalf("probe %d: %+v", probe.Number, r)
			}
			if !p.Clock.Stepped && r.HasRTT && r.RTT != r.Received.Sub(probe.Sent) {
				l.Fatalf("probe %d: round trip %v, sent %v, received %v", probe.Number, r.RTT, probe.Sent, r.Received)
			}
		}
	}
	if want != p.Counters {
		l.Fatalf("-by the probes +by the counters\n%s", cmp.Diff(want, p.Counters))
	}
	events := map[path.EventKind]int{}
	for _, e := range l.events {
		events[e.Kind]++
	}
	if got := events[path.Answer]; got != want.Received+want.Late+want.Duplicate {
		l.Fatalf("%d replies told, of %+v", got, want)
	}
}

func replies(p *path.Probe) (all []path.Reply) {
	if p.Reply != nil {
		all = append(all, *p.Reply)
	}
	return append(all, p.Extra...)
}

// tellsAll checks the events of a trace that is over: each probe's last tells how
// it ended, and every hop was told once, in order while the trace ran.
func (l *lab) tellsAll() {
	l.Helper()
	p := l.path
	last := map[int]path.Status{}
	hops := map[uint8]bool{}
	before := uint8(0)
	for _, e := range l.events {
		switch e.Kind {
		case path.Answer, path.GaveUp:
			last[e.Probe.Number] = e.Probe.Status
		case path.Decided:
			if hops[e.Hop.TTL] || e.Hop.TTL < before && e.Hop.TTL >= p.Parameters.FirstTTL {
				l.Errorf("hop %d is told after hop %d", e.Hop.TTL, before)
			}
			hops[e.Hop.TTL], before = true, max(before, e.Hop.TTL)
		}
	}
	for _, probe := range p.Probes {
		told, any := last[probe.Number]
		if !any {
			told = path.Abandoned // nothing happened to it by the end
		}
		if told != probe.Status {
			l.Errorf("probe %d: %v was told last, it is %v", probe.Number, told, probe.Status)
		}
	}
	for _, h := range p.Hops() {
		if !hops[h.TTL] {
			l.Errorf("hop %d of %s was never told", h.TTL, standing(p.Hops()))
		}
	}
	if k := l.events[len(l.events)-1].Kind; k != path.Ended {
		l.Errorf("the last event is %v", k)
	}
}
