package path

import (
	"errors"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
)

// Observer shows the frames of one capture to the Recorders of the traces that
// run meanwhile, on the host that captures. It reads each frame once. The zero
// Observer is ready for use; it belongs to one goroutine at a time.
type Observer struct {
	message matcher.Message
	errs    []error // by Recorder
}

// Observe shows the next frame of the capture, or a watermark, to Recorders. It
// reports whether the frame is of one of their traces: a probe, or a reply to
// one. What is a reply to one trace's probe is foreign to none of the others.
func (o *Observer) Observe(f *frame.Frame, to ...*Recorder) bool {
	if f.Gap != nil {
		for _, r := range to {
			r.Missed(*f.Gap)
		}
	}
	if f.IsWatermark() {
		for _, r := range to {
			r.Pass(f.Time, f.Step)
		}
		return false
	}
	unread := o.message.ReadOwn(f)
	o.errs = o.errs[:0]
	ours := false
	for _, r := range to {
		err := unread
		r.holds = false
		if r.Pass(f.Time, 0); err == nil {
			_, err = r.match(&o.message)
		}
		ours = ours || err == nil
		o.errs = append(o.errs, err)
	}
	if !ours && unread == nil && o.hold(to) {
		return true
	}
	for i, r := range to {
		switch err := o.errs[i]; {
		case errors.Is(err, matcher.ErrForeign) && !ours:
			r.path.Counters.Foreign++
		case errors.Is(err, matcher.ErrMalformed):
			r.path.Counters.Malformed++
		}
	}
	return ours
}

// hold offers the message, which is beyond doubt none of the Recorders', to be held.
func (o *Observer) hold(to []*Recorder) (held bool) {
	for i, r := range to {
		if errors.Is(o.errs[i], matcher.ErrForeign) {
			held = r.Hold(&o.message, true) || held
		}
	}
	return held
}
