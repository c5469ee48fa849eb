package capture_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// ofVersion is a little-endian pcap file as if it were of another version.
func ofVersion(major, minor uint16, file []byte) []byte {
	version := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, major), minor)
	return slices.Concat(file[:4], version, file[8:])
}

// old is a record of old Linux: the rest of its header is among its bytes.
func old(r pcapRecord) pcapRecord {
	r.data = "\x02\x00\x00\x00\x08\x00\x04\x00" + r.data
	return r
}

// oddFile is a file that breaks its format, and what is read of it.
type oddFile struct {
	name     string
	file     []byte
	want     []frame.Frame
	oddities []string
}

func oddFiles() []oddFile {
	seen := func(sec, ns int64, length int) frame.Frame {
		return frame.Frame{Time: time.Unix(sec, ns).UTC(), Data: []byte("abc"), Length: length, Link: frame.Ethernet}
	}
	whole, cut, exchanged := pcapRecord{1, 2, 3, 3, "abc"}, pcapRecord{1, 2, 3, 60, "abc"}, pcapRecord{1, 2, 60, 3, "abc"}
	little := func(magic uint32, records ...pcapRecord) []byte {
		return pcapBytes(binary.LittleEndian, magic, 1, records...)
	}
	const (
		before  = ": the length on the wire comes before the captured length"
		second  = ": the fraction in the stamp is a second or more; it is added to the seconds"
		longer  = ": the captured length is more than the length on the wire; the captured length counts"
		earlier = ": the captured length is more than the length on the wire; they are read in the order of earlier versions"
	)
	dgux := pcapBytes(binary.BigEndian, micro, 1, exchanged)
	copy(dgux[4:], []byte{0x02, 0x1f, 0, 0})
	return []oddFile{
		{"version 2.0", ofVersion(2, 0, little(micro, exchanged)), []frame.Frame{seen(1, 2000, 60)}, []string{"pcap version 2.0" + before}},
		{"version 2.1", ofVersion(2, 1, little(micro, exchanged)), []frame.Frame{seen(1, 2000, 60)}, []string{"pcap version 2.1" + before}},
		{"version 2.2", ofVersion(2, 2, little(micro, exchanged, whole)), []frame.Frame{seen(1, 2000, 60), seen(1, 2000, 3)}, []string{"pcap version 2.2" + before}},
		{"version 2.3", ofVersion(2, 3, little(micro, cut, whole)), []frame.Frame{seen(1, 2000, 60), seen(1, 2000, 3)}, nil},
		{"version 2.3 with lengths as before it", ofVersion(2, 3, little(micro, whole, exchanged)),
			[]frame.Frame{seen(1, 2000, 3), seen(1, 2000, 60)}, []string{"frame 2" + earlier}},
		{"version 2.5", ofVersion(2, 5, little(micro, cut)), []frame.Frame{seen(1, 2000, 60)}, nil},
		{"DG/UX", dgux, []frame.Frame{seen(1, 2000, 60)}, []string{"pcap version 543.0" + before}},
		{"old Linux, little-endian", little(kuznetzov, old(cut), old(whole)), []frame.Frame{seen(1, 2000, 60), seen(1, 2000, 3)}, nil},
		{"old Linux, big-endian", pcapBytes(binary.BigEndian, kuznetzov, 1, old(cut)), []frame.Frame{seen(1, 2000, 60)}, nil},
		{"a million microseconds", little(micro, whole, pcapRecord{1, 1_000_000, 3, 3, "abc"}, pcapRecord{1, 2_500_000, 3, 3, "abc"}),
			[]frame.Frame{seen(1, 2000, 3), seen(2, 0, 3), seen(3, 500_000_000, 3)}, []string{"2 frames, the first is frame 2" + second}},
		{"the last fraction there is", little(micro, pcapRecord{math.MaxUint32, math.MaxUint32, 3, 3, "abc"}),
			[]frame.Frame{seen(math.MaxUint32+4294, 967_295_000, 3)}, []string{"frame 1" + second}},
		{"a thousand million nanoseconds", pcapBytes(binary.BigEndian, nano, 1, pcapRecord{1, 1_000_000_000, 3, 3, "abc"}),
			[]frame.Frame{seen(2, 0, 3)}, []string{"frame 1" + second}},
		{"captured beyond the wire", little(micro, pcapRecord{1, 2, 3, 2, "abc"}), []frame.Frame{seen(1, 2000, 3)}, []string{"frame 1" + longer}},
		{"captured beyond a snapshot length", withSnapLen(2, little(micro, whole)), []frame.Frame{seen(1, 2000, 3)}, nil},
		{"a snapshot length of 0", withSnapLen(0, little(micro, whole)), []frame.Frame{seen(1, 2000, 3)}, nil},
	}
}

func withSnapLen(n uint32, file []byte) []byte {
	return slices.Concat(file[:16], binary.LittleEndian.AppendUint32(nil, n), file[20:])
}

func TestFileReadsOnAndDescribesOddities(t *testing.T) {
	for _, c := range oddFiles() {
		t.Run(c.name, func(t *testing.T) {
			f, err := capture.NewFile(bytes.NewReader(c.file), "F")
			if err != nil {
				t.Fatal(err)
			}
			got, err := framesOf(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(append(numbered(c.want), frame.End()), got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.oddities, f.Oddities()); d != "" {
				t.Error(d)
			}
		})
	}
}

// What tshark shows of the lengths of such a file is what a File reads.
func TestOddLengthsAgreeWithTshark(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	for _, c := range oddFiles() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "odd.pcap")
			if err := os.WriteFile(name, c.file, 0o666); err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			for _, f := range c.want {
				if strings.Contains(strings.Join(c.oddities, ""), "captured length counts") {
					f.Length = 2 // which tshark believes
				}
				want.WriteString(strings.Join([]string{strconv.Itoa(f.Length), strconv.Itoa(len(f.Data))}, "\t") + "\n")
			}
			got, err := exec.CommandContext(t.Context(), "tshark", "-n", "-r", name, "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len").Output()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.String(), string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}
