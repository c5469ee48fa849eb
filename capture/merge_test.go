package capture_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
)

// scripted is a Conn that yields what a script says, each at a time after its
// beginning, and then ends or, with idle, goes on with a watermark every 20 ms.
type scripted struct {
	script   []scriptedFrame
	idle     bool
	injected int
	stats    capture.Stats
	closed   bool
}

// scriptedFrame is a frame with its name as Data, a watermark if it has none, or an
// error.
type scriptedFrame struct {
	at    time.Duration // when it comes
	stamp time.Duration
	name  string
	step  time.Duration
	gap   *frame.Gap
	err   error
	end   bool
}

func (s *scripted) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		began := time.Now()
		wait := func(until time.Duration) bool {
			select {
			case <-time.After(until - time.Since(began)):
				return ctx.Err() == nil
			case <-ctx.Done():
				return false
			}
		}
		room := make([]byte, 16)
		for _, next := range s.script {
			if !wait(next.at) {
				return
			}
			f := frame.Frame{Time: began.Add(next.stamp), Step: next.step, Gap: next.gap}
			switch {
			case next.end:
				f = frame.End()
			case next.step != 0 || next.gap != nil:
				f.Time = time.Time{}
			case next.name != "":
				f.Data = room[:copy(room, next.name)] // the same for all: valid until the next
			}
			if !yield(f, next.err) || next.err != nil {
				return
			}
		}
		for at := time.Since(began); s.idle; {
			if !wait(at + 20*time.Millisecond) {
				return
			}
			f := frame.Frame{Time: began.Add(at)}
			if at = time.Since(began); !yield(f, nil) {
				return
			}
		}
	}
}

func (s *scripted) Inject([]byte) error { s.injected++; return nil }

func (s *scripted) Stats() (capture.Stats, error) { return s.stats, nil }

func (s *scripted) Close() error { s.closed = true; return nil }

const ms = time.Millisecond

// merged is what a merge yields until some time after its beginning: frames as
// "name/interface", gaps, steps, watermarks that promise more than the frame
// before, and the error.
func merged(t *testing.T, until time.Duration, all ...*scripted) (told []string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), until)
	defer stop()
	var also []capture.Source
	for _, s := range all[1:] {
		also = append(also, s)
	}
	var last time.Time
	for f, err := range capture.Merge(all[0], also...).Frames(ctx) {
		switch {
		case err != nil:
			told = append(told, err.Error())
		case f.Step != 0:
			told = append(told, "step "+f.Step.String())
			last = time.Time{}
		case f.Gap != nil:
			told = append(told, "gap "+f.Gap.Cause.String())
		case f.Time.Equal(frame.End().Time):
			told = append(told, "end")
		case !f.IsWatermark():
			told = append(told, fmt.Sprintf("%s/%d", f.Data, f.Interface))
		}
		if !f.Time.IsZero() && f.Time.Before(last) {
			t.Errorf("%s: stamped %v before what came before", told, last.Sub(f.Time))
		}
		if !f.Time.IsZero() {
			last = f.Time
		}
	}
	return told
}

