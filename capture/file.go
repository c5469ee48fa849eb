package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// readAhead is the size of a File's buffer. It holds the largest record, and of
// small ones enough that moving the cut one to the front of the buffer costs
// nothing.
const readAhead = 2 * maxCaptured

// readAtOnce is how much is read in one go: no more than stays in a processor's
// cache until the frames in it are looked at.
const readAtOnce = 128 << 10

// File is a capture file: a Source that ends.
//
// It is a pcap file of any version 2, of either byte order, with stamps in
// microseconds or nanoseconds, or with the longer record headers of old Linux; or a pcapng file, with any number of sections and interfaces
// (see pcapng.Reader); or one of these compressed by gzip or zstd.
//
// Its frames come in the order of the file, with the stamps of the file, in
// UTC, which may go back. The last thing of a file that was read to its end is
// the watermark frame.End, with the comments that no frame followed; there are
// no others, because a frame is itself a watermark of its own stamp. After an
// error, and when the context is done, frame.End does not come: what would have
// followed is not known.
//
// The file is read as it is ranged over, in a fixed amount of memory: less than
// 4 MiB, what pcapng.Reader keeps, and for zstd a window of up to 8 MiB. A
// frame whose record says that it was shorter on the wire than what was
// captured of it has the Length of what was captured. These end a file with an
// error:
//
//   - a cut in the middle of a record or block, or of compressed data, after
//     the whole frames before it. The error wraps io.ErrUnexpectedEOF;
//   - a record of more than 262144 captured bytes;
//   - in pcapng, the other things that pcapng.Reader names;
//   - compressed data that is broken, or needs a larger window.
//
// What breaks the format but can be read is read, and Oddities describes it: the
// order of the lengths in pcap before version 2.3, or a stamp out of range.
//
// In a compressed file the bytes that errors name are those of the file that
// was compressed.
//
// One goroutine may use a File, but for Progress.
type File struct {
	name string
	src  io.Reader
	// closers are what is for File to close, in order.
	closers []func() error
	decoder decoder

	read  atomic.Int64
	total int64
}

// decoder reads a format of capture files.
type decoder interface {
	// next makes f the next frame of the file. At the end of the file it makes
	// it frame.End and returns io.EOF.
	next(f *frame.Frame) error

	interfaces() []pcapng.Interface
	names() map[netip.Addr]string
	stats() Stats
	oddities() []string
}

// OpenFile opens a capture file, of any of the kinds that File names,
// whatever it is called. The error for any other says what it is, where that
// can be recognised.
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
	f.closers = append(f.closers, opened.Close)
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
	f := &File{name: name, src: src, total: size(src)}
	if err := f.open(); err != nil {
		f.Close()
		return nil, fmt.Errorf("capture: %s: %w", name, err)
	}
	return f, nil
}

// Close closes the file that OpenFile opened, and lets go of what decompressing
// took. Call it after ranging over Frames, once.
func (f *File) Close() error {
	var errs []error
	for _, c := range f.closers {
		errs = append(errs, c())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// Frames yields the frames of the file, then frame.End (see Source, and File).
//
// Where src can be given a deadline to read by, as pipes can, a read that
// waits ends when ctx is done; else ctx is heeded from frame to frame.
func (f *File) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		err := f.each(ctx, func(next *frame.Frame) error {
			if !yield(*next, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(frame.Frame{}, err)
		}
	}
}

var errStopped = errors.New("capture: nobody wants the next frame")

// each is Each for the frames of the file.
func (f *File) each(ctx context.Context, observe func(*frame.Frame) error) error {
	defer f.stopReading(ctx)()
	var next frame.Frame
	for number := 1; ctx.Err() == nil; number++ {
		switch err := f.decoder.next(&next); {
		case err == io.EOF:
			return observe(&next)
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("capture: %s: %w", f.name, err)
		}
		next.Number = number
		if err := observe(&next); err != nil {
			return err
		}
	}
	return nil
}

// Interfaces are those that the file has described so far, all that the frames
// so far came from; a frame's Interface is an index into them. A pcap file has
// one, of which only Link and SnapLen are known. They are not to be changed,
// and valid until the next frame is asked for.
func (f *File) Interfaces() []pcapng.Interface { return f.decoder.interfaces() }

// Names are what the file has said so far of the names of addresses; where it
// named one twice, what it said last. The map is not to be changed, and the
// next frame may change it. It is nil when there are none.
func (f *File) Names() map[netip.Addr]string { return f.decoder.names() }

// Oddities are what breaks the file's format in the frames so far and was read
// all the same, one line each, without the file's name. There are at most a few,
// however many frames have them.
func (f *File) Oddities() []string { return f.decoder.oddities() }

// Stats are the counts of the file's interfaces so far, added up: the latest
// that the file states of each. Where it states none, Dropped is what the
// frames say was lost before them.
func (f *File) Stats() Stats { return f.decoder.stats() }

// Progress says how many bytes of the file were read so far, and how many it
// has, both as they are on the disk: compressed, if it is. The total is 0
// where it is not known, as for a pipe, and read may be more where the file
// has grown. Any goroutine may call it at any time.
func (f *File) Progress() (read, total int64) { return f.read.Load(), f.total }

// counted is what the File reads from: src, counted.
type counted struct{ *File }

func (c counted) Read(b []byte) (int, error) {
	n, err := c.src.Read(b[:min(len(b), readAtOnce)])
	c.read.Add(int64(n))
	return n, err
}

// size is the size of src if it is a file that has one, or else 0.
func size(src io.Reader) int64 {
	file, ok := src.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
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
