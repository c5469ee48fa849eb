package capture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
)

// FuzzFile: whatever a file holds, its frames are read up to the end or to an
// error, and it doesn't matter in what portions the file is read. Of a pcap
// file they are the bytes at the places where the records before them say.
func FuzzFile(f *testing.F) {
	for _, name := range captures(f) {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(goodPcap())
	f.Add(gzipped(f, goodPcap()))
	f.Add(zstdBytes(f, goodPcapng(f), 1<<20))
	f.Add(pcapBytes(binary.BigEndian, nano, 276, pcapRecord{1, 2, 3, 4, "abc"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readPcap(b)
		at := 24
		for i, next := range got {
			if next.IsWatermark() {
				if i != len(got)-1 || err != nil || isPcap(b) && at != len(b) {
					t.Fatalf("frame %d of %d, at byte %d of %d, is the end; error %v", i, len(got), at, len(b), err)
				}
				break
			}
			n := len(next.Data)
			if isPcap(b) && (n > 262144 || at+16+n > len(b) || !bytes.Equal(next.Data, b[at+16:at+16+n])) {
				t.Fatalf("frame %d is not at byte %d", i, at+16)
			}
			if next.Length < n {
				t.Fatalf("frame %d: %d bytes captured of %d", i, n, next.Length)
			}
			at += 16 + n
		}
		if err == nil && (len(got) == 0 || !got[len(got)-1].IsWatermark()) {
			t.Fatal("neither an error nor the end")
		}
		halves, halvesErr := capture.NewFile(iotest.HalfReader(bytes.NewReader(b)), "F")
		var again []frame.Frame
		if halvesErr == nil {
			again, halvesErr = framesOf(t.Context(), halves)
		}
		same := func(a, b frame.Frame) bool {
			return a.Time.Equal(b.Time) && a.Length == b.Length && a.Link == b.Link && bytes.Equal(a.Data, b.Data) &&
				a.Interface == b.Interface && a.Direction == b.Direction && slices.Equal(a.Comments, b.Comments)
		}
		if !slices.EqualFunc(got, again, same) || fmt.Sprint(err) != fmt.Sprint(halvesErr) {
			t.Fatalf("read by halves: %d frames and %v, not %d and %v", len(again), halvesErr, len(got), err)
		}
	})
}

// isPcap reports whether a file begins like pcap, so that its frames' places
// are plain.
func isPcap(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	magics := []uint32{micro, nano}
	return slices.Contains(magics, binary.LittleEndian.Uint32(b)) || slices.Contains(magics, binary.BigEndian.Uint32(b))
}