func TestMerge(t *testing.T) {
	failed := errors.New("failed")
	idle := func(script ...scriptedFrame) *scripted { return &scripted{idle: true, script: script} }
	ends := func(script ...scriptedFrame) *scripted {
		return &scripted{script: append(script, scriptedFrame{at: script[len(script)-1].at, end: true})}
	}
	for _, tt := range []struct {
		name string
		all  []*scripted
		want []string
	}{
		{"order of stamps, not of arrival", []*scripted{
			idle(scriptedFrame{at: 9 * ms, stamp: 1 * ms, name: "a"}, scriptedFrame{at: 9 * ms, stamp: 5 * ms, name: "c"}),
			idle(scriptedFrame{at: 3 * ms, stamp: 3 * ms, name: "b"}, scriptedFrame{at: 7 * ms, stamp: 7 * ms, name: "d"}),
		}, []string{"a/0", "b/1", "c/0", "d/1"}},
		{"the same stamp", []*scripted{
			idle(scriptedFrame{at: 2 * ms, stamp: 2 * ms, name: "a"}),
			idle(scriptedFrame{at: 3 * ms, stamp: 2 * ms, name: "b"}),
			idle(scriptedFrame{at: 4 * ms, stamp: 2 * ms, name: "c"}),
		}, []string{"a/0", "b/1", "c/2"}},
		{"silent but for watermarks", []*scripted{
			idle(scriptedFrame{at: 1 * ms, stamp: 1 * ms, name: "a"}, scriptedFrame{at: 30 * ms, stamp: 30 * ms, name: "b"}),
			idle(),
		}, []string{"a/0", "b/0"}},
		{"one that ends", []*scripted{
			idle(scriptedFrame{at: 50 * ms, stamp: 50 * ms, name: "b"}),
			{script: []scriptedFrame{{at: 1 * ms, stamp: 1 * ms, name: "a"}}},
		}, []string{"a/1", "b/0"}},
		{"all end", []*scripted{
			ends(scriptedFrame{at: 1 * ms, stamp: 1 * ms, name: "a"}),
			ends(scriptedFrame{at: 50 * ms, stamp: 50 * ms, name: "b"}),
		}, []string{"a/0", "b/1", "end"}},
		{"the primary ends by something else", []*scripted{
			{script: []scriptedFrame{{at: 1 * ms, stamp: 1 * ms, name: "a"}}},
			idle(),
		}, []string{"a/0"}},
		{"the primary fails, and what is held comes first", []*scripted{
			idle(scriptedFrame{at: 1 * ms, stamp: 1 * ms, name: "a"}, scriptedFrame{at: 2 * ms, err: failed}),
			idle(),
		}, []string{"a/0", "failed"}},
		{"another goes down", []*scripted{
			idle(scriptedFrame{at: 30 * ms, stamp: 30 * ms, name: "b"}),
			idle(scriptedFrame{at: 1 * ms, stamp: 1 * ms, name: "a"}, scriptedFrame{at: 2 * ms, err: fmt.Errorf("eth1: %w", capture.ErrDown)}),
		}, []string{"a/1", "b/0"}},
		{"another fails", []*scripted{
			idle(),
			idle(scriptedFrame{at: 2 * ms, err: failed}),
		}, []string{"failed"}},
		{"the clock is set back", []*scripted{
			idle(scriptedFrame{at: 10 * ms, stamp: 10 * ms, name: "a"}, scriptedFrame{at: 12 * ms, step: -time.Hour},
				scriptedFrame{at: 14 * ms, stamp: 14*ms - time.Hour, name: "b"}),
			idle(scriptedFrame{at: 11 * ms, step: -time.Hour}),
		}, []string{"a/0", "step -1h0m0s", "b/0"}},
		{"what one missed", []*scripted{
			idle(scriptedFrame{at: 1 * ms, gap: &frame.Gap{Cause: frame.NoCarrier}}),
			idle(scriptedFrame{at: 2 * ms, gap: &frame.Gap{Cause: frame.Overrun}}, scriptedFrame{at: 3 * ms, gap: &frame.Gap{Cause: frame.NoCarrier}}),
		}, []string{"gap no-carrier", "gap overrun"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if d := cmp.Diff(tt.want, merged(t, 200*ms, tt.all...)); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			})
			goleak.VerifyNone(t)
		})
	}
}

// A frame waits no longer than the other source takes to say that it has come so far.
func TestMergeHoldsAFrameUntilTheOtherHasPassedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		one := &scripted{idle: true, script: []scriptedFrame{{at: 5 * ms, stamp: 5 * ms, name: "a"}}}
		for f, err := range capture.Merge(one, &scripted{idle: true}).Frames(t.Context()) {
			if err != nil || f.IsWatermark() {
				continue
			}
			if waited := time.Since(began) - 5*ms; waited != 35*ms { // it had looked at 0 and 20 ms: the latter was told at 40
				t.Errorf("it waited %v", waited)
			}
			return
		}
	})
}

// onDemand is a scripted Conn that yields a watermark when one is requested, and no
// other ones.
type onDemand struct {
	scripted
	requests chan time.Time
	asked    []time.Duration // by when it began
}

func (o *onDemand) RequestWatermark(after time.Time) { o.requests <- after }

