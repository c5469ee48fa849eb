package tracewire

import (
	"context"
	"sync"
	"time"
)

// What restricted Options allow all traces of a Tracer together: so many probes a
// second, and so many at once.
const (
	restrictedRate  = 1000
	restrictedBurst = 256
)

// limiter bounds how many probes leave: a bucket that holds burst tokens, and gets
// rate tokens a second. A nil limiter bounds nothing. Any goroutine may call its
// methods.
type limiter struct {
	rate, burst float64

	mu    sync.Mutex
	taken float64   // tokens that the bucket lacks; more than burst: somebody waits for them
	at    time.Time // when that was so
}

// wait waits for a token, or for the end of ctx, whose error it returns.
func (l *limiter) wait(ctx context.Context) error {
	if l == nil {
		return nil
	}
	delay := l.take(time.Now())
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		l.giveBack()
		return ctx.Err()
	}
}

// take takes a token, and returns how long it is until the bucket has it.
func (l *limiter) take(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.at); passed > 0 {
		l.taken = max(0, l.taken-passed.Seconds()*l.rate)
		l.at = now
	}
	l.taken++
	return time.Duration((l.taken - l.burst) / l.rate * float64(time.Second))
}

// giveBack gives a token back that was not used.
func (l *limiter) giveBack() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = max(0, l.taken-1)
}
