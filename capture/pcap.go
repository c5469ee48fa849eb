package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/internal/oddity"
	"github.com/tracewire/tracewire/capture/internal/window"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// The sizes of a pcap file (pcap-savefile(5)).
const (
	fileHeader   = 24
	recordHeader = 16
	// maxCaptured is the most bytes that a record may hold: libpcap's
	// MAXIMUM_SNAPLEN, whatever snapshot length the file header names.
	maxCaptured = 262144
)

// pcapFile decodes a pcap file.
type pcapFile struct {
	in      window.Window
	of      [1]pcapng.Interface
	swapped bool   // the file is big-endian
	tick    int64  // of the fraction of a stamp, in nanoseconds
	ticks   uint32 // in a second
	header  int    // bytes before the captured bytes of a record
	version [2]uint16

	offset int64 // where in the file the record begins that next reads
	frames int   // how many records were begun
	held   int   // how many bytes ahead are done with when next is called

	exchanged oddity.Count // version 2.3 with the lengths of earlier versions
	overflown oddity.Count // a fraction of a second or more
	longer    oddity.Count // more bytes captured than there were on the wire
}

// newPcapFile reads the file header: magic number, version (2 × 2), reserved
// (8), snapshot length, link type.
func newPcapFile(in *bufio.Reader) (*pcapFile, error) {
	f := &pcapFile{in: window.New(in)}
	err := f.in.Need(fileHeader)
	if err != nil && err != io.EOF {
		return nil, err
	}
	head := f.in.Ahead[:min(fileHeader, len(f.in.Ahead))]
	if err := f.readMagic(head); err != nil {
		return nil, err
	}
	f.ticks = uint32(int64(time.Second) / f.tick)
	if len(head) < fileHeader {
		return nil, fmt.Errorf("truncated at byte %d in the file header: %w", len(head), io.ErrUnexpectedEOF)
	}
	if f.version = [2]uint16{f.uint16(head[4:]), f.uint16(head[6:])}; f.version[0] != 2 && f.version != versionDGUX {
		return nil, fmt.Errorf("version %d.%d of pcap is not read", f.version[0], f.version[1])
	}
	// The upper half tells the length of the frame check sequences, or is to be
	// ignored (draft-ietf-opsawg-pcap section 4).
	link := frame.LinkType(f.uint32(head[20:]))
	f.of[0] = pcapng.Interface{Link: link, SnapLen: f.uint32(head[16:])}
	f.offset, f.held = fileHeader, fileHeader
	return f, nil
}

// versionDGUX is the version that the tcpdump of DG/UX writes.
var versionDGUX = [2]uint16{543, 0}

// magics are the numbers that pcap files begin with (pcap-savefile(5)).
var magics = []struct {
	number uint32
	tick   int64 // of the fraction of a stamp, in nanoseconds
	header int   // bytes before the captured bytes of a record
}{
	{0xa1b2c3d4, 1000, recordHeader},
	{0xa1b23c4d, 1, recordHeader},
	// Old Linux: interface, protocol and packet type follow the two lengths.
	{0xa1b2cd34, 1000, recordHeader + 8},
}

// readMagic sets what a pcap file says by its first bytes.
func (f *pcapFile) readMagic(head []byte) error {
	if len(head) == 0 {
		return errors.New("empty file")
	}
	if bytes.HasPrefix(head, []byte("snoop\x00\x00\x00")) {
		return errors.New("snoop is not read")
	}
	if len(head) < 4 {
		return errNoCapture
	}
	number := binary.LittleEndian.Uint32(head)
	for _, m := range magics {
		if number == m.number || bits.ReverseBytes32(number) == m.number {
			f.swapped, f.tick, f.header = number != m.number, m.tick, m.header
			return nil
		}
	}
	return errNoCapture
}

var errNoCapture = errors.New("not a capture file")

// next reads one record: seconds, fraction, captured length, length on the
// wire, and the captured bytes.
func (f *pcapFile) next(to *frame.Frame) error {
	f.in.Drop(f.held)
	f.held = 0
	err := f.in.Need(f.header)
	head := f.in.Ahead
	if len(head) == 0 && err == io.EOF {
		*to = frame.End()
		return io.EOF
	}
	f.frames++
	if err != nil {
		return f.cut(err)
	}
	sec, fraction := f.uint32(head), f.uint32(head[4:])
	captured, length := f.lengths(head[8:])
	if captured > maxCaptured {
		return fmt.Errorf("frame %d at byte %d: captured length %d is more than %d",
			f.frames, f.offset, captured, maxCaptured)
	}
	size := f.header + int(captured)
	if err := f.in.Need(size); err != nil {
		return f.cut(err)
	}
	f.held = size
	f.offset += int64(size)
	if fraction >= f.ticks {
		f.overflown.Add(f.frames)
	}
	if captured > length {
		f.longer.Add(f.frames)
	}
	// The other fields are as File left them: zero, or what it sets itself.
	to.Time = time.Unix(int64(sec), int64(fraction)*f.tick).UTC()
	to.Data = f.in.Ahead[f.header:size:size]
	to.Length = int(min(max(captured, length), math.MaxInt32)) // an int may have 32 bits
	to.Link = f.of[0].Link
	return nil
}

// lengths are how many bytes of a record were captured, and how many there were
// on the wire. Before version 2.3 they stood the other way round. Some programs
// wrote them so in version 2.3 too: there the captured length is the lesser, as
// it is for libpcap.
func (f *pcapFile) lengths(b []byte) (captured, length uint32) {
	captured, length = f.uint32(b), f.uint32(b[4:])
	switch {
	case f.version[1] > 3:
	case f.hasOldOrder():
		return length, captured
	case captured > length:
		f.exchanged.Add(f.frames)
		return length, captured
	}
	return captured, length
}

// hasOldOrder reports whether the version has the length on the wire first.
func (f *pcapFile) hasOldOrder() bool { return f.version[1] < 3 }

// oddities are what breaks the format in the records so far, a line each.
func (f *pcapFile) oddities() (lines []string) {
	if f.hasOldOrder() {
		lines = append(lines, fmt.Sprintf("pcap version %d.%d: the length on the wire comes before the captured length",
			f.version[0], f.version[1]))
	}
	lines = f.exchanged.Describe(lines, "the captured length is more than the length on the wire; they are read in the order of earlier versions")
	lines = f.overflown.Describe(lines, "the fraction in the stamp is a second or more; it is added to the seconds")
	return f.longer.Describe(lines, "the captured length is more than the length on the wire; the captured length counts")
}

// cut says why a record could not be read beyond what is ahead of it.
func (f *pcapFile) cut(err error) error {
	at := f.offset + int64(len(f.in.Ahead))
	if err == io.EOF {
		return fmt.Errorf("truncated at byte %d in frame %d: %w", at, f.frames, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading frame %d at byte %d: %w", f.frames, at, err)
}

func (f *pcapFile) interfaces() []pcapng.Interface { return f.of[:] }

func (f *pcapFile) names() map[netip.Addr]string { return nil }

func (f *pcapFile) stats() Stats { return Stats{} }

func (f *pcapFile) uint32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if f.swapped {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (f *pcapFile) uint16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if f.swapped {
		return bits.ReverseBytes16(v)
	}
	return v
}
