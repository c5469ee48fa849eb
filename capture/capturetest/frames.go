package capturetest

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// event is something that a capture shows at a moment.
type event struct {
	at  time.Duration // since Conn.start
	seq int           // decides between events at the same moment

	data []byte          // of a frame; nil for what follows
	dir  frame.Direction // of a frame
	err  error           // reading ends with this
	step time.Duration   // else, the stamping clock is set by this
	gap  *frame.Gap      // else, the capture says that it missed frames
}

// queue is a heap (container/heap) of events, the earliest on top.
type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].seq < q[j].seq
}
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}

// schedule puts an event in the queue and wakes Frames. c.mu is held.
func (c *Conn) schedule(e event) {
	e.seq = c.seq
	c.seq++
	heap.Push(&c.queue, e)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// show schedules an event for some time from now.
func (c *Conn) show(after time.Duration, e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.at = time.Since(c.start) + max(after, 0)
	c.schedule(e)
}

var errRangedTwice = errors.New("capturetest: Frames may be ranged over once")

// How a sequence ends without an error; these are not yielded.
var (
	errDone = errors.New("capturetest: the context is done")
	errEnd  = errors.New("capturetest: end of capture")
)

// Frames yields the frames of the capture by their stamps. A watermark comes
// whenever it has waited for Host.Idle in vain, with the time at which that
// wait began. Time and Read are by the same clock, without a monotonic
// reading; a watermark has a Read too.
//
// A frame's Data is overwritten when the next one is asked for, as a live
// capture's is: who keeps it without copying finds out here. For the rest the
// contract is capture.Source's.
func (c *Conn) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		if !c.claim() {
			yield(frame.Frame{}, errRangedTwice)
			return
		}
		timer := time.NewTimer(c.host.Idle)
		defer timer.Stop()
		for {
			f, err := c.next(ctx, timer)
			switch err {
			case errDone:
				return
			case errEnd:
				yield(frame.End(), nil)
				return
			}
			if !yield(f, err) || err != nil {
				return
			}
			for i := range f.Data {
				f.Data[i] = 0xdb
			}
		}
	}
}

func (c *Conn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	claimed := !c.ranged
	c.ranged = true
	return claimed
}

// next waits for the next frame or watermark; errDone and errEnd say that there
// is none.
// The timer is its to use.
func (c *Conn) next(ctx context.Context, timer *time.Timer) (frame.Frame, error) {
	began := time.Since(c.start)
	for ctx.Err() == nil {
		f, wait, err := c.poll(began)
		if wait == 0 {
			return f, err
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
	}
	return frame.Frame{}, errDone
}

// poll returns what there is to yield for a wait that began then; or, if the
// duration is positive, how long there is nothing unless something is scheduled.
func (c *Conn) poll(began time.Duration) (frame.Frame, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, until := time.Since(c.start), began+c.host.Idle
	if len(c.queue) > 0 {
		if c.queue[0].at <= now {
			f, err := c.take(now)
			return f, 0, err
		}
		until = min(until, c.queue[0].at)
	}
	if until > now {
		return frame.Frame{}, until - now, nil
	}
	return frame.Frame{Time: c.stamp(began), Read: c.stamp(now)}, 0, nil
}

// take turns the earliest event into what Frames yields. c.mu is held.
func (c *Conn) take(now time.Duration) (frame.Frame, error) {
	e := heap.Pop(&c.queue).(event)
	if e.err != nil {
		return frame.Frame{}, e.err
	}
	c.clock += e.step
	f := frame.Frame{Time: c.stamp(e.at), Read: c.stamp(now), Step: e.step, Gap: e.gap}
	if e.data != nil {
		f.Data, f.Length, f.Link, f.Direction = e.data, len(e.data), frame.Ethernet, e.dir
	}
	return f, nil
}

// stamp is what the stamping clock shows at a moment since Conn.start.
func (c *Conn) stamp(at time.Duration) time.Time { return c.wall.Add(at + c.clock) }
