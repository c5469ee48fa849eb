package capture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/bits"
	"os"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// The sizes of a pcap file (pcap-savefile(5)).
const (
	fileHeader   = 24
	recordHeader = 16
	// maxCaptured is the most bytes that a record may hold: libpcap's
	// MAXIMUM_SNAPLEN, whatever snapshot length the file header names.
	maxCaptured = 262144
	// readAhead holds the largest record, and of small ones enough that moving
	// the cut one to the front of the buffer costs nothing.
	readAhead = 2 * maxCaptured
)

// File is a capture file: a Source that ends.
//
// Its frames come in the order of the file, with the stamps of the file, in
// UTC. The last thing of a file that was read to its end is the watermark
// frame.End; there are no others, because a frame is itself a watermark of its
// own stamp. After an error, and when the context is done, frame.End does not
// come: what would have followed is not known.
//
// The file is read as it is ranged over, in a fixed amount of memory. A frame
// whose record says that it was shorter on the wire than what was captured of
// it has the Length of what was captured. These end a file with an error:
//
//   - a cut in the middle of a record, after the whole frames before it. The
//     error wraps io.ErrUnexpectedEOF;
//   - a record of more than 262144 captured bytes;
//   - a stamp whose fraction is a second or more: the time it means can't be
//     known, and such a record is most often none.
type File struct {
	name string
	src  io.Reader
	// opened is src if it is for File to close.
	opened io.Closer
	in     *bufio.Reader

	link    frame.LinkType
	swapped bool   // the file is big-endian
	tick    uint32 // of the fraction of a stamp, in nanoseconds

	offset int64 // where in the file the record begins that next reads
	frames int   // how many records were begun
	held   int   // how many bytes at the front of in are done with when next is called
}

// OpenFile opens a capture file. So far that is a pcap file, of either byte
// order, with stamps in microseconds or nanoseconds. The error for any other
// says what it is, where that can be recognised.
func OpenFile(name string) (*File, error) {
	opened, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	f, err := openFile(opened)
	if err != nil {
		opened.Close()
		return nil, err
	}
	f.opened = opened
	return f, nil
}

func openFile(opened *os.File) (*File, error) {
	info, err := opened.Stat()
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("capture: %s: is a directory", opened.Name())
	}
	return NewFile(opened, opened.Name())
}

// NewFile is OpenFile for a capture file that is already open. The name is for
// errors. The File reads ahead, and leaves it to the caller to close src.
func NewFile(src io.Reader, name string) (*File, error) {
	f := &File{name: name, src: src, in: bufio.NewReaderSize(src, readAhead)}
	if err := f.readHeader(); err != nil {
		return nil, fmt.Errorf("capture: %s: %w", name, err)
	}
	return f, nil
}

// Close closes the file that OpenFile opened. Call it after ranging over
// Frames, once.
func (f *File) Close() error {
	if f.opened == nil {
		return nil
	}
	if err := f.opened.Close(); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// readHeader reads the file header: magic number, version (2 × 2), reserved
// (8), snapshot length, link type.
func (f *File) readHeader() error {
	head, err := f.in.Peek(fileHeader)
	if err != nil && err != io.EOF {
		return err
	}
	if f.swapped, f.tick, err = readMagic(head); err != nil {
		return err
	}
	if len(head) < fileHeader {
		return fmt.Errorf("truncated at byte %d in the file header: %w", len(head), io.ErrUnexpectedEOF)
	}
	// In version 2.2 and before the two lengths of a record are the other way round.
	if major, minor := f.uint16(head[4:]), f.uint16(head[6:]); major != 2 || minor < 3 {
		return fmt.Errorf("version %d.%d of pcap is not read", major, minor)
	}
	// The upper half tells the length of the frame check sequences, or is to be
	// ignored (draft-ietf-opsawg-pcap section 4).
	f.link = frame.LinkType(f.uint32(head[20:]))
	f.offset, f.held = fileHeader, fileHeader
	return nil
}

// readMagic tells byte order and precision of a pcap file by how it begins.
func readMagic(head []byte) (swapped bool, tick uint32, err error) {
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
		{"\x0a\x0d\x0d\x0a", "pcapng is not read yet"},
		{"\x1f\x8b", "gzip is not read yet"},
		{"\x28\xb5\x2f\xfd", "zstd is not read yet"},
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

// Frames yields the frames of the file, then frame.End (see Source, and File).
//
// Where src can be given a deadline to read by, as pipes can, a read that
// waits ends when ctx is done; else ctx is heeded from frame to frame.
func (f *File) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		defer f.stopReading(ctx)()
		for ctx.Err() == nil {
			next, err := f.next()
			switch {
			case err == io.EOF:
				yield(frame.End(), nil)
				return
			case err != nil:
				if ctx.Err() == nil {
					yield(frame.Frame{}, fmt.Errorf("capture: %s: %w", f.name, err))
				}
				return
			}
			if !yield(next, nil) {
				return
			}
		}
	}
}

// stopReading sees to it that ctx, once done, ends a read that waits. The
// function it returns ends that, and is to be called.
func (f *File) stopReading(ctx context.Context) func() {
	src, ok := f.src.(interface{ SetReadDeadline(time.Time) error })
	if !ok {
		return func() {}
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		// A file that has no deadlines says so; its reads don't wait.
		_ = src.SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// next reads one record: seconds, fraction, captured length, length on the
// wire, and the captured bytes. The error is io.EOF at the end of the file.
func (f *File) next() (frame.Frame, error) {
	if _, err := f.in.Discard(f.held); err != nil {
		return frame.Frame{}, err
	}
	head, err := f.in.Peek(recordHeader)
	if len(head) == 0 && err == io.EOF {
		return frame.Frame{}, io.EOF
	}
	f.frames++
	if err != nil {
		return frame.Frame{}, f.cut(len(head), err)
	}
	sec, fraction := f.uint32(head), f.uint32(head[4:])
	captured, length := f.uint32(head[8:]), f.uint32(head[12:])
	if captured > maxCaptured {
		return frame.Frame{}, fmt.Errorf("frame %d at byte %d: captured length %d is more than %d",
			f.frames, f.offset, captured, maxCaptured)
	}
	if fraction >= uint32(time.Second)/f.tick {
		return frame.Frame{}, fmt.Errorf("frame %d at byte %d: %d in the stamp is a second or more",
			f.frames, f.offset, fraction)
	}
	record, err := f.in.Peek(recordHeader + int(captured))
	if err != nil {
		return frame.Frame{}, f.cut(len(record), err)
	}
	f.held = len(record)
	f.offset += int64(len(record))
	return frame.Frame{
		Time:   time.Unix(int64(sec), int64(fraction*f.tick)).UTC(),
		Data:   record[recordHeader:len(record):len(record)],
		Length: int(min(max(captured, length), math.MaxInt32)), // an int may have 32 bits
		Link:   f.link,
	}, nil
}

// cut says why a record could not be read beyond its first n bytes.
func (f *File) cut(n int, err error) error {
	at := f.offset + int64(n)
	if err == io.EOF {
		return fmt.Errorf("truncated at byte %d in frame %d: %w", at, f.frames, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading frame %d at byte %d: %w", f.frames, at, err)
}

func (f *File) uint32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if f.swapped {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (f *File) uint16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if f.swapped {
		return bits.ReverseBytes16(v)
	}
	return v
}
