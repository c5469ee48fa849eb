//go:build linux && cgo

package capture

import (
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// stepClock notices when the wall clock is set, by comparing it with the
// monotonic clock.
type stepClock struct {
	began time.Time
	ahead time.Duration // of the wall clock, as known so far
	out   [2]frame.Frame
}

// minStep is what counts as a step: more than a process can lose between the
// two readings of one time.Now, and far more than a clock is slewed meanwhile.
const minStep = 10 * time.Millisecond

func newStepClock() *stepClock { return &stepClock{began: time.Now()} }

// insert returns f, read by the time now, and beside it, if the wall clock was
// set since the last call, a watermark that says so: before f if f was stamped
// by the clock as it is now, after it if by the clock as it was. A watermark
// taken before the clock was set promises nothing any more, and is left out.
func (c *stepClock) insert(f frame.Frame, now time.Time) []frame.Frame {
	c.out[0] = f
	step := c.step(now)
	if step == 0 {
		return c.out[:1]
	}
	notice := frame.Frame{Step: step}
	switch sinceNew, sinceOld := now.Sub(f.Time).Abs(), now.Add(-step).Sub(f.Time).Abs(); {
	case f.IsWatermark():
		c.out[0] = notice
		return c.out[:1]
	case sinceNew < sinceOld:
		c.out[0], c.out[1] = notice, f
	default:
		c.out[1] = notice
	}
	return c.out[:]
}

// step returns by how much the wall clock was set forward since it was last
// asked.
func (c *stepClock) step(now time.Time) time.Duration {
	ahead := c.aheadAt(now)
	for range 3 { // a pause between the two readings looks like a step, once
		if d := ahead - c.ahead; d > -minStep && d < minStep {
			c.ahead = ahead // slewing adds up to no step
			return 0
		}
		ahead = c.aheadAt(time.Now())
	}
	d := ahead - c.ahead
	c.ahead = ahead
	return d
}

func (c *stepClock) aheadAt(now time.Time) time.Duration {
	return now.Round(0).Sub(c.began.Round(0)) - now.Sub(c.began)
}
