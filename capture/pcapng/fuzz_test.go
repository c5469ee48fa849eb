package pcapng_test

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// FuzzReader: whatever a file holds, its frames lie in it, in order; all
// comments are UTF-8; it doesn't matter in what portions the file is read; and
// Next after an error does no harm.
func FuzzReader(f *testing.F) {
	capture, err := os.ReadFile("../../testdata/captures/pcapplusplus_IcmpPackets.pcap")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(capture)
	f.Add(little.good())
	f.Add(big.good())
	f.Add(slices.Concat(little.good(), big.good()))
	f.Add(slices.Concat(little.section(), little.ethernet(option{9, byte(0xff)}, option{14, uint64(math.MaxUint64)}), little.packet(0, 1, "a")))
	f.Add(slices.Concat(little.section(), little.ethernet(option{9, byte(64)}), little.packet(0, 1, "a", comment("c"))))
	f.Add(slices.Concat(little.section(), little.ethernet(), little.block(secrets, 1, 3, "key", comment("k"))))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := read(file)
		at := 0
		for _, next := range got.frames {
			n := bytes.Index(file[at:], next.Data)
			if n < 0 {
				t.Fatalf("%q is not in the file from byte %d on", next.Data, at)
			}
			at += n
			if next.Length < len(next.Data) || !next.IsWatermark() && next.Interface >= len(got.reader.Interfaces()) {
				t.Fatalf("frame %+v", next)
			}
			if slices.ContainsFunc(next.Comments, func(c string) bool { return !utf8.ValidString(c) }) {
				t.Fatalf("comments %q", next.Comments)
			}
		}
		for range 3 { // which nobody should do after an error
			if got.reader != nil {
				_ = got.reader.Next(new(frame.Frame))
			}
		}
		again, halvesErr := readFrom(iotest.HalfReader(bytes.NewReader(file)))
		if diff := cmp.Diff(got.frames, again.frames); diff != "" || fmt.Sprint(err) != fmt.Sprint(halvesErr) {
			t.Fatalf("read by halves: %v, not %v; %s", halvesErr, err, diff)
		}
	})
}

// FuzzRoundTrip: what is written is read back.
func FuzzRoundTrip(f *testing.F) {
	f.Add("data", uint16(60), int64(1_700_000_000_123_456_789), byte(1), "comment", "other", uint64(5))
	f.Add("", uint16(0), int64(0), byte(0), "", "é", uint64(math.MaxUint64))
	f.Add("padded", uint16(3), int64(math.MaxInt64), byte(2), "a\x00b", "\xff", uint64(0))
	f.Fuzz(func(t *testing.T, data string, length uint16, ns int64, flags byte, one, other string, count uint64) {
		valid := utf8.ValidString(one) && utf8.ValidString(other) && !strings.Contains(one+other, "\x00")
		var file bytes.Buffer
		w, err := pcapng.NewWriter(&file, pcapng.Section{Application: one}, other)
		if (err == nil) != valid {
			t.Fatalf("texts %q and %q: error %v", one, other, err)
		}
		if err != nil {
			return
		}
		i := pcapng.Interface{Name: other, Filter: one, Link: frame.LinkType(length), SnapLen: 65535}
		if _, err := w.AddInterface(i); err != nil {
			t.Fatal(err)
		}
		in := frame.Frame{
			Time: time.Unix(0, ns).UTC(), Data: []byte(data), Length: max(int(length), len(data)), Link: i.Link,
			Direction: frame.Direction(flags % 3), Comments: []string{one, other, one},
		}
		if err := w.WriteFrame(&in); (err == nil) != (ns >= 0 && len(data) <= 65535) {
			t.Fatal(err)
		} else if err != nil {
			return
		}
		counts := pcapng.Statistics{Start: in.Time, Received: count, Dropped: count / 2}
		if err := w.WriteStatistics(0, counts, one); err != nil {
			t.Fatal(err)
		}
		addr := netip.AddrFrom4([4]byte{10, 0, 0, flags})
		named := w.WriteNames(map[netip.Addr]string{addr: one}) == nil

		got, err := read(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		in.Comments, in.Before = slices.Insert(in.Comments, 0, other), 1
		last := end(one)
		if counts.Dropped > 0 {
			last.Gap = lost(int(min(counts.Dropped, math.MaxInt32)), in.Time, in.Time)
		}
		if diff := cmp.Diff([]frame.Frame{in, last}, got.frames); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]any{pcapng.Section{Application: one}, []pcapng.Interface{i}, counts},
			[]any{got.reader.Section(), got.reader.Interfaces(), got.reader.Statistics(0)}); diff != "" {
			t.Error(diff)
		}
		if name, ok := got.reader.Names()[addr]; ok != named || ok && name != one {
			t.Errorf("name %q, %v, want %q, %v", name, ok, one, named)
		}
	})
}
