//go:build linux && cgo

package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/frame"
)

var _ OnDemand = (*Live)(nil)

// never is an idle time after which no test waits for a watermark: whatever comes
// has another reason.
const never = time.Hour

// asleep waits until the reader of a Live sleeps.
func asleep(t testing.TB, live *Live) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; runtime.Gosched() {
		live.waiter.mu.Lock()
		until := live.waiter.until
		live.waiter.mu.Unlock()
		if !until.IsZero() {
			return
		}
	}
	t.Fatalf("it doesn't sleep")
}

// yields ranges over a Live on a goroutine until the test ends, and returns what it
// yields.
func yields(t *testing.T, live *Live) <-chan frame.Frame {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all := make(chan frame.Frame, 100)
	var reader sync.WaitGroup
	reader.Go(func() {
		for f, err := range live.Frames(ctx) {
			if err != nil {
				t.Error(err)
			}
			all <- f
		}
	})
	t.Cleanup(func() {
		cancel()
		reader.Wait()
	})
	return all
}

// receive returns what is yielded next.
func receive(t *testing.T, all <-chan frame.Frame) frame.Frame {
	t.Helper()
	select {
	case f := <-all:
		return f
	case <-time.After(patience):
		t.Fatalf("nothing was yielded within %v", patience)
		return frame.Frame{}
	}
}

func TestLiveWakesUpOncePerWatermark(t *testing.T) {
	l := newLab(t)
	const idle, watermarks = 100 * time.Millisecond, 5
	live := l.open(t, LiveOptions{Idle: idle, ReceiveOnly: true})
	var first time.Time
	var before int64
	n := 0
	until(t, live, func(f frame.Frame) bool {
		if n++; n == 1 {
			first, before = f.Time, live.waiter.wakeups.Load()
		}
		if n <= watermarks {
			return false
		}
		if took := f.Time.Sub(first); took < watermarks*idle*9/10 { // by a clock that may be slewed
			t.Errorf("%d watermarks took %v", watermarks, took)
		}
		return true
	})
	if woken := live.waiter.wakeups.Load() - before; woken == 0 || woken > watermarks {
		t.Errorf("it woke up %d times for %d watermarks", woken, watermarks)
	}
}

// What the reader sleeps for, as it has read something at 0 ms that was stamped a
// millisecond before.
func TestWaiterLeft(t *testing.T) {
	const ms, none = time.Millisecond, -time.Hour
	tests := []struct {
		name                      string
		requested, marked, lookBy time.Duration
		at, want                  time.Duration
	}{
		{"nothing but an idle moment", none, none, none, 30 * ms, 70 * ms},
		{"idle", none, none, none, 110 * ms, -10 * ms},
		{"requested", 20 * ms, none, none, 5 * ms, 15*ms + settle + 1},
		{"requested later than idle", 200 * ms, none, none, 5 * ms, 95 * ms},
		{"due", 20 * ms, none, none, 20*ms + settle + 1, 0},
		{"requested of the past", -ms, none, none, 0, settle - ms + 1},
		{"answered", -2 * ms, none, none, 5 * ms, 95 * ms},
		{"a watermark was yielded just now", 3 * ms, 10 * ms, none, 10*ms + ms/4, ms * 3 / 4},
		{"a look at the link", none, none, 40 * ms, 30 * ms, 10 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			at := func(d time.Duration) time.Time {
				if d == none {
					return time.Time{}
				}
				return began.Add(d)
			}
			w := &waiter{idle: 100 * ms, yielded: began, told: began.Add(-ms).Round(0),
				requested: at(tt.requested).Round(0), marked: at(tt.marked), lookBy: at(tt.lookBy)}
			if got := w.left(began.Add(tt.at)); got != tt.want {
				t.Errorf("%v left, want %v", got, tt.want)
			}
		})
	}
}

// A request for the far future is none.
func TestWaiterLeftOfAnEndlessRequest(t *testing.T) {
	began := time.Now()
	w := &waiter{idle: time.Second, yielded: began, requested: time.Unix(1<<62, 0)}
	if got := w.left(began); got != time.Second {
		t.Errorf("%v left, want a second", got)
	}
}

