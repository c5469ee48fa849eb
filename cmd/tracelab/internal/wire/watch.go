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
// window therefore grows with the time for which the service is awake and keeps
// its processor, and is halved when it loses that, as TCP shares a link.
type watch struct {
	window time.Duration
	since  time.Duration // when it was last adapted, or the service woke up
	waited time.Duration // for how long the service had waited for a processor by then
}

const (
	longestWatch  = 2 * time.Millisecond
	shortestWatch = 120 * time.Microsecond
	watchGrowth   = 10                     // by the time awake divided by it
	watchAdapts   = time.Millisecond       // how often while awake
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

// woke is called when a sleep is over. How long the service waited for its
// processor then is what the watch is to make up for.
func (w *watch) woke(now, waited time.Duration) { w.since, w.waited = now, waited }

// stale tells whether the service has been awake for long since the window was
// adapted.
func (w *watch) stale(now time.Duration) bool { return now-w.since >= watchAdapts }

// adapt is called before a sleep, and when the window is stale. Waited is for
// how long the service has waited for a processor in its life.
func (w *watch) adapt(now, waited time.Duration) {
	switch {
	case w.window == 0:
	case waited-w.waited > longWait:
		w.window = max(w.window/2, shortestWatch)
	default:
		w.window = min(w.window+(now-w.since)/watchGrowth, longestWatch)
	}
	w.since, w.waited = now, waited
}
