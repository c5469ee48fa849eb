// Package tracewire traces the path that packets take to a host.
//
// It builds each probe as a complete frame, injects it through libpcap,
// captures what comes back, and computes every round trip from the kernel's
// stamp of the probe to the kernel's stamp of the reply.
//
//	p, err := tracewire.Trace(ctx, netip.MustParseAddr("192.0.2.1"), nil)
//	for _, hop := range p.Hops() { … }
//
// Tracing needs Linux and the right to open packet sockets (CAP_NET_RAW).
package tracewire

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// The results of a trace. Package path describes them.
type (
	Path  = path.Path
	Event = path.Event
)

// Trace traces the path to dst; nil Options are the defaults.
//
// When ctx ends or something fails while the trace runs, what is known by then
// is returned together with the error. The Path is nil if nothing was sent.
func Trace(ctx context.Context, dst netip.Addr, o *Options) (*Path, error) {
	var p *Path
	err := Run(ctx, func(yield func(netip.Addr) bool) { yield(dst) }, o, func(e Event) {
		if e.Kind == path.Ended {
			p = e.Path
		}
	})
	return p, err
}

// Run traces the paths to targets, one after the other, and calls emit for
// each event, from one goroutine at a time. The kernel goes on stamping and
// keeping frames while emit runs, but a slow emit delays the trace.
//
// It stops at the first error, and when ctx ends, with ctx's cause; each trace
// that has started is ended with a path.Ended event all the same. Everything
// it opened is closed, and every goroutine it started has ended, when it
// returns. The errors wrap ErrOptions and ErrTarget, and those of the packages
// capture and craft/route.
func Run(ctx context.Context, targets iter.Seq[netip.Addr], o *Options, emit func(Event)) error {
	if o == nil {
		o = &Options{}
	}
	parameters, err := o.validate()
	if err != nil {
		return err
	}
	identity := newIdentity(&parameters)
	for dst := range targets {
		if err := trace(ctx, dst.Unmap(), o, parameters, identity, emit); err != nil {
			return err
		}
	}
	return nil
}

// trace traces one path.
func trace(ctx context.Context, dst netip.Addr, o *Options, p path.Parameters, id *identity, emit func(Event)) (err error) {
	if err := validateTarget(dst); err != nil {
		return err
	}
	if err := o.checkFamily(dst); err != nil {
		return err
	}
	chosen := *o
	chosen.Seed = p.Seed
	dial := DialLive
	if o.Dial != nil {
		dial = o.Dial
	}
	wire, err := dial(ctx, dst, &chosen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, wire.Close()) }()
	t, err := newTracer(wire, dst.WithZone(""), o, p, id)
	if err != nil {
		return err
	}
	return t.run(ctx, emit)
}

// tracer runs one trace. The goroutine of run captures, one more sends; what
// they share is under mu.
type tracer struct {
	wire    *Wire
	crafter *crafter // the sender's

	mu       sync.Mutex
	plan     plan.Plan
	recorder *path.Recorder
	log      *log
	frames   int     // observed, or in the recording
	events   []Event // not told yet

	observed chan struct{} // holds a token when the plan has something new
}

func newTracer(w *Wire, dst netip.Addr, o *Options, p path.Parameters, id *identity) (*tracer, error) {
	crafter, err := newCrafter(w, dst, o, p, id)
	if err != nil {
		return nil, err
	}
	p = crafter.parameters
	t := &tracer{
		wire: w, crafter: crafter, observed: make(chan struct{}, 1),
		plan: newPlan(&p, shortestOf(&crafter.probe)),
	}
	begun := &path.Path{
		Target: path.Target{Host: cmp.Or(o.Host, dst.String()), Addr: dst}, Source: w.Source,
		Protocol: crafter.probe.Protocol, Tool: "tracewire", Parameters: p,
	}
	t.recorder = path.NewRecorder(begun, t.note)
	if t.log = o.Recording.begin(begun); t.log != nil {
		t.frames = o.Recording.frames
	}
	return t, nil
}

