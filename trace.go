package tracewire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// trace is one trace while it runs. The goroutine of run tells of it, one more
// sends, and the tap's shows it what is captured.
type trace struct {
	tap     *tap
	crafter *crafter // the sender's
	limiter *limiter // of all traces together

	over     chan struct{} // closed with done
	news     chan struct{} // holds a token when there is something to tell
	observed chan struct{} // holds a token when the plan has something new

	// What follows is under the tap's mu, from when the trace has joined it.

	plan      plan.Plan
	recorder  *path.Recorder
	notes     notes
	dropped   int       // frames that the capture had lost before
	until     time.Time // what was captured by then is waited for; zero for no end
	done      bool      // nothing more is expected of the capture,
	concluded bool      // since the plan was done
	failed    error     // why it was the capture that ended

	pending  []Event // that are not told
	before   int     // of these, when the frame came that is being observed
	failures int     // that the recorder knew then
	seen     int     // of these, when it was observed: with it they are recorded
	told     []Event // that are to be told
}

// newTrace makes the trace of a run with a number.
func (r *Tracer) newTrace(w *Wire, on *tap, to Target) (*trace, error) {
	crafter, err := newCrafter(w, to.Addr.WithZone(""), &r.options, r.parameters, to.Number)
	if err != nil {
		return nil, err
	}
	p := crafter.parameters
	t := &trace{
		tap: on, crafter: crafter, limiter: r.limiter,
		notes: notes{run: r.run, trace: to.Number, record: r.options.Recording != nil, several: len(w.Source.Also) > 0},
		plan:  newPlan(&p, crafter.series.Shortest()),
		over:  make(chan struct{}), news: make(chan struct{}, 1), observed: make(chan struct{}, 1),
	}
	t.recorder = path.NewRecorder(&path.Path{
		Target: path.Target{Host: cmp.Or(to.Host, to.Addr.String()), Addr: crafter.series.Probe.Dst}, Source: w.Source,
		Protocol: crafter.series.Probe.Protocol, Tool: "tracewire", Parameters: p,
	}, t.note)
	return t, nil
}

// run traces until the plan is done or ctx ends, or capturing or sending fails.
func (t *trace) run(ctx context.Context, emit func(Event)) error {
	sending, stop := context.WithCancelCause(ctx)
	t.begin(emit)
	t.tap.join(t)

	var sender sync.WaitGroup
	sender.Go(func() {
		if err := t.send(sending); err != nil {
			stop(err)
		}
	})
	t.tell(emit, sending.Done())
	stop(nil)
	sender.Wait()
	t.drain(emit)

	err := t.outcome(sending)
	t.tap.leave(t, err != nil)
	t.tellWhatIs(emit)
	return err
}

// begin tells that the trace has begun, before anything is captured for it.
func (t *trace) begin(emit func(Event)) {
	at := now()
	t.notes.add(journal.Note{Start: journal.StartOf(t.recorder.Path(), t.notes.run, at)})
	t.recorder.Start(at)
	t.seen = len(t.pending)
	t.release()
	t.tellWhatIs(emit)
}

// tell emits events until the trace is over, or enough.
func (t *trace) tell(emit func(Event), enough <-chan struct{}) {
	for {
		select {
		case <-t.news:
			t.tellWhatIs(emit)
		case <-t.over:
			return
		case <-enough:
			return
		}
	}
}

// tellWhatIs emits the events that are to be told by now.
func (t *trace) tellWhatIs(emit func(Event)) {
	t.tap.mu.Lock()
	events := t.told
	t.told = nil
	t.tap.mu.Unlock()
	for _, e := range events {
		emit(e)
	}
}

// drainLimit bounds how long a source may take, after a trace was ended, to say
// that it has told all there was before.
const drainLimit = time.Second

// drain waits, if the trace is not over but was ended, for what was captured
// before.
func (t *trace) drain(emit func(Event)) {
	t.tap.mu.Lock()
	t.until = now()
	t.tap.mu.Unlock()
	limit, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	t.tell(emit, limit.Done())
}

// outcome is why the trace ended, if it was not its plan.
func (t *trace) outcome(sending context.Context) error {
	t.tap.mu.Lock()
	defer t.tap.mu.Unlock()
	if t.failed != nil || t.concluded {
		return t.failed
	}
	return context.Cause(sending)
}

// now is the wall clock's time, as frames are stamped.
func now() time.Time { return time.Now().UTC().Round(0) }

// expects reports whether anything is expected of the capture.
func (t *trace) expects() bool { return !t.done }

// look notes that the capture has come to a time.
func (t *trace) look(at time.Time) {
	if t.plan.Done() || !t.until.IsZero() && at.After(t.until) {
		t.end()
	}
}

// missed notes what the capture misses, and records it with what comes next.
func (t *trace) missed(g *frame.Gap) {
	t.notes.add(journal.Note{Missed: journal.MissedOf(g)})
	t.recorder.Missed(*g)
}

