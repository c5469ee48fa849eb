package capture

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// Merged is one Conn of several: see Merge.
type Merged struct {
	primary Injector
	sources []Source // the primary is the first

	requested atomic.Pointer[time.Time]
	request   chan struct{} // has one while the request is to be passed on
}

// Merge makes one Conn of a primary, which injects, and of sources that only
// capture, each on another interface. They stamp frames by one clock, and yield
// watermarks while they are idle, as a Live does.
//
// Frames come in the order of their stamps: one is held until every other source
// has passed its stamp. A source that is OnDemand is asked for a watermark then. A
// watermark is the least of all. Frame.Interface is 0 for frames of the primary, and n for those of
// the nth other source.
//
// If the primary fails, so does Frames. Another source that ends, or whose interface
// goes down or away, is left out from then on: nothing can arrive there. Any other
// error of it ends Frames. That its link has no carrier is no Gap of the whole.
//
// Closing it closes all that are io.Closers, at the same time.
func Merge(primary interface {
	Source
	Injector
}, also ...Source) *Merged {
	return &Merged{primary: primary, sources: append([]Source{primary}, also...), request: make(chan struct{}, 1)}
}

// RequestWatermark implements OnDemand. Each source that is OnDemand is asked in turn.
func (m *Merged) RequestWatermark(after time.Time) {
	m.requested.Store(&after)
	select {
	case m.request <- struct{}{}:
	default: // the one before is not passed on yet
	}
}

// Inject implements Injector, by the primary.
func (m *Merged) Inject(data []byte) error { return m.primary.Inject(data) }

// Stats returns the sum of the counts of all that have some.
func (m *Merged) Stats() (sum Stats, err error) {
	for _, s := range m.sources {
		if c, ok := s.(interface{ Stats() (Stats, error) }); ok {
			one, failed := c.Stats()
			sum.Received, sum.Dropped = sum.Received+one.Received, sum.Dropped+one.Dropped
			err = errors.Join(err, failed)
		}
	}
	return sum, err
}