func TestLiveRequestedWatermark(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never})
	all := yields(t, live)
	asleep(t, live)
	past := time.Now().Add(-time.Minute)
	tests := []struct {
		name  string
		after func() time.Time
	}{
		{"past", func() time.Time { return past }},
		{"now", time.Now},
		{"soon", func() time.Time { return time.Now().Add(20 * time.Millisecond) }},
		{"instead of a later one", func() time.Time {
			live.RequestWatermark(time.Now().Add(never))
			return time.Now()
		}},
		{"instead of none", func() time.Time {
			live.RequestWatermark(time.Time{})
			return time.Now()
		}},
	}
	for _, tt := range tests {
		after := tt.after()
		live.RequestWatermark(after)
		f := receive(t, all)
		if now := time.Now(); !f.IsWatermark() || !f.Time.After(after) || now.Sub(f.Time) < settle {
			t.Errorf("%s: %+v, %v after the time requested, at %v", tt.name, f, f.Time.Sub(after), now)
		}
		asleep(t, live) // one watermark is all
		if len(all) > 0 {
			t.Errorf("%s: another followed", tt.name)
		}
	}
}

// A request that comes before the reader begins counts as well.
func TestLiveRequestedBeforeItReads(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never})
	after := time.Now()
	live.RequestWatermark(after)
	until(t, live, func(f frame.Frame) bool {
		if !f.Time.After(after) {
			t.Errorf("%v before the time requested", after.Sub(f.Time))
		}
		return true
	})
}

// A later frame does for a watermark.
func TestLiveRequestAnsweredByAFrame(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never, Filter: "udp port 9"})
	live.RequestWatermark(time.Now())
	inject(t, live, udpFrame(&l.host, 9, "x"))
	all := yields(t, live)
	if f := receive(t, all); f.IsWatermark() {
		t.Errorf("%+v", f)
	}
	if asleep(t, live); len(all) > 0 {
		t.Error("a watermark followed")
	}
}

// Of many frames the reader counts those that it has not read yet, and at times, since the
// kernel counts a frame before it is there, one that it has. It neither waits for more
// nor leaves one behind.
func TestLiveReadsABurst(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never, Filter: "udp port 9"})
	all := yields(t, live)
	for _, n := range []int{1, longBurst, longBurst + 1, 5 * longBurst} {
		for i := range n {
			inject(t, live, udpFrame(&l.host, 9, fmt.Sprint(i)))
		}
		for i := range n {
			if f := receive(t, all); f.Length == 0 {
				t.Fatalf("frame %d of %d: %+v", i, n, f)
			}
		}
		asleep(t, live)
		live.waiter.mu.Lock()
		left, taken := live.counts.left, live.counts.taken
		live.waiter.mu.Unlock()
		if received := live.counts.load().Received; left != 0 || taken < received {
			t.Errorf("after %d: %d frames left, %d of %d taken", n, left, taken, received)
		}
	}
}

// A reader that is asleep for an hour doesn't keep anyone waiting.
func TestLiveStatsWhileTheReaderSleeps(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never, Filter: "udp port 9"})
	all := yields(t, live)
	for n := range 3 {
		asleep(t, live)
		if s, err := live.Stats(); err != nil || s.Received != n {
			t.Errorf("%+v, %v, want %d received", s, err, n)
		}
		inject(t, live, udpFrame(&l.host, 9, "x"))
		receive(t, all)
	}
}

func TestLiveEndsAsleep(t *testing.T) {
	for name, end := range map[string]func(*Live, context.CancelFunc){
		"by its context": func(_ *Live, cancel context.CancelFunc) { cancel() },
		"by Close":       func(live *Live, _ context.CancelFunc) { live.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			live := l.open(t, LiveOptions{Idle: never})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, ended := reading(ctx, live)
			asleep(t, live)
			end(live, cancel)
			if err := await(t, ended); err != nil {
				t.Error(err)
			}
			live.RequestWatermark(time.Now()) // is nothing any more
			live.Close()
			live.RequestWatermark(time.Now())
		})
	}
}

