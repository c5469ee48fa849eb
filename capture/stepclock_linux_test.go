//go:build linux && cgo

package capture

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
)

// wallMoved is t with its wall clock moved by d. Its monotonic clock stays, which
// time's own methods don't allow.
func wallMoved(t time.Time, d time.Duration) time.Time {
	const nanoseconds, seconds = 1<<30 - 1, 30 // of the first field of a Time that has both
	moved := t
	first := (*uint64)(unsafe.Pointer(&moved))
	wall := t.Round(0).Add(d)
	*first = *first&^nanoseconds + uint64(wall.Unix()-t.Unix())<<seconds | uint64(wall.Nanosecond())
	if !moved.Round(0).Equal(wall) || moved.Sub(t) != 0 {
		panic("a time.Time is not what it was")
	}
	return moved
}

func TestStepClock(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name  string
		moves []time.Duration // of the wall clock, before each look at it
		want  []time.Duration
	}{
		{"not set", []time.Duration{0, 0, 0}, []time.Duration{0, 0, 0}},
		{"set forward", []time.Duration{0, time.Hour, 0, 0}, []time.Duration{0, time.Hour, 0, 0}},
		{"set back", []time.Duration{0, -time.Hour, 0, 0}, []time.Duration{0, -time.Hour, 0, 0}},
		{"set a little", []time.Duration{20 * ms, 0, -20 * ms, 0}, []time.Duration{20 * ms, 0, -20 * ms, 0}},
		{"forward and back", []time.Duration{time.Hour, -time.Hour, 0}, []time.Duration{time.Hour, -time.Hour, 0}},
		{"forward twice", []time.Duration{time.Second, time.Second, 0}, []time.Duration{time.Second, time.Second, 0}},
		{"slewed forward", slices.Repeat([]time.Duration{5 * ms}, 100), make([]time.Duration, 100)},
		{"slewed back", slices.Repeat([]time.Duration{-5 * ms}, 100), make([]time.Duration, 100)},
		{"set while slewed", []time.Duration{ms, time.Second, ms}, []time.Duration{0, time.Second, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := newStepClock()
			var got []time.Duration
			for _, move := range tt.moves {
				clock.began = wallMoved(clock.began, -move) // as if it had been set since
				got = append(got, clock.step(time.Now()).Round(10*ms))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStepClockLooksTwice(t *testing.T) {
	clock := newStepClock()
	for _, pause := range []time.Duration{time.Second, -time.Second} {
		if step := clock.step(wallMoved(time.Now(), pause)); step != 0 {
			t.Errorf("a pause of %v between two clocks: a step of %v", pause, step)
		}
	}
}

func TestStepClockInsertsANotice(t *testing.T) {
	const step, age = time.Hour, time.Millisecond
	notice := func(step time.Duration) frame.Frame { return frame.Frame{Step: step} }
	now := time.Now()
	stamped := func(ago time.Duration) frame.Frame {
		return frame.Frame{Time: now.Add(-ago).UTC().Round(0), Data: []byte("x")}
	}
	watermark := func(ago time.Duration) frame.Frame { return frame.Frame{Time: stamped(ago).Time} }
	tests := []struct {
		name string
		step time.Duration
		f    frame.Frame
		want []frame.Frame
	}{
		{"not set, a frame", 0, stamped(age), []frame.Frame{stamped(age)}},
		{"not set, a watermark", 0, watermark(age), []frame.Frame{watermark(age)}},
		{"set forward, a frame since", step, stamped(age), []frame.Frame{notice(step), stamped(age)}},
		{"set forward, a frame from before", step, stamped(step + age), []frame.Frame{stamped(step + age), notice(step)}},
		{"set forward, a watermark", step, watermark(step + age), []frame.Frame{notice(step)}},
		{"set back, a frame since", -step, stamped(age), []frame.Frame{notice(-step), stamped(age)}},
		{"set back, a frame from before", -step, stamped(-step + age), []frame.Frame{stamped(-step + age), notice(-step)}},
		{"set back, a watermark", -step, watermark(-step + age), []frame.Frame{notice(-step)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := &stepClock{began: wallMoved(now, -tt.step)}
			got := slices.Clone(clock.insert(tt.f, now))
			nearly := cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < age })
			if diff := cmp.Diff(tt.want, got, nearly); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := clock.insert(tt.f, now); len(again) != 1 || again[0].Step != 0 {
				t.Errorf("and once more: %+v", again)
			}
		})
	}
}
