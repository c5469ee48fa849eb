//go:build linux && cgo

package capture

import (
	"iter"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/frame"
)

// BenchmarkIdle reports the processor time that a capture takes while nothing
// happens, and how often it wakes up.
func BenchmarkIdle(b *testing.B) {
	l := newLab(b)
	live := l.open(b, LiveOptions{Idle: 100 * time.Millisecond})
	next, stop := iter.Pull2(live.Frames(b.Context()))
	defer stop()
	pull(b, next)
	began, before := time.Now(), processorTime(b)
	for b.Loop() {
		pull(b, next)
	}
	elapsed := time.Since(began).Seconds()
	b.ReportMetric((processorTime(b)-before).Seconds()*1000/elapsed, "cpu-ms/s")
	b.ReportMetric(float64(b.N)/elapsed, "yields/s")
}

// BenchmarkLatency reports how long after the kernel stamped it a frame is
// yielded, if the reader was asleep.
func BenchmarkLatency(b *testing.B) {
	l := newLab(b)
	live, send := l.open(b, LiveOptions{Idle: 100 * time.Millisecond, Filter: "udp port 9"}), l.sender(b)
	data := udpFrame(&l.peer, 9, "x")
	next, stop := iter.Pull2(live.Frames(b.Context()))
	defer stop()
	var late []time.Duration
	for b.Loop() {
		timer := time.AfterFunc(3*time.Millisecond, func() { send(data) })
		f := pull(b, next)
		for f.IsWatermark() {
			f = pull(b, next)
		}
		late = append(late, time.Since(f.Time))
		timer.Stop()
	}
	reportPercentiles(b, late)
}

// BenchmarkDeadline reports how long after the time requested a watermark is yielded.
func BenchmarkDeadline(b *testing.B) {
	l := newLab(b)
	live := l.open(b, LiveOptions{Idle: 100 * time.Millisecond, ReceiveOnly: true})
	next, stop := iter.Pull2(live.Frames(b.Context()))
	defer stop()
	var late []time.Duration
	for b.Loop() {
		after := time.Now().Add(7 * time.Millisecond)
		live.RequestWatermark(after)
		for !pull(b, next).Time.After(after) {
		}
		late = append(late, time.Since(after))
	}
	reportPercentiles(b, late)
}

func pull(b *testing.B, next func() (frame.Frame, error, bool)) frame.Frame {
	b.Helper()
	f, err, ok := next()
	if err != nil || !ok {
		b.Fatal(err, ok)
	}
	return f
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func reportPercentiles(b *testing.B, all []time.Duration) {
	slices.Sort(all)
	for _, p := range []struct {
		part float64
		unit string
	}{{0.5, "p50-µs"}, {0.99, "p99-µs"}, {1, "max-µs"}} {
		at := min(int(p.part*float64(len(all))), len(all)-1)
		b.ReportMetric(float64(all[at].Nanoseconds())/1000, p.unit)
	}
}
