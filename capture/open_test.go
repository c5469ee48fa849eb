package capture_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// gzipped is b compressed as a member of a gzip file.
func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zstdBytes is b compressed as a stream whose decoding takes the window given.
func zstdBytes(t testing.TB, b []byte, window int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, portion := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		if _, err := w.Write(portion); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// goodPcapng is a file of two frames on two interfaces, names and statistics.
func goodPcapng(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{Application: "test"}, "section")
	for _, i := range []pcapng.Interface{
		{Name: "eth0", Link: frame.Ethernet, SnapLen: 2048}, {Name: "tun0", Link: frame.Raw, SnapLen: 2048, OS: "Linux"},
	} {
		if err == nil {
			_, err = w.AddInterface(i)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, write := range []func() error{
		func() error {
			return w.WriteFrame(&frame.Frame{Time: time.Unix(1, 1), Data: []byte("one"), Link: frame.Ethernet, Direction: frame.Out})
		},
		func() error {
			return w.WriteNames(map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "one.example"})
		},
		func() error {
			return w.WriteFrame(&frame.Frame{Time: time.Unix(2, 2), Data: []byte("two"), Length: 60, Link: frame.Raw,
				Interface: 1, Comments: []string{"second"}})
		},
		func() error { return w.WriteStatistics(0, pcapng.Statistics{Received: 10, Dropped: 1}) },
		func() error { return w.WriteStatistics(1, pcapng.Statistics{Received: 20, Dropped: 2}, "the end") },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestFileOfEveryFormat(t *testing.T) {
	pcap, ng := goodPcap(), goodPcapng(t)
	pcapFrames, err := readPcap(pcap)
	if err != nil {
		t.Fatal(err)
	}
	finish := frame.End()
	finish.Comments = []string{"the end"}
	finish.Gap = &frame.Gap{From: time.Unix(1, 1).UTC(), To: time.Unix(2, 2).UTC(), Frames: 3}
	ngFrames := []frame.Frame{
		{Time: time.Unix(1, 1).UTC(), Data: []byte("one"), Length: 3, Link: frame.Ethernet, Direction: frame.Out, Comments: []string{"section"}, Before: 1},
		{Time: time.Unix(2, 2).UTC(), Data: []byte("two"), Length: 60, Link: frame.Raw, Interface: 1, Comments: []string{"second"}},
		finish,
	}
	for _, c := range []struct {
		name string
		file []byte
		want []frame.Frame
	}{
		{"pcapng", ng, ngFrames},
		{"pcap by gzip", gzipped(t, pcap), pcapFrames},
		{"pcapng by gzip", gzipped(t, ng), ngFrames},
		{"gzip of several members", slices.Concat(gzipped(t, pcap[:30]), gzipped(t, nil), gzipped(t, pcap[30:])), pcapFrames},
		{"pcap by zstd", zstdBytes(t, pcap, 1<<20), pcapFrames},
		{"pcapng by zstd", zstdBytes(t, ng, 1<<20), ngFrames},
		{"zstd of several frames", slices.Concat(zstdBytes(t, ng[:30], 1<<20), zstdBytes(t, ng[30:], 1<<20)), ngFrames},
		{"zstd of the largest window", zstdBytes(t, ng, 8<<20), ngFrames},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, src := range []io.Reader{bytes.NewReader(c.file), iotest.OneByteReader(bytes.NewReader(c.file))} {
				f, err := capture.NewFile(src, "F")
				if err != nil {
					t.Fatal(err)
				}
				got, err := framesOf(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(numbered(c.want), got); diff != "" {
					t.Error(diff)
				}
				if read, total := f.Progress(); read != int64(len(c.file)) || total != 0 {
					t.Errorf("progress %d of %d, want %d of an unknown total", read, total, len(c.file))
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestFileTellsInterfacesNamesAndStats(t *testing.T) {
	f, err := capture.NewFile(bytes.NewReader(goodPcapng(t)), "F")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for next, err := range f.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !next.IsWatermark() {
			names = append(names, f.Interfaces()[next.Interface].Name)
		}
	}
	if want := []string{"eth0", "tun0"}; !slices.Equal(names, want) {
		t.Errorf("interfaces %q, want %q", names, want)
	}
	if got := fmt.Sprint(f.Names()); got != "map[10.0.0.1:one.example]" {
		t.Errorf("names %s", got)
	}
	if want := (capture.Stats{Received: 30, Dropped: 3}); f.Stats() != want {
		t.Errorf("stats %+v, want %+v", f.Stats(), want)
	}

	f, err = capture.NewFile(bytes.NewReader(pcapBytes(binary.BigEndian, nano, 113)), "F")
	if err != nil {
		t.Fatal(err)
	}
	want := []pcapng.Interface{{Link: frame.LinuxSLL, SnapLen: 1<<32 - 1}}
	if diff := cmp.Diff(want, f.Interfaces()); diff != "" || f.Names() != nil || f.Stats() != (capture.Stats{}) {
		t.Errorf("of a pcap file: %s, names %v, stats %+v", diff, f.Names(), f.Stats())
	}
}

func TestFileSaysWhatIsWrongWithCompressedData(t *testing.T) {
	good := goodPcap()
	corrupt := func(b []byte, at int) []byte { b[at] ^= 0xff; return b }
	zipped := gzipped(t, good)
	for _, c := range []struct {
		name, want string
		file       []byte
		frames     int
	}{
		{"an empty file by gzip", "capture: F: empty file", gzipped(t, nil), 0},
		{"text by gzip", "capture: F: not a capture file", gzipped(t, []byte("traceroute to")), 0},
		{"a cut pcap file by gzip", "capture: F: truncated at byte 44 in frame 1: unexpected EOF", gzipped(t, good[:44]), 0},
		{"gzip within gzip", "capture: F: gzip within gzip is not read", gzipped(t, zipped), 0},
		{"zstd within gzip", "capture: F: zstd within gzip is not read", gzipped(t, zstdBytes(t, good, 1<<20)), 0},
		{"gzip within zstd", "capture: F: gzip within zstd is not read", zstdBytes(t, zipped, 1<<20), 0},
		{"a gzip header cut short", "capture: F: truncated gzip data: unexpected EOF", zipped[:5], 0},
		{"a wrong gzip header", "capture: F: in gzip data: gzip: invalid header", corrupt(slices.Clone(zipped), 2), 0},
		{"a wrong checksum", fmt.Sprintf("capture: F: reading frame 4 at byte %d: in gzip data: gzip: invalid checksum", len(good)),
			corrupt(slices.Clone(zipped), len(zipped)-8), 3},
		{"no checksum", fmt.Sprintf("capture: F: reading frame 4 at byte %d: truncated gzip data: unexpected EOF", len(good)),
			zipped[:len(zipped)-8], 3},
		{"something after gzip", fmt.Sprintf("capture: F: reading frame 4 at byte %d: in gzip data: gzip: invalid header", len(good)),
			slices.Concat(zipped, []byte("something else")), 3},
		{"a window of 16 MB", "capture: F: zstd data with a window of more than 8 MB is not read; 'zstd -d --long=31' decompresses it", zstdBytes(t, good, 16<<20), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readPcap(c.file)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if len(got) != c.frames {
				t.Errorf("%d frames before it, want %d", len(got), c.frames)
			}
		})
	}
}

// TestCompressedFileCutAtEveryByte: what could be decompressed is yielded, and
// then it is said that the rest is missing.
func TestCompressedFileCutAtEveryByte(t *testing.T) {
	ng := goodPcapng(t)
	whole, err := readPcap(ng)
	if err != nil {
		t.Fatal(err)
	}
	for format, file := range map[string][]byte{"gzip": gzipped(t, ng), "zstd": zstdBytes(t, ng, 1<<20)} {
		for n := 4; n < len(file); n++ {
			got, err := readPcap(file[:n])
			if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "truncated "+format+" data: unexpected EOF") {
				t.Errorf("%s, cut at %d of %d: %v", format, n, len(file), err)
			}
			if len(got) >= len(whole) {
				t.Errorf("%s, cut at %d of %d: %d frames", format, n, len(file), len(got))
				continue
			}
			if diff := cmp.Diff(slices.Concat(whole[:len(got)]), got); diff != "" {
				t.Errorf("%s, cut at %d: %s", format, n, diff)
			}
		}
	}
}

func TestFilePassesOnErrorsBelowCompression(t *testing.T) {
	broken := errors.New("disk on fire")
	for format, file := range map[string][]byte{"gzip": gzipped(t, goodPcap()), "zstd": zstdBytes(t, goodPcap(), 1<<20)} {
		f, err := capture.NewFile(io.MultiReader(bytes.NewReader(file[:len(file)-1]), iotest.ErrReader(broken)), "F")
		if err == nil {
			_, err = framesOf(t.Context(), f)
		}
		if !errors.Is(err, broken) || !strings.HasSuffix(err.Error(), "in "+format+" data: disk on fire") {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestFileProgress(t *testing.T) {
	packet := pcapRecord{1, 0, 1000, 1000, strings.Repeat("x", 1000)}
	file := pcapBytes(binary.LittleEndian, micro, 1, slices.Repeat([]pcapRecord{packet}, 2000)...)
	name := filepath.Join(t.TempDir(), "F")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last, steps := int64(-1), 0
	for _, err := range f.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		read, total := f.Progress()
		if read < last || read > total || total != int64(len(file)) {
			t.Fatalf("%d of %d after %d of %d bytes", read, total, last, len(file))
		}
		if read > last {
			last = read
			steps++
		}
	}
	if last != int64(len(file)) || steps < 3 {
		t.Errorf("%d of %d bytes in %d steps", last, len(file), steps)
	}
}

// TestCompressedFileTakesBoundedMemory reads files that name a window of 8 MB,
// and one that grows a thousandfold.
func TestCompressedFileTakesBoundedMemory(t *testing.T) {
	packet := pcapRecord{1, 0, 60000, 60000, strings.Repeat("x", 60000)}
	long := pcapBytes(binary.LittleEndian, micro, 1, slices.Repeat([]pcapRecord{packet}, 2000)...)
	for name, file := range map[string][]byte{
		"gzip":             gzipped(t, long),
		"zstd":             zstdBytes(t, long, 8<<20),
		"zstd of little":   zstdBytes(t, goodPcap(), 8<<20),
		"zstd of too much": zstdBytes(t, goodPcap(), 256<<20),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		peak := uint64(0)
		f, err := capture.NewFile(bytes.NewReader(file), "F")
		if err == nil {
			frames := 0
			for _, err := range f.Frames(context.Background()) {
				if err != nil {
					t.Error(name, err)
				}
				if frames++; frames%100 == 0 {
					runtime.GC() // so that only what is held counts
					runtime.ReadMemStats(&after)
					peak = max(peak, after.HeapAlloc-min(after.HeapAlloc, before.HeapAlloc))
				}
			}
			if err := f.Close(); err != nil {
				t.Error(name, err)
			}
		}
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d bytes held, %d allocated", name, peak, after.TotalAlloc-before.TotalAlloc)
		if peak > 16<<20 {
			t.Errorf("%s: %d bytes held", name, peak)
		}
	}
}