// Close implements io.Closer.
func (m *Merged) Close() error {
	errs := make([]error, len(m.sources))
	var wait sync.WaitGroup
	for i, s := range m.sources {
		if c, ok := s.(io.Closer); ok {
			wait.Go(func() { errs[i] = c.Close() })
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

// arrival is what a source has yielded, or, with over, that it has ended.
type arrival struct {
	source int
	frame.Frame
	err  error
	over bool
}

// mergeRoom is how many frames wait in the program for those of other sources that
// are being looked at. More wait in the kernel.
const mergeRoom = 256

// Frames implements Source.
func (m *Merged) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		arrivals := make(chan arrival, mergeRoom)
		var readers sync.WaitGroup
		defer readers.Wait()
		defer stop()
		for i, s := range m.sources {
			readers.Go(func() { read(ctx, i, s, arrivals) })
		}
		o := ordering{open: len(m.sources), passed: make([]time.Time, len(m.sources)), yield: func(f frame.Frame) bool { return yield(f, nil) }}
		d := newDemand(m.sources)
		for {
			d.pass(&o, m.requested.Load())
			var a arrival
			select {
			case a = <-arrivals:
			case <-m.request:
				continue
			case <-ctx.Done():
				return
			}
			switch goesOn, err := o.take(&a); {
			case err != nil:
				yield(frame.Frame{}, err)
				return
			case !goesOn:
				return
			}
		}
	}
}

// read sends what a source yields.
func read(ctx context.Context, i int, from Source, to chan<- arrival) {
	send := func(a arrival) bool {
		select {
		case to <- a:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for f, err := range from.Frames(ctx) {
		a := arrival{source: i, Frame: f, err: err}
		if f.Data != nil {
			a.Data = append([]byte{}, f.Data...)
		}
		a.Comments = slices.Clone(f.Comments)
		if f.Gap != nil {
			gap := *f.Gap
			a.Gap = &gap
		}
		if !send(a) || err != nil {
			return
		}
	}
	send(arrival{source: i, over: true})
}

// demand asks sources for the watermarks that are waited for.
type demand struct {
	sources []OnDemand  // nil for one that can't be asked
	asked   []time.Time // what each was asked for last
}

func newDemand(sources []Source) *demand {
	d := &demand{sources: make([]OnDemand, len(sources)), asked: make([]time.Time, len(sources))}
	for i, s := range sources {
		d.sources[i], _ = s.(OnDemand)
	}
	return d
}

// pass asks each source to pass the first frame that is held for it, and the time that
// is requested of all, whichever it has to pass first.
func (d *demand) pass(o *ordering, requested *time.Time) {
	for i, s := range d.sources {
		if s == nil {
			continue
		}
		after := o.awaited(i)
		if requested != nil && !requested.IsZero() && !o.passed[i].After(*requested) && (after.IsZero() || requested.Before(after)) {
			after = *requested
		}
		if !after.Equal(d.asked[i]) {
			d.asked[i] = after
			s.RequestWatermark(after)
		}
	}
}

// ordering puts the frames of several sources in the order of their stamps.
type ordering struct {
	passed []time.Time   // by source: nothing stamped before will follow
	held   []frame.Frame // by stamp
	open   int           // sources that have not ended
	told   time.Time     // the latest watermark
	yield  func(frame.Frame) bool
}

// take takes what comes next from a source. The sequence goes on unless it has ended, as
// it has after an error, or nobody wants more.
func (o *ordering) take(a *arrival) (goesOn bool, err error) {
	primary := a.source == 0
	switch {
	case a.err != nil && (primary || !errors.Is(a.err, ErrDown) && !errors.Is(a.err, ErrGone)):
		if !o.flush() {
			return false, nil
		}
		return false, a.err
	case a.over && primary && o.passed[0].Before(frame.End().Time): // not by itself
		o.flush()
		return false, nil
	case a.err != nil || a.over:
		o.passed[a.source] = frame.End().Time
		o.open--
		return o.release() && o.open > 0, nil
	case a.Step != 0:
		return o.step(a), nil
	}
	if a.Gap != nil && (primary || a.Gap.Cause != frame.NoCarrier) {
		if !o.yield(frame.Frame{Gap: a.Gap}) {
			return false, nil
		}
	}
	if a.Time.IsZero() {
		return true, nil
	}
	o.passed[a.source] = a.Time
	if !a.IsWatermark() {
		o.hold(a)
	}
	return o.release(), nil
}

// awaited is the stamp of the first frame that is held until a source has passed it;
// zero if none is.
func (o *ordering) awaited(source int) time.Time {
	n := sort.Search(len(o.held), func(n int) bool { return o.held[n].Time.After(o.passed[source]) })
	if n == len(o.held) {
		return time.Time{}
	}
	return o.held[n].Time
}

// hold keeps a frame, behind those that are stamped the same.
func (o *ordering) hold(a *arrival) {
	f := a.Frame
	f.Interface, f.Gap = a.source, nil
	at := len(o.held)
	for at > 0 && o.held[at-1].Time.After(f.Time) {
		at--
	}
	o.held = slices.Insert(o.held, at, f)
}

// release yields what is to be held no longer, and then how far all have come.
func (o *ordering) release() bool {
	least := slices.MinFunc(o.passed, time.Time.Compare)
	n := 0
	for ; n < len(o.held) && !o.held[n].Time.After(least); n++ {
		if !o.yieldHeld(n) {
			return false
		}
	}
	o.held = slices.Delete(o.held, 0, n)
	if !least.After(o.told) {
		return true
	}
	o.told = least
	return o.yield(frame.Frame{Time: least})
}

func (o *ordering) yieldHeld(n int) bool {
	if t := o.held[n].Time; t.After(o.told) {
		o.told = t
	}
	return o.yield(o.held[n])
}

// flush yields all that is held: nothing to wait for will come.
func (o *ordering) flush() bool {
	for n := range o.held {
		if !o.yieldHeld(n) {
			return false
		}
	}
	o.held = nil
	return true
}

// step takes a source's notice that the clock was set. Each has one of its own: the
// primary's counts. What was stamped before can't be compared with what comes.
func (o *ordering) step(a *arrival) bool {
	if !o.flush() {
		return false
	}
	o.told = time.Time{}
	return a.source != 0 || o.yield(frame.Frame{Time: a.Time, Step: a.Step})
}