func TestLiveInterfaceLostAsleep(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose []string
		want error
	}{
		{"removed", []string{"ip", "link", "del"}, ErrGone},
		{"set down", []string{"ip", "link", "set", "down", "dev"}, ErrDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			live := l.open(t, LiveOptions{Idle: never})
			_, ended := reading(t.Context(), live)
			asleep(t, live)
			l.Host().Run(append(tt.lose, l.host.Interface)...)
			if err := await(t, ended); !errors.Is(err, tt.want) {
				t.Error(err)
			}
		})
	}
}

// Frames come from both sides at about the time when a reader that got the last
// one finds that there are no more.
func TestLiveWatermarksHold(t *testing.T) {
	for _, tt := range []struct {
		name      string
		options   LiveOptions
		watermark time.Duration // about every
	}{
		{"idle", LiveOptions{Idle: settle}, settle},
		{"requested", LiveOptions{Idle: never}, settle},
		{"polled", LiveOptions{poll: true}, pollInterval},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			live, send := l.open(t, tt.options), l.sender(t)
			ctx, cancel := context.WithCancel(t.Context())
			var wait sync.WaitGroup
			defer wait.Wait()
			defer cancel()
			every := func(least, most time.Duration, do func()) {
				for {
					select {
					case <-time.After(least + rand.N(most-least)):
						do()
					case <-ctx.Done():
						return
					}
				}
			}
			fromPeer, fromHost := udpFrame(&l.peer, 9, "traffic"), udpFrame(&l.host, 9, "traffic")
			wait.Go(func() { every(tt.watermark*9/10, tt.watermark*2, func() { send(fromPeer) }) })
			wait.Go(func() { every(tt.watermark*9/10, tt.watermark*2, func() { inject(t, live, fromHost) }) })
			if tt.options.Idle == never {
				wait.Go(func() { every(settle, 3*settle, func() { live.RequestWatermark(time.Now()) }) })
			}
			var promised time.Time
			watermarks, frames := 0, 0
			until(t, live, func(f frame.Frame) bool {
				if f.IsWatermark() {
					promised = f.Time
					watermarks++
				} else {
					frames++
				}
				if f.Time.Before(promised) {
					t.Errorf("a frame %v older than promised", promised.Sub(f.Time))
				}
				return watermarks >= 20 && frames >= 50
			})
		})
	}
}

// Where the socket isn't found, a Live does all the same.
func TestLivePolls(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never, Filter: "udp port 9", poll: true})
	if live.waiter != nil {
		t.Fatal("it doesn't poll")
	}
	inject(t, live, udpFrame(&l.host, 9, "x"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	idle, ended := reading(ctx, live)
	<-idle
	live.RequestWatermark(time.Now())
	if s, err := live.Stats(); err != nil || s.Received != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	live.Close()
	if err := await(t, ended); err != nil {
		t.Error(err)
	}
}

// Several that open at the same time, on the same interface, each find their own.
func TestDescriptor(t *testing.T) {
	l := newLab(t)
	lives := make([]*Live, 4)
	var wait sync.WaitGroup
	for i := range lives {
		wait.Go(func() { lives[i] = l.open(t, LiveOptions{Filter: "udp port 9"}) })
	}
	wait.Wait()
	found := map[int]bool{}
	for _, live := range lives {
		if live.waiter == nil {
			t.Fatal("the socket isn't found")
		}
		fd := int(live.waiter.sockets[0].Fd)
		address, err := unix.Getsockname(fd)
		if link, ok := address.(*unix.SockaddrLinklayer); err != nil || !ok || link.Ifindex != l.host.Index || found[fd] {
			t.Errorf("descriptor %d: %+v, %v", fd, address, err)
		}
		found[fd] = true
	}
	for _, live := range lives {
		live.RequestWatermark(time.Now())
		inject(t, live, udpFrame(&l.host, 9, "x"))
		take(t, live, 1)
	}
}
