package tracewire

import (
	"context"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// tap captures on one Conn for all traces that run on it. Its goroutine reads
// every frame once, shows it to the traces, and records it with what it is to
// them. It reads for as long as a trace expects something.
type tap struct {
	wanted
	ends  []capture.End // that it captures
	track *track
	users int  // under the Tracer's mu, as is the following
	asked bool // a trace waits for it to be closed: no further one is to use it

	opened, closed chan struct{} // closed when it is

	// Set when it is opened; without a Conn it could not be, and err says why.
	conn Conn
	stop context.CancelFunc

	mu        sync.Mutex
	changed   *sync.Cond // there are other traces, or one of them is over
	running   []*trace
	recorders []*path.Recorder // theirs
	closing   bool
	ended     bool // nothing more will be captured
	err       error
	observer  path.Observer
	frames    int         // that were captured, of one that records none
	lost      int         // frames that the capture has lost, as far as is known
	gaps      []frame.Gap // that last
	watched   time.Time   // up to when it is known what the capture missed
}

// wanted is what a trace wants to capture: on what, and which end of flows; the
// zero end is captured by every tap. What the key of two is the same for is open
// once. Of live ones the key is a devices.
type wanted struct {
	key    any
	end    capture.End
	source *path.Source
}

// devices are the key of a live tap: the interface that probes leave by, and those
// that are captured on too, by name, each behind a slash. No name has one.
type devices struct{ outgoing, also string }

func devicesOf(outgoing string, also []string) devices {
	d := devices{outgoing: outgoing}
	for _, name := range also {
		d.also += "/" + name
	}
	return d
}

// overlaps reports whether two captures have an interface in common.
func (d devices) overlaps(e devices) bool {
	theirs := strings.Split(e.outgoing+e.also, "/")
	return slices.ContainsFunc(strings.Split(d.outgoing+d.also, "/"), func(name string) bool { return slices.Contains(theirs, name) })
}

// serves reports whether the tap captures an end.
func (t *tap) serves(end capture.End) bool { return contain(t.ends, end) }

// contain reports whether an end is captured with these.
func contain(ends []capture.End, end capture.End) bool {
	return end == capture.End{} || slices.ContainsFunc(ends, func(e capture.End) bool {
		return e == end || !e.Addr.IsValid() && e.Flow == end.Flow
	})
}

// newTap makes the tap of its first user.
func newTap(want wanted, to *Recording) *tap {
	t := &tap{
		wanted: want, users: 1, track: newTrack(to, want.source),
		opened: make(chan struct{}), closed: make(chan struct{}),
	}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// keyOf is what a Conn is known by: itself, if it can be.
func keyOf(c Conn) any {
	if reflect.ValueOf(c).Comparable() {
		return c
	}
	return new(int)
}

// begin opens the Conn, and begins to capture.
func (t *tap) begin(open func() (Conn, error)) {
	defer close(t.opened)
	conn, err := open()
	if err != nil {
		t.err = err
		return
	}
	t.conn = conn
	ctx, stop := context.WithCancel(context.Background())
	captured := make(chan struct{})
	t.stop = func() {
		stop()
		<-captured
	}
	go func() {
		defer close(captured)
		t.end(t.capture(ctx))
	}()
}

// close ends the capture, which no trace needs any more, and closes the Conn.
func (t *tap) close() (err error) {
	defer close(t.closed)
	if t.conn == nil {
		return nil
	}
	t.mu.Lock()
	t.closing = true
	t.changed.Broadcast()
	t.mu.Unlock()
	t.stop()
	if c, ok := t.conn.(io.Closer); ok {
		err = c.Close()
	}
	return err
}

// capture takes frames while there are traces that expect some, and until the tap
// is closed.
func (t *tap) capture(ctx context.Context) error {
	if !t.isWanted() {
		return nil
	}
	for f, err := range t.conn.Frames(ctx) {
		if err == nil {
			t.take(&f)
		}
		if err != nil || !t.isWanted() {
			return err
		}
	}
	return nil
}

// isWanted waits until some trace expects something. It is false when the tap is
// closed.
func (t *tap) isWanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.closing && !slices.ContainsFunc(t.running, (*trace).expects) {
		t.changed.Wait()
	}
	return !t.closing
}

// take takes a frame or a watermark.
func (t *tap) take(f *frame.Frame) {
	t.track.lock()
	defer t.track.unlock()
	t.track.write(f, t.observe(f))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.running {
		one.release()
	}
}

// observe shows a frame or a watermark to the traces. It returns what it was to
// those that it was something to.
func (t *tap) observe(f *frame.Frame) (meanings []meaning) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !f.IsWatermark() {
		t.frames++
		f.Number = t.track.number(t.frames)
	}
	if f.Gap != nil {
		t.missed(f.Gap)
	} else if !f.Time.IsZero() {
		t.watched = f.Time
	}
	for _, one := range t.running {
		one.before, one.failures = len(one.pending), one.recorder.FailedChecks()
	}
	whole := len(f.Data)
	t.observer.Observe(f, t.recorders...)
	if last := len(t.running) - 1; len(f.Data) < whole && last >= 0 {
		t.running[last].notes.add(journal.Note{Cut: &journal.Cut{Failed: t.failed()}}) // with the last, on the frame itself (see track.write)
	}
	for _, one := range t.running {
		if m := one.meaning(f); !m.isNone() {
			meanings = append(meanings, m)
		}
		one.seen = len(one.pending)
		one.look(f.Time)
		if f.Gap != nil {
			one.heed(f.Gap)
		}
	}
	return meanings
}

