package tracewire

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/path"
)

// newRun makes the run of a trace with a number.
func (t *Tracer) newRun(w *Wire, on *engine, to Target) (*run, error) {
	crafter, err := newCrafter(w, to.Addr.WithZone(""), &t.options, t.parameters, to.Number)
	if err != nil {
		return nil, err
	}
	p := crafter.parameters
	return &run{
		engine: on, number: to.Number, crafter: crafter, plan: newPlan(&p, crafter.series.Shortest()),
		path: &path.Path{
			Target: path.Target{Host: cmp.Or(to.Host, to.Addr.String()), Addr: crafter.series.Probe.Dst}, Source: w.Source,
			Protocol: crafter.series.Probe.Protocol, Tool: "tracewire", Parameters: p,
		},
		ended: make(chan struct{}), news: make(chan struct{}, 1), observed: make(chan struct{}, 1),
	}, nil
}

// run runs a trace until the plan is done or ctx ends, or capturing or sending fails.
// The calling goroutine emits the events, one more sends.
func (t *Tracer) run(ctx context.Context, r *run, emit func(Event)) error {
	sending, stop := context.WithCancelCause(ctx)
	r.engine.start(r, t.id)
	r.emit(emit)

	var sender sync.WaitGroup
	sender.Go(func() {
		if err := t.send(sending, r); err != nil {
			stop(err)
		}
	})
	r.emitUntil(sending.Done(), emit)
	stop(nil)
	sender.Wait()
	r.drain(emit)

	err := r.engine.outcome(r, context.Cause(sending))
	r.engine.leave(r, err != nil)
	r.emit(emit)
	return err
}

// emit emits the events that are to be emitted by now.
func (r *run) emit(emit func(Event)) {
	for _, e := range r.engine.events(r) {
		emit(e)
	}
}

// emitUntil emits events until the run has ended, or enough.
func (r *run) emitUntil(enough <-chan struct{}, emit func(Event)) {
	for {
		select {
		case <-r.news:
			r.emit(emit)
		case <-r.ended:
			return
		case <-enough:
			return
		}
	}
}

// drainLimit bounds how long a source may take, after a trace was ended, to say
// that it has told all there was before.
const drainLimit = time.Second

// drain waits, if the run has not ended by itself, for what was captured before.
func (r *run) drain(emit func(Event)) {
	r.engine.drain(r)
	limit, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	r.emitUntil(limit.Done(), emit)
}

// send sends the probes that the plan asks for, until ctx ends.
func (t *Tracer) send(ctx context.Context, r *run) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if t.limiter.wait(ctx) != nil {
			return nil
		}
		step, data, number, err := r.engine.next(r)
		if err != nil || step.Action != plan.Send {
			t.limiter.giveBack()
		}
		switch {
		case err != nil:
			return err
		case step.Action == plan.Send:
			if err := r.inject(data, number); err != nil {
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
		case <-r.observed:
		case <-timeout:
		case <-ctx.Done():
		}
	}
	return nil
}

// inject sends a probe's frame. That the interface's queue is full costs that
// probe; any other error ends the trace.
func (r *run) inject(data []byte, number int) error {
	err := r.engine.device.Inject(data)
	if err == nil {
		return nil
	}
	r.engine.refused(r, number)
	if errors.Is(err, capture.ErrBusy) {
		return nil
	}
	return err
}
