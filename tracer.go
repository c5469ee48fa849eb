package tracewire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/engine"
	"github.com/tracewire/tracewire/matcher/path"
)

// Target is where a Tracer is to trace to.
type Target struct {
	Addr netip.Addr
	Host string // as the user named it, for the record; default the address

	// Number says which of the Tracer's traces this is, from 1: replays of a
	// recording tell of its traces in the order of their numbers, whichever began
	// first. No two traces can have the same. 0 means the next after the highest.
	Number int
}

// Tracer traces any number of paths, at the same time if it is asked to. On each
// interface one pair of handles serves all traces that run meanwhile, and they
// have one source port where others leave it free; what is captured is read
// once, and recorded once. Traces to the same address, and those that need a
// source port that the open handles don't capture, wait for each other; so do, with a
// Recording, those that capture on different interfaces with one in common (see
// path.Source).
//
// Trace number n has the seed that follows n-1 times on that of the Options, so
// it is the same whatever ran beside it, but for the source port.
type Tracer struct {
	options    Options
	parameters path.Parameters
	id         uint64 // tells its traces from others' in one file
	devices    *device.Set

	mu      sync.Mutex
	numbers map[int]bool                   // that traces have
	last    int                            // the highest of them
	traced  map[netip.Addr]<-chan struct{} // targets of traces that run; closed when they end

	limiter *plan.Limiter // nil if the Options are not restricted
}

// What restricted Options allow all traces of a Tracer together: so many probes a
// second, and so many at once.
const (
	restrictedRate  = 1000
	restrictedBurst = 256
)

// NewTracer returns a Tracer. Nil Options are the defaults; the errors wrap
// ErrOptions.
func NewTracer(o *Options) (*Tracer, error) {
	if o == nil {
		o = &Options{}
	}
	parameters, err := o.validate()
	if err != nil {
		return nil, err
	}
	if parameters.Seed == 0 {
		parameters.Seed = craft.RandomSeed()
	}
	t := &Tracer{
		options: *o, parameters: parameters, id: craft.RandomSeed(),
		numbers: map[int]bool{}, traced: map[netip.Addr]<-chan struct{}{},
	}
	t.options.Seed = parameters.Seed
	t.devices = device.NewSet(t.options.way(), func(d *device.Device) device.Subscriber { return engine.New(d, o.Recording, o.Restricted) })
	if o.Restricted {
		t.limiter = &plan.Limiter{Rate: restrictedRate, Burst: restrictedBurst}
	}
	return t, nil
}

// Trace traces one path, and calls emit for each event, from the calling
// goroutine. The capture goes on while emit runs, and so do other traces. Any
// goroutine may call Trace, whatever others do.
//
// It ends with ctx, with ctx's cause; a trace that has started is ended with a
// path.Ended event all the same. Everything it opened is closed, and every
// goroutine it started has ended, when it returns, unless other traces go on with
// it. The errors wrap ErrOptions and ErrTarget, and those of the
// packages capture, capture/netns and craft/route.
func (t *Tracer) Trace(ctx context.Context, to Target, emit func(Event)) error {
	to.Addr = to.Addr.Unmap()
	if err := cmp.Or(checkTarget(to.Addr), t.options.checkFamily(to.Addr)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	number, err := t.number(to.Number)
	if err != nil {
		return err
	}
	to.Number = number
	over, err := t.alone(ctx, to.Addr.WithZone(""))
	if err != nil {
		t.unused(number)
		return err
	}
	defer over()
	w, on, release, err := t.dial(ctx, to.Addr)
	if err != nil {
		t.unused(number)
		return err
	}
	spec, err := t.spec(w, to)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		t.unused(number)
		return errors.Join(err, release())
	}
	return errors.Join(on.Run(ctx, spec, emit), release())
}

// number is that of a trace: the one that is wanted, or the next one.
func (t *Tracer) number(wanted int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wanted == 0 {
		wanted = t.last + 1
	}
	if wanted < 0 || t.numbers[wanted] {
		return 0, fmt.Errorf("%w the target of trace %d: that number is in use already, or is negative", ErrTarget, wanted)
	}
	t.numbers[wanted] = true
	t.last = max(t.last, wanted)
	return wanted, nil
}

// unused gives a number back: the trace has not begun.
func (t *Tracer) unused(number int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for delete(t.numbers, number); t.last > 0 && !t.numbers[t.last]; {
		t.last--
	}
}

// alone waits until no other trace to an address runs: over one flow nobody could
// tell what quotes too little, or nothing, from each other. The trace is to call
// over when it has ended.
func (t *Tracer) alone(ctx context.Context, dst netip.Addr) (over func(), err error) {
	for {
		t.mu.Lock()
		before := t.traced[dst]
		if before == nil {
			break
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer t.mu.Unlock()
	done := make(chan struct{})
	t.traced[dst] = done
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.traced, dst)
		close(done)
	}, nil
}

// spec is the trace to a target.
func (t *Tracer) spec(w *Wire, to Target) (s engine.Spec, err error) {
	c, p, err := t.options.crafter(w, to.Addr.WithZone(""), t.parameters, to.Number)
	if err != nil {
		return s, err
	}
	probe := &c.Series.Probe
	return engine.Spec{
		Number: to.Number, ID: t.id, Crafter: c, Plan: engine.PlanOf(&p, c.Series.Shortest()), Limiter: t.limiter,
		Path: &Path{
			Target: path.Target{Host: cmp.Or(to.Host, to.Addr.String()), Addr: probe.Dst}, Source: w.Source,
			Protocol: probe.Protocol, Tool: "tracewire", Parameters: p,
		},
	}, nil
}

// dial opens the way to a target. The caller is to release it.
func (t *Tracer) dial(ctx context.Context, dst netip.Addr) (w *Wire, on *engine.Engine, release func() error, err error) {
	if t.options.Dial == nil {
		way, err := t.devices.Dial(ctx, dst)
		if err != nil {
			return nil, nil, nil, err
		}
		return wireOf(way, &t.options), way.Device.Subscriber().(*engine.Engine), way.Close, nil
	}
	if w, err = t.options.Dial(ctx, dst, &t.options); err != nil {
		return nil, nil, nil, err
	}
	if w.Port == 0 {
		w.Port = craft.FirstSourcePort(t.options.Seed, uint16(t.options.SrcPort))
	}
	d, err := t.devices.Share(ctx, w.Conn, device.Link{Interface: w.Source.Interface, MAC: w.Source.MAC, Also: w.Source.Also})
	if err != nil {
		return nil, nil, nil, err
	}
	return w, d.Subscriber().(*engine.Engine), func() error { return t.devices.Release(d) }, nil
}

// Prepare opens all interfaces that traces to targets need, by the routes that
// there are now, and holds their ports. From then on nothing more is opened: the
// process can give its capabilities up, and Trace needs none. A trace that needs
// another interface then, or another source address, fails with ErrUnprepared.
//
// A target without a route, or a port or an interface that can't be had, is no
// error here: Trace says so. With a Recording, an interface is captured on for the
// traces by one route only, since its frames would be there twice: replies that come by
// another route's interface may be missed. Prepare is to be called once, before the
// first Trace, and not with a Dial. The caller is to call release when all traces have
// ended.
func (t *Tracer) Prepare(targets []netip.Addr) (release func() error) {
	return t.devices.Prepare(targets)
}