func (o *onDemand) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		began := time.Now()
		for f, err := range o.scripted.Frames(ctx) {
			if !yield(f, err) {
				return
			}
		}
		for {
			select {
			case after := <-o.requests:
				if after.IsZero() {
					continue
				}
				o.asked = append(o.asked, after.Sub(began))
				time.Sleep(time.Until(after.Add(time.Millisecond)))
				if !yield(frame.Frame{Time: time.Now()}, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func newOnDemand(script ...scriptedFrame) *onDemand {
	return &onDemand{scripted: scripted{script: script}, requests: make(chan time.Time, 10)}
}

// A source that yields watermarks on demand is asked for one when a frame waits for it,
// and the source of the frame is not.
func TestMergeAsksForTheWatermarkThatAFrameWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		began := time.Now()
		one, other := newOnDemand(scriptedFrame{at: 5 * ms, stamp: 5 * ms, name: "a"}), newOnDemand()
		for f, err := range capture.Merge(one, other).Frames(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if !f.IsWatermark() {
				break
			}
		}
		if waited := time.Since(began) - 5*ms; waited != ms { // as long as the other takes
			t.Errorf("it waited %v", waited)
		}
		if d := cmp.Diff([]time.Duration{5 * ms}, other.asked); d != "" || len(one.asked) > 0 {
			t.Errorf("the other was asked for (-want +got):\n%s, itself for %v", d, one.asked)
		}
	})
}

// A request reaches all sources, whatever was requested before, and is answered by a
// watermark that all have passed.
func TestMergePassesOnRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		began := time.Now()
		m := capture.Merge(newOnDemand(), newOnDemand(), &scripted{idle: true})
		m.RequestWatermark(began.Add(30 * ms)) // before it begins
		var told []time.Duration
		for f, err := range m.Frames(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if told = append(told, f.Time.Sub(began)); len(told) == 1 {
				m.RequestWatermark(began.Add(time.Hour))
				m.RequestWatermark(began.Add(50 * ms))
			} else if f.Time.After(began.Add(50 * ms)) {
				break
			}
		}
		// The third source, which can't be asked, has passed 0, 20, 40 and then 60 ms.
		if d := cmp.Diff([]time.Duration{0, 20 * ms, 40 * ms, 51 * ms}, told); d != "" {
			t.Errorf("watermarks (-want +got):\n%s", d)
		}
	})
}

// A request that has been answered keeps no frame waiting.
func TestMergeWithAnOldRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		began := time.Now()
		m := capture.Merge(newOnDemand(scriptedFrame{at: 9 * ms, stamp: 9 * ms, name: "a"}), newOnDemand(scriptedFrame{at: 8 * ms, stamp: 8 * ms}))
		m.RequestWatermark(began.Add(2 * ms))
		for f, err := range m.Frames(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if !f.IsWatermark() {
				break
			}
		}
		if took := time.Since(began); took != 10*ms {
			t.Errorf("the frame came after %v", took)
		}
	})
}

// Whoever ranges over it may stop at any time, and nothing is left.
func TestMergeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flood []scriptedFrame
		for i := range 2000 {
			flood = append(flood, scriptedFrame{stamp: time.Duration(i), name: "x"})
		}
		n := 0
		for range capture.Merge(&scripted{idle: true, script: flood}, &scripted{idle: true, script: flood}).Frames(t.Context()) {
			if n++; n == 10 {
				break
			}
		}
	})
	goleak.VerifyNone(t)
}

func TestMergeIsOneConn(t *testing.T) {
	primary, also := &scripted{stats: capture.Stats{Received: 3, Dropped: 1}}, &scripted{stats: capture.Stats{Received: 4, Dropped: 2}}
	m := capture.Merge(primary, also)
	if err := m.Inject([]byte{1}); err != nil || primary.injected != 1 || also.injected != 0 {
		t.Errorf("injected %d and %d times: %v", primary.injected, also.injected, err)
	}
	if s, err := m.Stats(); err != nil || s != (capture.Stats{Received: 7, Dropped: 3}) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := m.Close(); err != nil || !primary.closed || !also.closed {
		t.Errorf("closed %v and %v: %v", primary.closed, also.closed, err)
	}
}
