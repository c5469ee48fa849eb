package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

var _ capture.Source = (*capture.File)(nil)

const (
	micro     = 0xa1b2c3d4
	nano      = 0xa1b23c4d
	kuznetzov = 0xa1b2cd34 // of old Linux, with longer record headers
)

// pcapRecord is a record as a file holds it.
type pcapRecord struct {
	sec, fraction, captured, length uint32
	data                            string
}

// pcapBytes is a file of version 2.4 with the records given.
func pcapBytes(order binary.AppendByteOrder, magic, link uint32, records ...pcapRecord) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, math.MaxUint32, link} { // a snapshot length to be ignored
		b = order.AppendUint32(b, v)
	}
	for _, r := range records {
		for _, v := range []uint32{r.sec, r.fraction, r.captured, r.length} {
			b = order.AppendUint32(b, v)
		}
		b = append(b, r.data...)
	}
	return b
}

// goodPcap is a little-endian file of three frames.
func goodPcap() []byte {
	return pcapBytes(binary.LittleEndian, micro, 1,
		pcapRecord{1, 0, 5, 5, "whole"}, pcapRecord{1, 999_999, 0, 60, ""}, pcapRecord{2, 0, 3, 60, "cut"})
}

// numbered gives frames the numbers that they have in a file.
func numbered(frames []frame.Frame) []frame.Frame {
	for i := range frames {
		if !frames[i].IsWatermark() {
			frames[i].Number = i + 1
		}
	}
	return frames
}

// framesOf ranges over a file to its end, and keeps copies of its frames.
func framesOf(ctx context.Context, f *capture.File) (frames []frame.Frame, err error) {
	for next, err := range f.Frames(ctx) {
		if err != nil {
			return frames, err
		}
		if next.Data != nil {
			if cap(next.Data) != len(next.Data) {
				return frames, errors.New("what is appended to a frame would overwrite the next")
			}
			next.Data = append([]byte{}, next.Data...)
		}
		next.Comments = slices.Clone(next.Comments)
		frames = append(frames, next)
	}
	return frames, nil
}

// readPcap is framesOf for the bytes of a file named F.
func readPcap(b []byte) ([]frame.Frame, error) {
	f, err := capture.NewFile(bytes.NewReader(b), "F")
	if err != nil {
		return nil, err
	}
	return framesOf(context.Background(), f)
}

func TestFileYieldsWhatTheFileHolds(t *testing.T) {
	stamp := func(sec, ns int64) time.Time { return time.Unix(sec, ns).UTC() }
	abc := pcapRecord{1_700_000_000, 999_999, 3, 3, "abc"}
	for _, c := range []struct {
		name string
		file []byte
		want []frame.Frame
	}{
		{"no frames", pcapBytes(binary.LittleEndian, micro, 1), nil},
		{"little-endian, µs", pcapBytes(binary.LittleEndian, micro, 1, abc), []frame.Frame{
			{Time: stamp(1_700_000_000, 999_999_000), Data: []byte("abc"), Length: 3, Link: frame.Ethernet}}},
		{"big-endian, µs", pcapBytes(binary.BigEndian, micro, 101, abc), []frame.Frame{
			{Time: stamp(1_700_000_000, 999_999_000), Data: []byte("abc"), Length: 3, Link: frame.Raw}}},
		{"little-endian, ns", pcapBytes(binary.LittleEndian, nano, 276, abc), []frame.Frame{
			{Time: stamp(1_700_000_000, 999_999), Data: []byte("abc"), Length: 3, Link: frame.LinuxSLL2}}},
		{"big-endian, ns", pcapBytes(binary.BigEndian, nano, 113, abc), []frame.Frame{
			{Time: stamp(1_700_000_000, 999_999), Data: []byte("abc"), Length: 3, Link: frame.LinuxSLL}}},
		{"a frame check sequence announced", pcapBytes(binary.BigEndian, nano, 0x4400_0001, abc), []frame.Frame{
			{Time: stamp(1_700_000_000, 999_999), Data: []byte("abc"), Length: 3, Link: frame.Ethernet}}},
		{"the first and the last stamp there is", pcapBytes(binary.LittleEndian, nano, 1,
			pcapRecord{0, 0, 1, 1, "a"}, pcapRecord{math.MaxUint32, 999_999_999, 1, 1, "z"}), []frame.Frame{
			{Time: stamp(0, 0), Data: []byte("a"), Length: 1, Link: frame.Ethernet},
			{Time: stamp(math.MaxUint32, 999_999_999), Data: []byte("z"), Length: 1, Link: frame.Ethernet}}},
		{"a stamp that goes back", pcapBytes(binary.LittleEndian, micro, 1,
			pcapRecord{9, 0, 1, 1, "a"}, pcapRecord{8, 0, 1, 1, "b"}), []frame.Frame{
			{Time: stamp(9, 0), Data: []byte("a"), Length: 1, Link: frame.Ethernet},
			{Time: stamp(8, 0), Data: []byte("b"), Length: 1, Link: frame.Ethernet}}},
		{"frames whole, cut, and cut to nothing", goodPcap(), []frame.Frame{
			{Time: stamp(1, 0), Data: []byte("whole"), Length: 5, Link: frame.Ethernet},
			{Time: stamp(1, 999_999_000), Data: []byte{}, Length: 60, Link: frame.Ethernet},
			{Time: stamp(2, 0), Data: []byte("cut"), Length: 60, Link: frame.Ethernet}}},
		{"a wire length below what was captured", pcapBytes(binary.LittleEndian, micro, 1,
			pcapRecord{1, 0, 3, 2, "abc"}), []frame.Frame{
			{Time: stamp(1, 0), Data: []byte("abc"), Length: 3, Link: frame.Ethernet}}},
		{"a wire length beyond reason", pcapBytes(binary.LittleEndian, micro, 1,
			pcapRecord{1, 0, 3, math.MaxUint32, "abc"}), []frame.Frame{
			{Time: stamp(1, 0), Data: []byte("abc"), Length: math.MaxInt32, Link: frame.Ethernet}}},
		{"the largest frames", pcapBytes(binary.LittleEndian, micro, 1,
			pcapRecord{1, 0, 262144, 262144, strings.Repeat("x", 262144)},
			pcapRecord{2, 0, 262144, 262144, strings.Repeat("y", 262144)}), []frame.Frame{
			{Time: stamp(1, 0), Data: bytes.Repeat([]byte("x"), 262144), Length: 262144, Link: frame.Ethernet},
			{Time: stamp(2, 0), Data: bytes.Repeat([]byte("y"), 262144), Length: 262144, Link: frame.Ethernet}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readPcap(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(numbered(c.want), frame.End()), got); diff != "" {
				t.Error(diff)
			}
			for _, f := range got {
				if f.Time.Location() != time.UTC {
					t.Errorf("a stamp in %v", f.Time.Location())
				}
			}
		})
	}
}