// heed ends the trace if the capture has missed that its source is no address of
// this host any more: it may be another's by now, and what answers would go there.
func (t *trace) heed(g *frame.Gap) {
	if source := t.recorder.Path().Source; g.Cause == frame.AddressRemoved && g.To.IsZero() && g.Addr == source.Addr.WithZone("") && !t.done {
		t.fail(fmt.Errorf("tracewire: %w: %v, of %s", capture.ErrAddress, g.Addr, strings.Join(append([]string{source.Interface}, source.Also...), " or ")))
	}
}

// fail says that nothing more will be captured. The error is why, if that is
// known.
func (t *trace) fail(err error) {
	t.failed = err
	t.end()
}

// end says that nothing more is expected of the capture. What is shown to the trace
// all the same, for it has not left yet, changes nothing of that.
func (t *trace) end() {
	if !t.done {
		t.done, t.concluded = true, t.plan.Done()
		close(t.over)
	}
}

// finish completes the Path.
func (t *trace) finish(interrupted bool, dropped int) {
	p := t.recorder.Path()
	p.Interrupted = interrupted
	p.Counters.Dropped = dropped - t.dropped
	ended := now()
	t.recorder.Finish(ended)
	t.notes.add(journal.Note{End: &journal.End{At: journal.At(ended), Interrupted: interrupted, Dropped: p.Counters.Dropped}})
}

// meaning is what a frame, or a watermark, is to the trace that has just
// observed it.
func (t *trace) meaning(f *frame.Frame) meaning {
	return t.notes.meaning(f, t.pending[t.before:], t.recorder.Holds())
}

// note takes an event from the recorder, and what it means to the plan.
func (t *trace) note(e Event) {
	t.pending = append(t.pending, e)
	if outcome, is := outcomeOf(&e); is {
		outcome.End = t.recorder.Path().End()
		t.plan.Observe(outcome)
	}
}

// outcomeOf is what an event means to a plan, if it means anything: all but End.
func outcomeOf(e *Event) (o plan.Outcome, is bool) {
	o = plan.Outcome{TTL: e.Probe.TTL, Length: e.Probe.Length}
	switch {
	case e.Kind == path.GaveUp:
		o.Status = plan.Silent
		return o, true
	case e.Kind != path.Answer:
		return o, false
	case e.Probe.Status == path.Late || len(e.Probe.Extra) > 0:
		o.Status = plan.Late
	case e.Reply.MatchedBy == matcher.Ambiguous:
		o.Status = plan.Ambiguous
	}
	if e.Reply.MatchedBy == matcher.Ambiguous && o.Status == plan.Late {
		o.Length = 0 // it may be another probe's
	}
	o.Unverified = e.Reply.IsUnverified()
	o.TooBig, o.MTU = e.Reply.Kind == matcher.PacketTooBig, int(e.Reply.MTU)
	return o, true
}

// release lets the events be told that are recorded.
func (t *trace) release() {
	if t.seen == 0 {
		return
	}
	t.told = append(t.told, t.pending[:t.seen]...)
	t.pending, t.seen = slices.Delete(t.pending, 0, t.seen), 0
	for _, c := range []chan struct{}{t.news, t.observed} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// send sends the probes that the plan asks for, until ctx ends.
func (t *trace) send(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if t.limiter.wait(ctx) != nil {
			return nil
		}
		step, data, number, err := t.next()
		if err != nil || step.Action != plan.Send {
			t.limiter.giveBack()
		}
		switch {
		case err != nil:
			return err
		case step.Action == plan.Send:
			if err := t.inject(data, number); err != nil {
				return err
			}
			continue
		}
		var timeout <-chan time.Time
		if !step.Until.IsZero() {
			timer.Reset(time.Until(step.Until))
			timeout = timer.C
		}
		select {
		case <-t.observed:
		case <-timeout:
		case <-ctx.Done():
		}
	}
	return nil
}

// next asks the plan for the next step and, if that is a probe, builds it and
// records that it is about to be sent.
func (t *trace) next() (step plan.Step, data []byte, number int, err error) {
	t.tap.mu.Lock()
	defer t.tap.mu.Unlock()
	if t.done {
		return plan.Step{Action: plan.Wait}, nil, 0, nil // whatever is thought of now, nobody waits for it
	}
	if step = t.plan.Next(time.Now()); step.Action != plan.Send {
		return step, nil, 0, nil
	}
	crafted, err := t.crafter.build(step.TTL, step.Round, step.Length)
	if err != nil {
		return step, nil, 0, err
	}
	sent := crafted.Probe
	sent.Called = now()
	t.notes.add(journal.Note{Sent: journal.SentOf(&sent, &crafted.Key)})
	return step, crafted.Frame, t.recorder.Send(sent, crafted.Key), nil
}

// inject sends a probe's frame. That the interface's queue is full costs that
// probe; any other error ends the trace.
func (t *trace) inject(data []byte, number int) error {
	err := t.tap.conn.Inject(data)
	if err == nil {
		return nil
	}
	t.tap.mu.Lock()
	t.notes.add(journal.Note{Failed: &journal.Failed{Probe: number}})
	t.recorder.Failed(number)
	t.tap.mu.Unlock()
	if errors.Is(err, capture.ErrBusy) {
		return nil
	}
	return err
}
