package simulated

import (
	"context"
	"iter"
	"sync"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
)

// conn is a capturetest.Conn whose frames can be ranged over several times, one
// after the other: traces that follow each other capture on one interface.
type conn struct {
	*capturetest.Conn

	reading sync.Mutex // next is one caller's at a time
	next    func() (frame.Frame, error, bool)
	stop    func()
}

func newConn(c *capturetest.Conn) *conn {
	next, stop := iter.Pull2(c.Frames(context.Background()))
	return &conn{Conn: c, next: next, stop: stop}
}

// Frames yields what is captured until ctx is done, which it notices with the next
// frame or watermark. It waits for another caller's to end.
func (c *conn) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		c.reading.Lock()
		defer c.reading.Unlock()
		for ctx.Err() == nil {
			f, err, ok := c.next()
			if !ok || !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func (c *conn) close() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.stop()
}
