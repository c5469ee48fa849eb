package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// Engine runs the traces on one device. Every input of theirs is an entry: it is
// applied, appended to the recording, and what it caused is queued for the goroutine
// that emits the trace's events.
//
// Three kinds of goroutines call it: the device's reader (Take, Ended), and of each
// trace the sender (next, refused) and the one that emits (start, events, drain, leave, reuse). Its
// lock guards all of it and of its runs. The lock of a recording, which Do of a Track
// takes, is taken before it, that of the device after it.
type Engine struct {
	device   *device.Device
	track    *journal.Track
	captured path.Entry // the reader's, as is the following
	done     []recorded

	mu        sync.Mutex
	recorders path.Recorders
	runs      map[int]*run
	waiting   []*run     // that have pending events
	draining  []*run     // that end when all that was captured before is read
	sent      path.Entry // the latest
	ended     bool       // nothing more will be captured
	err       error
	lost      int         // frames that the capture has lost, as far as is known
	gaps      []frame.Gap // that last
	watched   time.Time   // up to when it is known what the capture missed
	requested time.Time   // a watermark that is asked for
	spare     [][]path.Event
}

// run is a trace on an Engine, whose lock guards it.
type run struct {
	Spec
	engine *Engine
	over   func() // nothing more is expected of the capture

	dropped   int       // frames that the capture had lost before
	until     time.Time // what was captured by then is waited for; zero for no end
	done      bool      // nothing more is expected of the capture,
	concluded bool      // since the plan was done
	failed    error     // why it was the capture that ended

	pending []path.Event // that may not be recorded yet
	waits   bool         // it is among the engine's waiting
	told    []path.Event // that are recorded, and are to be emitted
	count   int          // of all that were told

	emitting []path.Event // that are being emitted: the memory of told by turns

	ended    chan struct{} // closed with done
	news     chan struct{} // holds a token when there is something to emit
	observed chan struct{} // holds a token when the plan has something new
}

// New returns the Engine of a Device that is about to be opened, for which it is the
// Subscriber. The log is nil if nothing is recorded. If headersOnly is true, frames that
// are of no trace are cut (see path.Recorders).
func New(d *device.Device, log *journal.Log, headersOnly bool) *Engine {
	on := d.Link()
	e := &Engine{device: d, runs: map[int]*run{}}
	e.track = log.Track(&path.Source{Interface: on.Interface, MAC: on.MAC, Also: on.Also})
	e.recorders.HeadersOnly = headersOnly
	return e
}

// now is the wall clock's time, as frames are stamped.
func now() time.Time { return time.Now().UTC().Round(0) }

// start begins a run.
func (g *Engine) start(r *run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs[r.Number] = r
	for _, events := range r.lists() {
		if last := len(g.spare) - 1; last >= 0 {
			*events, g.spare = g.spare[last], g.spare[:last]
		}
	}
	r.dropped, r.over = max(g.lost, g.device.Dropped()), g.device.Expect()
	g.apply(&path.Entry{Kind: path.Start, Trace: r.Number, At: now(), Path: r.Path, Run: r.ID})
	r.tell(len(r.pending))
	for i := range g.gaps {
		g.apply(&path.Entry{Kind: path.Missed, Trace: r.Number, Gap: g.gaps[i]})
	}
	if g.ended {
		r.fail(g.err)
	}
	g.request()
}

// lists are the run's lists of events, whose memory serves one run after the other.
func (r *run) lists() [3]*[]path.Event { return [...]*[]path.Event{&r.pending, &r.told, &r.emitting} }

// reuse takes the memory of a run that has left, and has emitted all.
func (g *Engine) reuse(r *run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, events := range r.lists() {
		if all := (*events)[:cap(*events)]; len(all) > 0 {
			clear(all)
			g.spare = append(g.spare, all[:0])
		}
		*events = nil
	}
}

