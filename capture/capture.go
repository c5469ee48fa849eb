// Package capture moves frames in and out: live handles on an interface, and
// capture files. It is the only package that knows libpcap.
//
// A live trace is the replay of a capture that is still being written: both
// come as a Source, and nothing after the Source knows which it was.
//
// # Waiting
//
// A Live sleeps until the kernel has a frame, or a notice about an interface, until a
// watermark is due, and until it is to end. See LiveOptions.Idle and
// Live.RequestWatermark.
//
// gopacket has no way to wait like that: it doesn't say what libpcap's socket is, its
// timeout can't be changed, and a read can't be interrupted. So a Live finds the socket
// itself: it sets a filter that no other socket has, and looks for the socket with that
// filter among the open files of the process. The Go runtime polls the socket, with
// all others. A thread that waits in a system call, or in libpcap, would use three times
// as much processor time: the runtime keeps looking for up to 10 ms whether it still waits.
//
// One goroutine reads libpcap's handle, the one that ranges over Frames, and only when
// the socket is ready, so that no read waits. Where the socket isn't found, for
// example without /proc, each read waits in libpcap for up to 20 ms.
//
// A watermark is 2 ms older than the moment at which the ring was found empty, because
// the kernel stamps a frame before it puts the frame into the ring.
//
// # Stamps
//
// Linux stamps a frame once for all who capture it, while any socket asks for stamps, as
// every Live does. It begins some time after the first has asked: within a millisecond,
// or tens of them where all processors are busy. Until then each capture stamps the copy
// that it gets, some microseconds later.
package capture

import (
	"context"
	"iter"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// Source yields the frames of a capture in the order they were captured, and
// watermarks between them (see frame.Frame).
//
// A frame is itself a watermark of its own stamp (but for the tens of
// microseconds by which frames of several processors can be out of order in a
// live capture). A source that comes to its end
// by itself, as a file does, yields frame.End last; one that ends by an error or
// by ctx does not, for what would have followed is not known.
//
// The sequence ends when ctx is done, when the capture ends, or after the
// first error, which comes with a zero Frame and says what made it end. The
// end of a file and the end of ctx are no errors. A frame's Data is valid until
// the next iteration. One goroutine may range over a Source, once.
type Source interface {
	Frames(ctx context.Context) iter.Seq2[frame.Frame, error]
}

// OnDemand is a Source that yields a watermark when one is requested. Between the
// requested watermarks it yields them as often as it would without.
type OnDemand interface {
	Source

	// RequestWatermark asks for one watermark after a time: its Time is later, and
	// it comes as soon as it can be promised. A frame stamped later will do as
	// well. A request takes the place of the one before, answered or not; the zero
	// Time asks for none. Any goroutine may call it, at any time; it doesn't wait.
	RequestWatermark(after time.Time)
}

// Each calls observe for each frame that a source yields, until that fails. It
// returns the error of either, and nil when the source or ctx has ended. What it
// hands to observe is valid until that returns.
//
// It is what ranging over Frames is, and spares a File's frames being moved.
func Each(ctx context.Context, from Source, observe func(*frame.Frame) error) error {
	if file, ok := from.(*File); ok {
		return file.each(ctx, observe)
	}
	var next frame.Frame // one for all: each would be allocated
	for f, err := range from.Frames(ctx) {
		if next = f; err == nil {
			err = observe(&next)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Injector puts complete frames, link header included, on the wire.
//
// Inject does not keep the slice. Any goroutine may call it; an error means
// that the frame did not leave.
type Injector interface {
	Inject(frame []byte) error
}
