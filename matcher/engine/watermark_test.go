package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/matcher/path"
)

// wantsAt checks which watermark is asked for.
func (b *bench) wantsAt(what string, want time.Time) {
	b.Helper()
	if got := b.wire.wants(); !got.Equal(want) {
		b.Errorf("%s: a watermark after %v is asked for, not %v", what, got, want)
	}
}

// uncaptured is how much longer a probe is waited for while its own frame is not captured.
const uncaptured = 100 * time.Millisecond

// The watermark that is asked for is the earliest that changes something: for a deadline
// of any run, for one that ends, for what waits to be recorded.
func TestTheEarliestWatermarkIsAskedFor(t *testing.T) {
	onBench(t, nil, func(b *bench) {
		patient := b.begin(1, func(p *path.Parameters) { p.Wait.Max = 3 * wait })
		b.wantsAt("nothing was sent", time.Time{})
		b.send(patient)
		first := now()
		b.wantsAt("one probe", first.Add(uncaptured+3*wait))
		time.Sleep(time.Millisecond)
		hasty := b.begin(2)
		b.wantsAt("a second run", first.Add(uncaptured+3*wait))
		b.send(hasty)
		second := now()
		b.wantsAt("with a probe", second.Add(uncaptured+wait))

		b.read()
		b.read()
		b.wantsAt("both were captured", second.Add(wait))
		b.drain(patient)
		ending := now()
		b.wantsAt("a run ends", ending)
		b.pass(ending)
		if patient.done {
			t.Error("a run has ended though what was captured at that time may be missing")
		}
		b.pass(ending.Add(1))
		if !patient.done {
			t.Error("a run goes on though all is read")
		}
		b.leave(patient, true)
		b.pass(ending.Add(2))
		b.wantsAt("one run is left", second.Add(wait))
		b.leave(hasty, true)
		b.pass(ending.Add(3))
		b.wantsAt("no run is left", time.Time{})
	})
}

// What became of a probe that the system refused is recorded with the next watermark,
// which is asked for at once.
func TestARefusedProbeAsksForAWatermark(t *testing.T) {
	onBench(t, nil, func(b *bench) {
		r := b.begin(1)
		b.refused(r, b.send(r))
		b.wantsAt("nothing was captured yet", now())
		time.Sleep(time.Second)
		at := now()
		b.pass(at)
		b.refused(r, b.send(r))
		b.wantsAt("after a watermark", at)
		b.events(r)
		b.pass(at.Add(1))
		if d := cmp.Diff([]string{"timeout", "hop"}, kinds(b.events(r))); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		b.leave(r, true)
	})
}

// With no watermark but those that it asks for, a trace whose probes are all refused
// ends as soon as it has sent them, and one whose probes nobody answers with the
// last deadline.
func TestATraceNeedsNoOtherWatermarks(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*path.Parameters)
		refuse error
		within time.Duration
	}{
		"refused": {func(*path.Parameters) {}, capture.ErrBusy, 10 * time.Millisecond},
		"silent": {func(p *path.Parameters) { p.MaxTTL, p.Wait.Max = 2, time.Millisecond }, nil,
			2 * 10 * time.Millisecond},
		"answered": {func(*path.Parameters) {}, nil, 3*hop + 2*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			live(t, func(t *testing.T, g *Engine, c *onDemand) {
				c.FailInject(test.refuse)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begun := time.Now()
				s := specOf(t, 1, c.Host(), test.change)
				if err := g.Run(ctx, s, func(path.Event) {}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took > test.within {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A trace that is ended has what was captured by then, and waits for no more than that.
func TestATraceThatIsEndedDrains(t *testing.T) {
	live(t, func(t *testing.T, g *Engine, c *onDemand) {
		stopped := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		var ended time.Time
		time.AfterFunc(2*hop, func() {
			ended = time.Now()
			stop(stopped)
		})
		s := specOf(t, 1, c.Host())
		var last path.Event
		if err := g.Run(ctx, s, func(e path.Event) { last = e }); err != stopped {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(ended); took > 2*time.Millisecond {
			t.Errorf("ends %v after its context", took)
		}
		if last.Kind != path.Ended || s.Path.Counters.Received != 2 {
			t.Errorf("the last event is %v, and there are %d replies", last.Kind, s.Path.Counters.Received)
		}
	})
}
