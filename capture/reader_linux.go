//go:build linux && cgo

package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/gopacket/pcap"

	"github.com/tracewire/tracewire/capture/frame"
)

// reader is the goroutine that ranges over the Frames of a Live. No other reads from
// the receiving handle or asks it for counts.
type reader struct {
	live     *Live
	clock    *stepClock
	watched  *watched
	lastLook time.Time // at the link
}

func newReader(l *Live) *reader {
	now := time.Now()
	if l.waiter != nil {
		l.waiter.begin(now)
	}
	return &reader{live: l, clock: newStepClock(), watched: newWatched(now), lastLook: now}
}

// next reads once and yields what has come of it, which may be nothing. It is false
// when the sequence is over.
func (r *reader) next(ctx context.Context, yield func(frame.Frame, error) bool) bool {
	l := r.live
	f, noticed, err := l.read(ctx)
	now := time.Now()
	if err == nil && (noticed || now.Sub(r.watched.at) >= countInterval) {
		gaps := r.watched.look(l, now)
		if err = l.goneWith(gaps); err != nil {
			gaps = nil
		}
		for _, gap := range gaps {
			if !yield(frame.Frame{Gap: &gap}, nil) {
				return false
			}
		}
	}
	if err == nil {
		err = r.checkLink(&f, noticed, now)
	}
	switch {
	case errors.Is(err, ErrClosed):
		return false
	case err != nil:
		yield(frame.Frame{}, fmt.Errorf("capture: %s: %w", l.name, err))
		return false
	case f.Time.IsZero():
		return true
	}
	for _, f := range r.clock.insert(f, now) {
		if !yield(f, nil) {
			return false
		}
	}
	return true
}

// goneWith returns ErrGone if an address is missing because its interface is: the kernel
// says so of the addresses first.
func (l *Live) goneWith(gaps []frame.Gap) error {
	removed := func(g frame.Gap) bool { return g.Cause == frame.AddressRemoved && g.To.IsZero() }
	if !slices.ContainsFunc(gaps, removed) {
		return nil
	}
	if err := l.check(); errors.Is(err, ErrGone) {
		return err
	}
	return nil
}

// checkLink looks at the interface now and then while nothing comes, and when the
// kernel has notices. An interface that is gone is so for good. One that is down when
// a notice comes may be up again in a moment: it has until the next look.
func (r *reader) checkLink(f *frame.Frame, noticed bool, now time.Time) error {
	if noticed {
		err := r.live.check()
		if !errors.Is(err, ErrDown) {
			return err
		}
		if w := r.live.waiter; w.lookBy.IsZero() {
			r.lastLook, w.lookBy = now, now.Add(linkInterval)
		}
		return nil
	}
	if !f.IsWatermark() || f.Time.IsZero() || now.Sub(r.lastLook) < linkInterval {
		return nil
	}
	r.lastLook = now
	return r.live.check()
}

// read returns the next frame or, when one is due, a watermark. It returns neither
// when the kernel has notices about the interface, or when ctx is done.
func (l *Live) read(ctx context.Context) (f frame.Frame, noticed bool, err error) {
	if l.closing.Load() {
		return f, false, ErrClosed
	}
	err = l.receive.do(func(h *pcap.Handle) error {
		if l.waiter == nil {
			f, err = l.poll(h)
		} else {
			f, noticed, err = l.await(ctx, h)
		}
		return err
	})
	return f, noticed, err
}

// await is read where the handle's socket is known. It sleeps until something is
// ready, and so never reads from a handle that has nothing.
func (l *Live) await(ctx context.Context, h *pcap.Handle) (f frame.Frame, noticed bool, err error) {
	w := l.waiter
	stopped := func() bool { return l.closing.Load() || ctx.Err() != nil }
	for !stopped() {
		found := ready{ring: l.hasFrames(h)}
		if !found.ring {
			now := time.Now() // before the ring is found empty
			found, err = w.now()
			if err == nil && found == (ready{}) {
				if w.isDue(now) {
					return frame.Frame{Time: w.mark(now)}, false, nil
				}
				l.emptied(h)
				found, err = w.sleep(stopped)
			}
		}
		switch {
		case err != nil:
			return f, false, err
		case found.ring:
			f, err := l.take(h)
			if errors.Is(err, pcap.NextErrorTimeoutExpired) {
				l.emptied(h) // nothing that passes the filter
				continue
			}
			return f, false, err
		case found.notices:
			return f, true, nil
		}
	}
	if l.closing.Load() {
		return f, false, ErrClosed
	}
	return f, false, nil
}

// poll is read where nothing but the handle can wait for its frames. It waits for
// as long as the handle was opened to wait.
func (l *Live) poll(h *pcap.Handle) (frame.Frame, error) {
	began := time.Now()
	f, err := l.take(h)
	if errors.Is(err, pcap.NextErrorTimeoutExpired) {
		l.emptied(h)
		return frame.Frame{Time: began.UTC().Round(0)}, nil
	}
	return f, err
}

// take reads a frame from the handle.
func (l *Live) take(h *pcap.Handle) (f frame.Frame, err error) {
	data, info, err := h.ZeroCopyReadPacketData()
	switch {
	case err == nil:
		now := time.Now()
		f = l.frame(data, info, now)
		l.counts.took()
		if l.waiter != nil {
			l.waiter.read(now, f.Time)
		}
		return f, nil
	case errors.Is(err, pcap.NextErrorTimeoutExpired):
		return f, err
	case errors.Is(err, io.EOF):
		return f, ErrClosed
	}
	return f, l.readError(h)
}

// counts are what the reader last learnt from the handle, and what follows for it.
type counts struct {
	received, dropped atomic.Int64

	// The reader alone uses these.
	taken int  // frames that were read
	left  int  // frames that are in the ring for certain
	burst int  // frames that were read since the ring was empty or counted
	stale bool // frames were read since the handle was asked
}

func (c *counts) load() Stats {
	return Stats{Received: int(c.received.Load()), Dropped: int(c.dropped.Load())}
}

// took notes that a frame was read.
func (c *counts) took() {
	c.taken++
	c.burst++
	c.left = max(c.left-1, 0)
	c.stale = true
}

// longBurst is how many frames are read, each after a look whether there is one, before
// the reader counts the others.
const longBurst = 16

// hasFrames reports whether there is a frame for certain. There may be one if it
// doesn't. It saves a system call for each frame while there are many.
func (l *Live) hasFrames(h *pcap.Handle) bool {
	if c := &l.counts; c.left == 0 && c.burst >= longBurst {
		l.recount(h)
	}
	return l.counts.left > 0
}

// emptied notes that all frames were read. More may have been received, as the filter
// was not in force yet when the first came.
func (l *Live) emptied(h *pcap.Handle) {
	c := &l.counts
	if c.stale {
		l.recount(h)
	}
	c.taken += c.left
	c.left, c.burst = 0, 0
}

// count asks the handle for its counts, if it isn't closed.
func (l *Live) count() Stats {
	_ = l.receive.do(func(h *pcap.Handle) error {
		l.recount(h)
		return nil
	})
	return l.counts.load()
}

// recount asks the handle for its counts.
func (l *Live) recount(h *pcap.Handle) {
	c := &l.counts
	c.burst = 0
	s, err := h.Stats()
	if err != nil {
		return
	}
	dropped := s.PacketsDropped + s.PacketsIfDropped
	c.received.Store(int64(s.PacketsReceived))
	c.dropped.Store(int64(dropped))
	c.left, c.stale = max(s.PacketsReceived-dropped-c.taken, 0), false
}
