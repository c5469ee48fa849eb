package pcapng_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// BenchmarkReader reads 100,000 frames of 64 bytes.
func BenchmarkReader(b *testing.B) {
	const frames = 100_000
	for _, c := range []struct {
		name    string
		options []any
	}{
		{"plain", nil},
		{"with direction", []any{option{2, uint32(1)}, 0}},
		{"with comments", []any{comment("probe 17: TTL 6, round 2")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			packet := little.packet(0, 1_000_000_000_000, strings.Repeat("x", 64), c.options...)
			file := slices.Concat(little.section(), little.ethernet(option{9, byte(9)}), bytes.Repeat(packet, frames))
			b.ReportAllocs()
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				r, err := pcapng.NewReader(bytes.NewReader(file))
				var f frame.Frame
				for err == nil {
					err = r.Next(&f)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}

func BenchmarkWriter(b *testing.B) {
	w, f := writer(b, io.Discard), written("probe 17: TTL 6, round 2")
	b.ReportAllocs()
	for b.Loop() {
		if err := w.WriteFrame(&f); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReaderDoesNotAllocateForAFrame(t *testing.T) {
	packet := little.packet(0, 0, "data", option{2, uint32(1)}, 0)
	file := slices.Concat(little.section(), little.ethernet(), bytes.Repeat(packet, 30_000))
	r, err := pcapng.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var f frame.Frame
	got := testing.AllocsPerRun(25_000, func() {
		if err := r.Next(&f); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestWriterDoesNotAllocateForAFrame(t *testing.T) {
	w, f := writer(t, io.Discard), written("probe 17: TTL 6, round 2", "tracewire/1 {}")
	got := testing.AllocsPerRun(1000, func() {
		if err := w.WriteFrame(&f); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}