// request asks for the next watermark that changes something: after a deadline, or to
// record what has happened since the latest frame.
func (g *Engine) request() {
	due := g.recorders.Due() // zero if there is nothing to wait for
	sooner := func(at time.Time) {
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	for _, r := range g.draining {
		sooner(r.until)
	}
	for _, r := range g.waiting {
		switch {
		case len(r.pending) == 0:
		case g.watched.IsZero():
			sooner(now())
		default:
			sooner(g.watched)
		}
	}
	if !due.Equal(g.requested) {
		g.requested = due
		g.device.Request(due)
	}
}

// apply applies an entry of one trace, and appends it.
func (g *Engine) apply(e *path.Entry) {
	caused := g.recorders.Apply(e)
	g.track.Append(e)
	g.queue(caused)
}

// queue queues what an entry caused, and shows it to the plans.
func (g *Engine) queue(all []path.Caused) {
	for _, caused := range all {
		r := g.runs[caused.Trace]
		if r == nil || len(caused.Events) == 0 {
			continue
		}
		if !r.waits {
			r.waits = true
			g.waiting = append(g.waiting, r)
		}
		r.pending = append(r.pending, caused.Events...)
		for i := range caused.Events {
			if outcome, ok := outcomeOf(&caused.Events[i], &r.Crafter.Series); ok {
				r.Plan.Observe(outcome)
			}
		}
		if r.Plan.Done() {
			r.end()
		}
	}
}

// Take implements device.Subscriber.
func (g *Engine) Take(f *frame.Frame) {
	e, numbered := &g.captured, f
	switch {
	case f.Gap != nil:
		*e, numbered = path.Entry{Kind: path.Missed, Gap: *f.Gap}, nil
	case f.IsWatermark():
		*e, numbered = path.Entry{Kind: path.Watermark, At: f.Time, Step: f.Step}, nil
	default:
		*e = path.Entry{Kind: path.Frame, Frame: f}
	}
	g.track.Do(numbered, func() journal.Block { return g.take(e, f) })
	g.release(g.done)
}

// take applies what was captured. It returns what is to be written; done are then the
// events that are recorded with it.
func (g *Engine) take(e *path.Entry, f *frame.Frame) journal.Block {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.Gap != nil {
		g.missed(f.Gap)
	} else if !f.Time.IsZero() {
		g.watched = f.Time
	}
	caused := g.recorders.Apply(e)
	b := g.track.Block(e, caused)
	g.queue(caused)
	for _, r := range g.draining {
		if f.Time.After(r.until) {
			r.end()
		}
	}
	g.done = g.taken(g.done[:0])
	g.request()
	return b
}

// recorded says that so many of a run's events are recorded, of all that it ever had.
type recorded struct {
	run   *run
	count int
}

// taken appends the events that are recorded with what is written next.
func (g *Engine) taken(done []recorded) []recorded {
	for _, r := range g.waiting {
		r.waits = false
		done = append(done, recorded{r, r.count + len(r.pending)})
	}
	g.waiting = g.waiting[:0]
	return done
}

// release hands over the events that are recorded.
func (g *Engine) release(done []recorded) {
	if len(done) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range done {
		d.run.tell(d.count - d.run.count)
	}
}

// tell hands over so many events, if they aren't yet.
func (r *run) tell(n int) {
	if n <= 0 {
		return
	}
	if len(r.told) == 0 && n == len(r.pending) {
		r.told, r.pending = r.pending, r.told
	} else {
		r.told = append(r.told, r.pending[:n]...)
		r.pending = slices.Delete(r.pending, 0, n)
	}
	r.count += n
	for _, c := range []chan struct{}{r.news, r.observed} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// missed notes what the capture missed. It ends the runs whose source is no address of
// this host any more: it may be another's by now, and what answers would go there.
func (g *Engine) missed(gap *frame.Gap) {
	g.lost += gap.Frames
	g.track.Lost(g.lost)
	g.gaps = slices.DeleteFunc(g.gaps, func(lasts frame.Gap) bool { return lasts.Cause == gap.Cause && lasts.Addr == gap.Addr })
	if !gap.To.IsZero() {
		return
	}
	g.gaps = append(g.gaps, *gap)
	if gap.Cause != frame.AddressRemoved {
		return
	}
	for _, r := range g.runs {
		if source := &r.Path.Source; gap.Addr == source.Addr.WithZone("") && !r.done {
			r.fail(fmt.Errorf("tracewire: %w: %v, of %s", capture.ErrAddress, gap.Addr, strings.Join(append([]string{source.Interface}, source.Also...), " or ")))
		}
	}
}

// Ended implements device.Subscriber.
func (g *Engine) Ended(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		err = ErrEnded
	}
	g.ended, g.err = true, err
	for _, r := range g.runs {
		r.fail(err)
	}
}

// fail says that nothing more will be captured, and why.
func (r *run) fail(err error) {
	if !r.done {
		r.failed = err
		r.end()
	}
}

// end says that nothing more is expected of the capture. What is shown to the run
// all the same, for it has not left yet, changes nothing of that.
func (r *run) end() {
	if !r.done {
		r.done, r.concluded = true, r.Plan.Done()
		close(r.ended)
		r.over()
	}
}

// next asks the plan for the next step and, if that is a probe, builds it and
// records that it is about to be sent. The frame is the Crafter's.
func (g *Engine) next(r *run) (step plan.Step, data []byte, number int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.done {
		return plan.Step{Action: plan.Wait}, nil, 0, nil // whatever is thought of now, nobody waits for it
	}
	if step = r.Plan.Next(time.Now()); step.Action != plan.Send {
		return step, nil, 0, nil
	}
	crafted, err := r.Crafter.Build(step)
	if err != nil {
		return step, nil, 0, err
	}
	e := &g.sent
	e.Kind, e.Trace, e.Probe, e.Key = path.Sent, r.Number, crafted.Probe, crafted.Key
	e.Probe.Called = now()
	g.apply(e)
	g.request()
	return step, crafted.Frame, e.Probe.Number, nil
}

// refused says that the system refused to send a probe.
func (g *Engine) refused(r *run, number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.apply(&path.Entry{Kind: path.Failed, Trace: r.Number, Number: number})
	g.request()
}

// events takes the events that are to be emitted by now. They are valid until the next
// call.
func (g *Engine) events(r *run) []path.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.told, r.emitting = r.emitting[:0], r.told
	return r.emitting
}

