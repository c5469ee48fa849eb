package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/path"
)

// Spec is a trace that is to run.
type Spec struct {
	Number  int           // no two traces in one recording have the same
	ID      uint64        // the same in traces whose numbers are of one count
	Path    *path.Path    // all that is known before the first probe; it is filled
	Plan    plan.Plan     // which probe goes next
	Crafter *Crafter      // what it looks like
	Limiter *plan.Limiter // of all traces together; nil if there is none
}

// Run runs a trace until its plan is done or ctx ends, or capturing or sending fails. The
// calling goroutine emits the events, one more sends. When it returns the Path is
// complete and recorded, and nothing more is emitted. The error is why the trace ended if
// it was not its plan: ctx's cause, ErrEnded, or that of the Device.
func (g *Engine) Run(ctx context.Context, s Spec, emit func(path.Event)) error {
	r := &run{
		Spec: s, engine: g,
		ended: make(chan struct{}), news: make(chan struct{}, 1), observed: make(chan struct{}, 1),
	}
	sending, stop := context.WithCancelCause(ctx)
	g.start(r)
	r.emit(emit)

	var sender sync.WaitGroup
	sender.Go(func() {
		if err := r.send(sending); err != nil {
			stop(err)
		}
	})
	r.emitUntil(sending.Done(), emit)
	stop(nil)
	sender.Wait()
	r.drain(emit)

	err := g.outcome(r, context.Cause(sending))
	g.leave(r, err != nil)
	r.emit(emit)
	g.reuse(r)
	return err
}

// emit emits the events that are to be emitted by now.
func (r *run) emit(emit func(path.Event)) {
	for _, e := range r.engine.events(r) {
		emit(e)
	}
}

// emitUntil emits events until the run has ended, or enough.
func (r *run) emitUntil(enough <-chan struct{}, emit func(path.Event)) {
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
func (r *run) drain(emit func(path.Event)) {
	r.engine.drain(r)
	limit, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	r.emitUntil(limit.Done(), emit)
}

// send sends the probes that the plan asks for, until ctx ends.
func (r *run) send(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if r.Limiter.Wait(ctx) != nil {
			return nil
		}
		step, data, number, err := r.engine.next(r)
		if err != nil || step.Action != plan.Send {
			r.Limiter.GiveBack()
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