// failed are the numbers of the traces by whose checks the frame that they have just
// observed has failed.
func (t *tap) failed() (all []int) {
	for _, one := range t.running {
		if one.recorder.FailedChecks() > one.failures {
			all = append(all, one.notes.trace)
		}
	}
	return all
}

// missed notes what the capture missed.
func (t *tap) missed(g *frame.Gap) {
	t.lost += g.Frames
	t.gaps = slices.DeleteFunc(t.gaps, func(lasts frame.Gap) bool { return lasts.Cause == g.Cause && lasts.Addr == g.Addr })
	if g.To.IsZero() {
		t.gaps = append(t.gaps, *g)
	}
}

// end says that nothing more will be captured, and why, if that is known.
func (t *tap) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended, t.err = true, err
	for _, one := range t.running {
		one.fail(err)
	}
}

// join begins to show a trace what is captured.
func (t *tap) join(one *trace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.dropped = t.lost
	for i := range t.gaps {
		one.missed(&t.gaps[i])
	}
	t.running, t.recorders = append(t.running, one), append(t.recorders, one.recorder)
	if t.ended {
		one.fail(t.err)
	}
	t.changed.Broadcast()
}

// leave ends a trace: what it was told before is all. The Path is complete, and
// recorded.
func (t *tap) leave(one *trace, interrupted bool) {
	dropped := t.dropped()
	t.track.lock()
	defer t.track.unlock()
	t.mu.Lock()
	at := slices.Index(t.running, one)
	t.running, t.recorders = slices.Delete(t.running, at, at+1), slices.Delete(t.recorders, at, at+1)
	if n := dropped - t.lost; n > 0 { // since the capture said so last
		from := one.recorder.Path().Started
		if t.watched.After(from) {
			from = t.watched
		}
		one.missed(&frame.Gap{From: from, To: now(), Frames: n})
	}
	one.finish(interrupted, dropped)
	one.seen = len(one.pending)
	last := one.notes.take()
	t.changed.Broadcast()
	t.mu.Unlock()
	t.track.end(last, dropped)
	t.mu.Lock()
	one.release()
	t.mu.Unlock()
}

// dropped is how many frames the capture has lost. It may be more than it has said
// by gaps so far.
func (t *tap) dropped() int {
	var now capture.Stats
	if c, ok := t.conn.(interface {
		Stats() (capture.Stats, error)
	}); ok {
		now, _ = c.Stats() // zero if it fails
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.lost, now.Dropped)
}
