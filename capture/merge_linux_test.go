//go:build linux && cgo

package capture

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

var _ OnDemand = (*Merged)(nil)

// Two interfaces, of which one is silent: what comes by the other waits for nothing but
// the answer to a request.
func TestMergeOfLives(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Idle: never, Filter: "udp port 9"})
	silent, err := OpenLive(LiveOptions{Interface: "lo", Idle: never, Filter: "udp port 9", ReceiveOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	m := Merge(live, silent)
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	inject(t, live, udpFrame(&l.host, 9, "x"))
	var last frame.Frame
	for f, err := range m.Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if !f.IsWatermark() {
			last = f
			m.RequestWatermark(f.Time)
		} else if !last.Time.IsZero() && f.Time.After(last.Time) {
			return
		}
	}
	t.Errorf("the frame, or a watermark after it, didn't come: %+v", last)
}

// BenchmarkMergeLatency reports how long after the kernel stamped it a frame is yielded
// if another interface is silent.
func BenchmarkMergeLatency(b *testing.B) {
	l := newLab(b)
	live, send := l.open(b, LiveOptions{Filter: "udp port 9"}), l.sender(b)
	silent, err := OpenLive(LiveOptions{Interface: "lo", Filter: "udp port 9", ReceiveOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	m := Merge(live, silent)
	defer m.Close()
	data := udpFrame(&l.peer, 9, "x")
	next, stop := iter.Pull2(m.Frames(b.Context()))
	defer stop()
	var late []time.Duration
	for b.Loop() {
		send(data)
		f := pull(b, next)
		for f.IsWatermark() {
			f = pull(b, next)
		}
		late = append(late, time.Since(f.Time))
	}
	reportPercentiles(b, late)
}
