// Package capture moves frames in and out: live handles on an interface, and
// capture files. It is the only package that knows libpcap.
//
// A live trace is the replay of a capture that is still being written: both
// come as a Source, and nothing after the Source knows which it was.
package capture

import (
	"context"
	"iter"

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
