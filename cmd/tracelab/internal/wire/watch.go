package wire

import "time"

// watch is how long before a packet is due the service stops sleeping and
// watches the clock.
//
// A sleep ends late: by some tens of µs on a processor that has stayed awake,
// but now and then by milliseconds on a virtual one, which was given back
// meanwhile and must be got again. So a long watch is better where nobody else
// wants the processor. Where somebody does, it is worse: a thread that has
// watched for long is the one that has to wait, just when the packet is due. The
// window therefore grows while the service does not wait for a processor, and is
// halved when it does, as TCP shares a link.
type watch struct {
	window  time.Duration
	waited  time.Duration // for a processor, so far, when adapted
	adapted time.Duration // when that was
}

const (
	longestWatch  = 2 * time.Millisecond
	shortestWatch = 120 * time.Microsecond
	watchGrowth   = longestWatch / 100
	watchAdapts   = time.Millisecond       // how often, at most
	longWait      = 100 * time.Microsecond // the kernel's own threads take less
)

// newWatch watches for as long as it may, on so many processors. A lone one is
// left to the program.
func newWatch(processors int) watch {
	if processors == 1 {
		return watch{}
	}
	return watch{window: longestWatch}
}

// adapt is called while the service is awake. What is given tells for how long
// it has waited for a processor so far.
func (w *watch) adapt(now time.Duration, waited func() time.Duration) {
	if w.window == 0 || now-w.adapted < watchAdapts {
		return
	}
	w.adapted = now
	sum := waited()
	if sum-w.waited > longWait {
		w.window = max(w.window/2, shortestWatch)
	} else {
		w.window = min(w.window+watchGrowth, longestWatch)
	}
	w.waited = sum
}
