//go:build linux && cgo

package capture

import "time"

// stepClock notices when the wall clock is set, by comparing it with the
// monotonic clock.
type stepClock struct {
	began time.Time
	ahead time.Duration // of the wall clock, as known so far
}

// minStep is what counts as a step: more than a process can lose between the
// two readings of one time.Now, and far more than a clock is slewed meanwhile.
const minStep = 10 * time.Millisecond

func newStepClock() *stepClock { return &stepClock{began: time.Now()} }

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