// drain says that the run is to end when all is read that was captured by now.
func (g *Engine) drain(r *run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.until = now()
	g.draining = append(g.draining, r)
	g.request()
}

// leave ends a run: what it was told before is all. The Path is complete, and
// recorded.
func (g *Engine) leave(r *run, interrupted bool) {
	dropped := g.device.Dropped()
	var done []recorded
	g.track.Do(nil, func() journal.Block {
		g.mu.Lock()
		defer g.mu.Unlock()
		r.end()
		g.draining = slices.DeleteFunc(g.draining, func(o *run) bool { return o == r })
		dropped = max(dropped, g.lost)
		if n := dropped - max(g.lost, r.dropped); n > 0 { // since the capture said so last
			from := r.Path.Started
			if g.watched.After(from) {
				from = g.watched
			}
			g.apply(&path.Entry{Kind: path.Missed, Trace: r.Number, Gap: frame.Gap{From: from, To: now(), Frames: n}})
		}
		g.apply(&path.Entry{Kind: path.End, Trace: r.Number, At: now(), Interrupted: interrupted, Dropped: dropped - r.dropped})
		delete(g.runs, r.Number)
		g.track.Lost(dropped)
		done = g.taken(nil)
		return g.track.Block(nil, nil)
	})
	g.release(done)
}

// outcome is why a run ended, if it was not its plan: cause is what else ended it.
func (g *Engine) outcome(r *run, cause error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.failed != nil || r.concluded {
		return r.failed
	}
	return cause
}
