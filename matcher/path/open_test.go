package path

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// overdue are the probes whose wait is over, by looking at all of them.
func (r *Recorder) overdue(watermark time.Time) (over []int) {
	for i := range r.path.Probes {
		if p := &r.path.Probes[i]; p.Status == Outstanding && watermark.Add(-r.steps.sum()).After(r.deadline(p)) {
			over = append(over, i)
		}
	}
	return over
}

// What is given up is what a walk over all probes would give up, in its order,
// whatever was sent, stamped, answered and set meanwhile.
func TestGivesUpWhatIsOverdue(t *testing.T) {
	given := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		factors := []float64{0, 1.5, 3, 10}
		p := &Path{Target: Target{Addr: netip.MustParseAddr("198.51.100.7")}, Parameters: Parameters{
			FirstTTL: 1, MaxTTL: 9, Queries: 3,
			Wait: Wait{Max: time.Duration(1+random.IntN(5000)) * time.Millisecond, Here: factors[random.IntN(4)], Near: factors[random.IntN(4)]},
		}}
		var told []int
		r := NewRecorder(p, func(e Event) {
			if e.Kind == GaveUp {
				told = append(told, e.Probe.Number)
			}
		})
		now := time.Unix(1_700_000_000, 0)
		r.start(now)
		for range 200 {
			now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond)
			any := 0
			if n := len(p.Probes); n > 0 {
				any = random.IntN(n)
			}
			switch what := random.IntN(8); {
			case what < 3 || len(p.Probes) == 0:
				r.sent(Probe{TTL: uint8(1 + random.IntN(9)), Round: 1, Called: now}, &craft.Key{})
			case what == 3:
				r.copied(any, &matcher.Message{Time: now.Add(-time.Duration(random.IntN(300)) * time.Millisecond)})
			case what == 4:
				from := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(9))})
				r.replied(&matcher.Match{Probe: any, Reply: &matcher.Reply{Kind: matcher.TimeExceeded, From: from, Received: now, MatchedBy: matcher.ByFields}})
			case what == 5 && random.IntN(4) == 0:
				step := time.Duration(random.IntN(4000)-2000) * time.Millisecond
				now = now.Add(step)
				told = nil
				r.step(step)
			}
			told = nil
			want := r.overdue(now)
			r.pass(now, 0)
			if !slices.Equal(told, want) {
				t.Fatalf("seed %d: %v are given up, and %v are overdue", seed, told, want)
			}
			given += len(told)
		}
	}
	if given == 0 {
		t.Error("nothing is ever given up")
	}
}

// A step of the clock costs nothing for each probe, and counts for those alone that are
// outstanding, since they were stamped.
func TestStepsCountForOutstandingProbes(t *testing.T) {
	p := &Path{Target: Target{Addr: netip.MustParseAddr("198.51.100.7")}, Parameters: Parameters{
		FirstTTL: 1, MaxTTL: 9, Queries: 3, Wait: Wait{Max: time.Minute},
	}}
	r := NewRecorder(p, func(Event) {})
	now := time.Unix(1_700_000_000, 0)
	r.start(now)
	for ttl := range uint8(4) {
		r.sent(Probe{TTL: ttl + 1, Round: 1, Called: now}, &craft.Key{})
	}
	answer := func(n int) {
		r.replied(&matcher.Match{Probe: n, Reply: &matcher.Reply{Received: now.Add(time.Second)}})
	}
	answer(0) // before all steps
	r.step(time.Second)
	answer(1) // behind one
	r.copied(2, &matcher.Message{Time: now})
	r.step(2 * time.Second)
	answer(2) // stamped between the two
	answer(3) // behind both
	answer(1) // again: the second step came when it was answered
	for n, want := range []time.Duration{time.Second, 0, -time.Second, -2 * time.Second} {
		if got := p.Probes[n].Reply.RTT; got != want {
			t.Errorf("probe %d: %v, want %v", n, got, want)
		}
	}
	if got := p.Probes[1].Extra[0].RTT; got != 0 {
		t.Errorf("the reply again: %v", got)
	}
}