// run captures until the plan is done, while send sends.
func (t *tracer) run(ctx context.Context, emit func(Event)) error {
	sending, stop := context.WithCancelCause(ctx)
	began := now()
	t.log.note(journal.Note{Start: journal.StartOf(t.recorder.Path(), began)})
	t.recorder.Start(began)
	t.tell(t.take(), emit)

	var sender sync.WaitGroup
	sender.Go(func() {
		if err := t.send(sending); err != nil {
			stop(err)
		}
	})
	err := t.capture(sending, emit)
	stop(nil)
	sender.Wait()

	if err == nil && !t.plan.Done() {
		err = context.Cause(sending)
	}
	p := t.recorder.Path()
	p.Interrupted = err != nil
	p.Counters.Dropped = t.wire.dropped()
	ended := now()
	t.recorder.Finish(ended)
	if failed := t.log.end(p, ended); failed != nil {
		err = errors.Join(err, failed)
	}
	t.tell(t.take(), emit)
	return err
}

// now is the wall clock's time, as frames are stamped.
func now() time.Time { return time.Now().UTC().Round(0) }

// drainLimit bounds how long a source may take, after ctx has ended, to say that
// it has told all there was before.
const drainLimit = time.Second

// capture observes frames until the plan is done, or until all are observed that
// were captured before ctx ended.
func (t *tracer) capture(ctx context.Context, emit func(Event)) error {
	listening, hush := context.WithCancel(context.WithoutCancel(ctx))
	defer hush()
	var ended atomic.Pointer[time.Time]
	defer context.AfterFunc(ctx, func() {
		at := now()
		ended.Store(&at)
		time.AfterFunc(drainLimit, hush)
	})()
	for f, err := range t.wire.Conn.Frames(listening) {
		if err != nil {
			return err
		}
		if at := ended.Load(); at != nil && f.Time.After(*at) {
			return nil
		}
		events, comments, done := t.observe(&f)
		failed := t.log.write(&f, comments)
		t.tell(events, emit)
		if failed != nil || done {
			return failed
		}
	}
	return nil
}

// observe takes a frame or a watermark. It returns the events that are to be told
// when the frame is recorded, what is to be recorded with it, and whether the plan
// is done.
func (t *tracer) observe(f *frame.Frame) (events []Event, comments []string, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.events)
	if !f.IsWatermark() {
		t.frames++
		f.Number = t.frames
	}
	t.recorder.Observe(f)
	events, t.events = t.events, nil
	return events, t.log.observed(f, events[before:]), t.plan.Done()
}

// note takes an event from the recorder, and what it means to the plan. It is
// called with mu held.
func (t *tracer) note(e Event) {
	t.events = append(t.events, e)
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
	o.TooBig, o.MTU = e.Reply.Kind == matcher.PacketTooBig, int(e.Reply.MTU)
	return o, true
}

// take returns the events that are not told yet.
func (t *tracer) take() (events []Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	events, t.events = t.events, nil
	return events
}

// tell emits events. Only the goroutine of run calls it.
func (t *tracer) tell(events []Event, emit func(Event)) {
	if len(events) == 0 {
		return
	}
	select {
	case t.observed <- struct{}{}:
	default:
	}
	for _, e := range events {
		emit(e)
	}
}

// send sends the probes that the plan asks for, until ctx ends: a plan that is
// done may still think better of it.
func (t *tracer) send(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		step, data, number, err := t.next()
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
func (t *tracer) next() (step plan.Step, data []byte, number int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if step = t.plan.Next(time.Now()); step.Action != plan.Send {
		return step, nil, 0, nil
	}
	crafted, err := t.crafter.build(step.TTL, step.Round, step.Length)
	if err != nil {
		return step, nil, 0, err
	}
	sent := crafted.Probe
	sent.Called = now()
	if t.log != nil {
		t.log.note(journal.Note{Sent: journal.SentOf(&sent, &crafted.Key)})
	}
	return step, crafted.Frame, t.recorder.Send(sent, crafted.Key), nil
}

// inject sends a probe's frame. That the interface's queue is full costs that
// probe; any other error ends the trace.
func (t *tracer) inject(data []byte, number int) error {
	err := t.wire.Conn.Inject(data)
	if err == nil {
		return nil
	}
	t.mu.Lock()
	t.log.note(journal.Note{Failed: &journal.Failed{Probe: number}})
	t.recorder.Failed(number)
	t.mu.Unlock()
	if errors.Is(err, capture.ErrBusy) {
		return nil
	}
	return err
}
