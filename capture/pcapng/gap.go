package pcapng

import (
	"math"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// missed notes, for the frame that comes next, that frames of an interface were lost
// between two stamps. Of statistics these are the stamps of frames that they count:
// the blocks' own stamps are not by the same clock in every program.
func (r *Reader) missed(of *source, n uint64, from, to int64) {
	of.unsaid, of.said = 0, add(of.said, n)
	if from == 0 || from > to {
		from = to
	}
	g := frame.Gap{From: time.Unix(0, from).UTC(), To: time.Unix(0, to).UTC(), Frames: int(min(n, math.MaxInt32))}
	if r.gap.Frames == 0 {
		r.gap = g
		return
	}
	if g.From.Before(r.gap.From) {
		r.gap.From = g.From
	}
	if g.To.After(r.gap.To) {
		r.gap.To = g.To
	}
	r.gap.Frames = int(min(int64(r.gap.Frames)+int64(g.Frames), math.MaxInt32))
}

// missing is what was lost before a frame, or nil.
func (r *Reader) missing() *frame.Gap {
	if r.gap.Frames == 0 {
		return nil
	}
	r.shown, r.gap = r.gap, frame.Gap{}
	return &r.shown
}
