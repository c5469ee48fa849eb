package tracewire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/tracewire/tracewire/craft"
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
	run        uint64 // tells its traces from other runs' in one file

	mu      sync.Mutex
	numbers map[int]bool                   // that traces have
	last    int                            // the highest of them
	traced  map[netip.Addr]<-chan struct{} // targets of traces that run; closed when they end
	ports   ports
	taps    map[any]*tap // those that are open or will be, by what they capture on

	limiter  *limiter  // nil if the Options are not restricted
	prepared *prepared // nil if nothing was: what is needed is opened
}

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
		options: *o, parameters: parameters, run: craft.RandomSeed(),
		numbers: map[int]bool{}, traced: map[netip.Addr]<-chan struct{}{}, ports: ports{}, taps: map[any]*tap{},
	}
	t.options.Seed = parameters.Seed
	if o.Restricted {
		t.limiter = &limiter{rate: restrictedRate, burst: restrictedBurst}
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
	if err := cmp.Or(validateTarget(to.Addr), t.options.checkFamily(to.Addr)); err != nil {
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
		return err
	}
	defer over()
	w, tap, err := t.dial(ctx, to.Addr)
	if err != nil {
		return err
	}
	one, err := t.newTrace(w, tap, to)
	switch {
	case err != nil:
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = one.run(ctx, emit)
	}
	return errors.Join(err, t.release(tap), w.Close())
}

// number is that of a trace: the one that is wanted, or the next one.
func (t *Tracer) number(wanted int) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wanted == 0 {
		wanted = t.last + 1
	}
	if wanted < 0 || t.numbers[wanted] {
		return 0, fmt.Errorf("%w the target of trace %d: another has that number, or none can have it", ErrTarget, wanted)
	}
	t.numbers[wanted] = true
	t.last = max(t.last, wanted)
	return wanted, nil
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

// reserve returns the tap that captures what is wanted: the one that is there, or a
// new one, which the caller is to begin. It is to be released. One that does not
// capture that end has to be done first, and takes up nobody else until then; so has,
// in a recording, one that captures on other interfaces but on one of these: its
// frames would be there twice.
func (t *Tracer) reserve(ctx context.Context, want wanted) (p *tap, made bool, err error) {
	for {
		t.mu.Lock()
		found, is := t.taps[want.key]
		if t.prepared != nil && (!is || !found.serves(want.end)) {
			t.mu.Unlock()
			return nil, false, t.prepared.lacks(want)
		}
		if !is {
			found = t.overlapping(want)
		}
		if found == nil {
			break
		}
		if is && found.serves(want.end) && !found.asked {
			found.users++
			t.mu.Unlock()
			return found, false, nil
		}
		found.asked = true
		t.mu.Unlock()
		select {
		case <-found.closed:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
	defer t.mu.Unlock()
	p = t.newTap(want)
	t.taps[want.key] = p
	return p, true, nil
}

// overlapping is a tap that records frames which one for what is wanted would record
// too, or nil.
func (t *Tracer) overlapping(want wanted) *tap {
	key, live := want.key.(devices)
	if !live || t.options.Recording == nil {
		return nil
	}
	for other, p := range t.taps {
		if other, live := other.(devices); live && other.overlaps(key) {
			return p
		}
	}
	return nil
}

// newTap makes the tap of its first user.
func (t *Tracer) newTap(want wanted) *tap {
	p := newTap(want, t.options.Recording)
	p.observer.HeadersOnly, p.ends = t.options.Restricted, t.ends(want.end)
	return p
}

// opened waits until a tap is open. It releases one that could not be opened, and
// says why.
func (t *Tracer) opened(p *tap) error {
	<-p.opened
	if p.conn != nil {
		return nil
	}
	t.release(p)
	return p.err
}

// release lets go of a tap. The last to do so closes it.
func (t *Tracer) release(p *tap) error {
	t.mu.Lock()
	p.users--
	last := p.users == 0
	if last {
		delete(t.taps, p.key)
	}
	t.mu.Unlock()
	if !last {
		return nil
	}
	return p.close()
}

// dial opens the way to a target. What it returns is to be released, and closed.
func (t *Tracer) dial(ctx context.Context, dst netip.Addr) (*Wire, *tap, error) {
	if t.options.Dial == nil {
		return t.dialLive(ctx, dst)
	}
	w, err := t.options.Dial(ctx, dst, &t.options)
	if err != nil {
		return nil, nil, err
	}
	if w.Port == 0 {
		w.Port = craft.FirstSourcePort(t.options.Seed, uint16(t.options.SrcPort))
	}
	p, made, err := t.reserve(ctx, wanted{key: keyOf(w.Conn), source: &w.Source})
	if err != nil {
		return nil, nil, err
	}
	if made {
		p.begin(func() (Conn, error) { return w.Conn, nil })
	}
	return w, p, t.opened(p)
}
