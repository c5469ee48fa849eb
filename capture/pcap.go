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

	offset int64 // where in the file the record begins that next reads
	frames int   // how many records were begun
	held   int   // how many bytes ahead are done with when next is called
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
	if f.swapped, f.tick, err = readMagic(head); err != nil {
		return nil, err
	}
	f.ticks = uint32(int64(time.Second) / f.tick)
	if len(head) < fileHeader {
		return nil, fmt.Errorf("truncated at byte %d in the file header: %w", len(head), io.ErrUnexpectedEOF)
	}
	// In version 2.2 and before the two lengths of a record are the other way round.
	if major, minor := f.uint16(head[4:]), f.uint16(head[6:]); major != 2 || minor < 3 {
		return nil, fmt.Errorf("version %d.%d of pcap is not read", major, minor)
	}
	// The upper half tells the length of the frame check sequences, or is to be
	// ignored (draft-ietf-opsawg-pcap section 4).
	link := frame.LinkType(f.uint32(head[20:]))
	f.of[0] = pcapng.Interface{Link: link, SnapLen: f.uint32(head[16:])}
	f.offset, f.held = fileHeader, fileHeader
	return f, nil
}

// readMagic tells byte order and precision of a pcap file by how it begins.
func readMagic(head []byte) (swapped bool, tick int64, err error) {
	if len(head) == 0 {
		return false, 0, errors.New("empty file")
	}
	if len(head) >= 4 {
		switch binary.LittleEndian.Uint32(head) {
		case 0xa1b2c3d4:
			return false, 1000, nil
		case 0xa1b23c4d:
			return false, 1, nil
		case 0xd4c3b2a1:
			return true, 1000, nil
		case 0x4d3cb2a1:
			return true, 1, nil
		}
	}
	for _, other := range []struct{ magic, what string }{
		{"\x34\xcd\xb2\xa1", "pcap with the modified record headers of old Linux is not read"},
		{"\xa1\xb2\xcd\x34", "pcap with the modified record headers of old Linux is not read"},
		{"snoop\x00\x00\x00", "snoop is not read"},
	} {
		if bytes.HasPrefix(head, []byte(other.magic)) {
			return false, 0, errors.New(other.what)
		}
	}
	return false, 0, errors.New("not a capture file")
}

// next reads one record: seconds, fraction, captured length, length on the
// wire, and the captured bytes.
func (f *pcapFile) next(to *frame.Frame) error {
	f.in.Drop(f.held)
	f.held = 0
	err := f.in.Need(recordHeader)
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
	captured, length := f.uint32(head[8:]), f.uint32(head[12:])
	if captured > maxCaptured || fraction >= f.ticks {
		return f.broken(captured, fraction)
	}
	size := recordHeader + int(captured)
	if err := f.in.Need(size); err != nil {
		return f.cut(err)
	}
	f.held = size
	f.offset += int64(size)
	// The other fields are as File left them: zero, or what it sets itself.
	to.Time = time.Unix(int64(sec), int64(fraction)*f.tick).UTC()
	to.Data = f.in.Ahead[recordHeader:size:size]
	to.Length = int(min(max(captured, length), math.MaxInt32)) // an int may have 32 bits
	to.Link = f.of[0].Link
	return nil
}

// broken says which of two fields of a record can't be.
func (f *pcapFile) broken(captured, fraction uint32) error {
	if captured > maxCaptured {
		return fmt.Errorf("frame %d at byte %d: captured length %d is more than %d",
			f.frames, f.offset, captured, maxCaptured)
	}
	return fmt.Errorf("frame %d at byte %d: %d in the stamp is a second or more", f.frames, f.offset, fraction)
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