func TestFileSaysWhyItCannotBeRead(t *testing.T) {
	good := goodPcap()
	version := func(major, minor uint16) []byte { return ofVersion(major, minor, good) }
	for _, c := range []struct {
		name, want string
		file       []byte
		frames     int
	}{
		{"empty", "capture: F: empty file", nil, 0},
		{"a byte", "capture: F: not a capture file", []byte{0xd4}, 0},
		{"text", "capture: F: not a capture file", []byte("traceroute to 10.99.0.1"), 0},
		{"pcapng", "capture: F: truncated at byte 8 in the section header: unexpected EOF",
			[]byte("\x0a\x0d\x0d\x0a\x1c\x00\x00\x00"), 0},
		{"gzip", "capture: F: truncated gzip data: unexpected EOF", []byte("\x1f\x8b\x08\x00"), 0},
		{"zstd", "capture: F: truncated zstd data: unexpected EOF", []byte("\x28\xb5\x2f\xfd"), 0},
		{"snoop", "capture: F: snoop is not read", []byte("snoop\x00\x00\x00\x00\x00\x00\x02"), 0},
		{"version 1.2", "capture: F: version 1.2 of pcap is not read", version(1, 2), 0},
		{"cut in a record header of old Linux", "capture: F: truncated at byte 40 in frame 1: unexpected EOF",
			pcapBytes(binary.LittleEndian, kuznetzov, 1, pcapRecord{1, 0, 0, 0, ""}), 0},
		{"a captured length of 4 GB, in version 2.2", "capture: F: frame 1 at byte 24: captured length 4294967295 is more than 262144",
			ofVersion(2, 2, pcapBytes(binary.LittleEndian, micro, 1, pcapRecord{1, 0, 3, math.MaxUint32, "abc"})), 0},
		{"version 3.4", "capture: F: version 3.4 of pcap is not read", version(3, 4), 0},
		{"a captured length of 4 GB", "capture: F: frame 2 at byte 43: captured length 4294967295 is more than 262144",
			pcapBytes(binary.LittleEndian, micro, 1, pcapRecord{1, 0, 3, 3, "abc"},
				pcapRecord{1, 0, math.MaxUint32, math.MaxUint32, "abc"}), 1},
		{"a captured length one too large", "capture: F: frame 1 at byte 24: captured length 262145 is more than 262144",
			pcapBytes(binary.BigEndian, micro, 1, pcapRecord{1, 0, 262145, 262145, strings.Repeat("x", 262145)}), 0},
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

func TestFileCutAtEveryByte(t *testing.T) {
	good := goodPcap()
	all, err := readPcap(good)
	if err != nil {
		t.Fatal(err)
	}
	for n := 4; n < len(good); n++ {
		var whole, end int // the frames that n bytes hold, and where the last of them ends
		for whole, end = 0, 24; whole < 3 && end+16+len(all[whole].Data) <= n; whole++ {
			end += 16 + len(all[whole].Data)
		}
		got, err := readPcap(good[:n])
		if n == end {
			if diff := cmp.Diff(slices.Concat(all[:whole], []frame.Frame{frame.End()}), got); err != nil || diff != "" {
				t.Errorf("cut at %d, between frames: %v %s", n, err, diff)
			}
			continue
		}
		place := fmt.Sprintf("frame %d", whole+1)
		if n < 24 {
			place = "the file header"
		}
		want := fmt.Sprintf("capture: F: truncated at byte %d in %s: unexpected EOF", n, place)
		if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != want {
			t.Errorf("cut at %d: error %v, want %s", n, err, want)
		}
		if diff := cmp.Diff(slices.Concat(all[:whole]), got); diff != "" {
			t.Errorf("cut at %d: %s", n, diff)
		}
	}
}

func TestFilePassesOnErrorsOfReading(t *testing.T) {
	broken := errors.New("disk on fire")
	for n, want := range map[int]string{
		0:  "capture: F: disk on fire",
		10: "capture: F: disk on fire",
		24: "capture: F: reading frame 1 at byte 24: disk on fire",
		42: "capture: F: reading frame 1 at byte 42: disk on fire",
		45: "capture: F: reading frame 2 at byte 45: disk on fire",
	} {
		f, err := capture.NewFile(io.MultiReader(bytes.NewReader(goodPcap()[:n]), iotest.ErrReader(broken)), "F")
		if err == nil {
			_, err = framesOf(context.Background(), f)
		}
		if !errors.Is(err, broken) || err.Error() != want {
			t.Errorf("after %d bytes: %v, want %s", n, err, want)
		}
	}
}

func TestOpenFileRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := capture.OpenFile(dir); err == nil || err.Error() != "capture: "+dir+": is a directory" {
		t.Errorf("a directory: %v", err)
	}
	if _, err := capture.OpenFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestFileClosesOnlyWhatItOpened(t *testing.T) {
	name := captures(t)[0]
	opened, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	if err := opened.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the second Close, of what should be closed: %v", err)
	}
	src, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	given, err := capture.NewFile(src, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := given.Close(); err != nil {
		t.Error(err)
	}
	if err := src.Close(); err != nil {
		t.Errorf("NewFile's source was closed: %v", err)
	}
}

func TestFileEndsWithTheContext(t *testing.T) {
	f, err := capture.NewFile(bytes.NewReader(goodPcap()), "F")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	frames := 0
	for next, err := range f.Frames(ctx) {
		if err != nil || next.IsWatermark() {
			t.Errorf("frame %v, error %v after the context was done", next, err)
		}
		frames++
		cancel()
	}
	if frames != 1 {
		t.Errorf("%d frames, want 1", frames)
	}
}

// announced is a pipe that says when it is read.
type announced struct {
	*os.File
	reads chan struct{}
}

func (a announced) Read(b []byte) (int, error) {
	a.reads <- struct{}{}
	return a.File.Read(b)
}

func TestFileEndsWithTheContextWhileItWaitsForAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write(goodPcap()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pipe := announced{r, make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-pipe.reads // all that was written
		<-pipe.reads // nothing is left: this one waits
		cancel()
	}()
	f, err := capture.NewFile(pipe, "pipe")
	if err != nil {
		t.Fatal(err)
	}
	got, err := framesOf(ctx, f)
	if err != nil || len(got) != 3 || got[2].IsWatermark() {
		t.Errorf("%d frames, error %v, want 3 frames and no end", len(got), err)
	}
	<-done
}

// TestFileTakesNoMemoryOnTheWordOfAFile reads files that name sizes of 4 GB,
// and one that is long.
func TestFileTakesNoMemoryOnTheWordOfAFile(t *testing.T) {
	records := slices.Repeat([]pcapRecord{{1, 0, 4, 60, "data"}}, 50_000)
	for name, b := range map[string][]byte{
		"captured length": pcapBytes(binary.LittleEndian, micro, 1, pcapRecord{1, 0, math.MaxUint32, 60, "data"}),
		"wire length":     pcapBytes(binary.LittleEndian, micro, 1, pcapRecord{1, 0, 4, math.MaxUint32, "data"}),
		"many records":    pcapBytes(binary.LittleEndian, micro, 1, records...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := capture.NewFile(bytes.NewReader(b), "F")
		if err != nil {
			t.Fatal(err)
		}
		for range f.Frames(context.Background()) {
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, got)
		}
	}
}

// captures are the names of the files in testdata/captures, of which there
// must be some.
func captures(t testing.TB) []string {
	names, err := filepath.Glob("../testdata/captures/*.pcap")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures in testdata: %v", err)
	}
	return names
}

func TestFileAgreesWithTshark(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	for _, name := range captures(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			f, err := capture.OpenFile(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var got strings.Builder
			for next, err := range f.Frames(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if !next.IsWatermark() {
					fmt.Fprintf(&got, "%d.%09d\t%d\t%d\n", next.Time.Unix(), next.Time.Nanosecond(), next.Length, len(next.Data))
				}
			}
			want, err := exec.CommandContext(t.Context(), "tshark", "-n", "-r", name,
				"-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len").Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
