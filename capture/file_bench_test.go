package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// pcapngBytes is a file of so many frames of 64 bytes.
func pcapngBytes(t testing.TB, frames int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	if err == nil {
		_, err = w.AddInterface(pcapng.Interface{Name: "eth0", Link: frame.Ethernet})
	}
	f := frame.Frame{Time: time.Unix(1, 2), Data: bytes.Repeat([]byte("x"), 64), Link: frame.Ethernet, Direction: frame.In}
	for range frames {
		if err == nil {
			err = w.WriteFrame(&f)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkFile reads files of 100,000 frames of 64 bytes.
func BenchmarkFile(b *testing.B) {
	const frames = 100_000
	records := slices.Repeat([]pcapRecord{{1, 2, 64, 64, strings.Repeat("x", 64)}}, frames)
	pcap, ng := pcapBytes(binary.LittleEndian, micro, 1, records...), pcapngBytes(b, frames)
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"pcap", pcap}, {"pcapng", ng}, {"pcap by gzip", gzipped(b, pcap)}, {"pcap by zstd", zstdBytes(b, pcap, 1<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "small")
			if err := os.WriteFile(name, c.file, 0o600); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(c.file)))
			for b.Loop() {
				f, err := capture.OpenFile(name)
				if err != nil {
					b.Fatal(err)
				}
				for _, err := range f.Frames(context.Background()) {
					if err != nil {
						b.Fatal(err)
					}
				}
				f.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}
