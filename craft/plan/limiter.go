package plan

import (
	"context"
	"sync"
	"time"
)

// Limiter bounds how many probes leave, of all plans together: a bucket that holds Burst
// tokens, and gets Rate tokens a second. A nil Limiter bounds nothing. Any goroutine may
// call its methods. The fields are set before the first call.
type Limiter struct {
	Rate, Burst float64

	mu    sync.Mutex
	taken float64   // tokens that the bucket lacks; more than burst: somebody waits for them
	at    time.Time // when that was so
}

// Wait waits for a token, or for the end of ctx, whose error it returns.
func (l *Limiter) Wait(ctx context.Context) error {
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
		l.GiveBack()
		return ctx.Err()
	}
}

// take takes a token, and returns how long it is until the bucket has it.
func (l *Limiter) take(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.at); passed > 0 {
		l.taken = max(0, l.taken-passed.Seconds()*l.Rate)
		l.at = now
	}
	l.taken++
	return time.Duration((l.taken - l.Burst) / l.Rate * float64(time.Second))
}

// GiveBack gives a token back that was not used.
func (l *Limiter) GiveBack() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = max(0, l.taken-1)
}
