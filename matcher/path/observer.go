package path

import (
	"errors"
	"slices"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
)

// Observer shows the frames of one capture to the Recorders of the traces that
// run meanwhile, on the host that captures. It reads each frame once. The zero
// Observer is ready for use; it belongs to one goroutine at a time.
type Observer struct {
	// HeadersOnly says that the traces are made for somebody who may not see
	// the traffic of others. Observe cuts a frame that is of no trace behind its
	// headers (see matcher.Headers): it shortens Data, and leaves Length. An echo
	// reply with a payload is of a trace only if it returns a cookie.
	HeadersOnly bool

	message matcher.Message
	errs    []error // by Recorder
}

// Observe shows the next frame of the capture, or a watermark, to Recorders. It
// reports whether the frame is of one of their traces: a probe, or a reply to
// one. What is a reply to one trace's probe is foreign to none of the others, and if it
// quotes the probe, it is no reply of theirs. An answer that quotes nothing may be:
// traces to one target can have the same ports.
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
	headers := f.Data
	if o.HeadersOnly {
		headers = matcher.Headers(f)
	}
	cuts := len(headers) < len(f.Data)
	if cuts && unread == nil && !o.verifiesEcho(to) {
		f.Data = headers
		o.ObserveForeign(f, to...)
		return false
	}
	o.errs = o.errs[:0]
	ours, known := false, false // known: whose it is
	for _, r := range to {
		err := unread
		r.holds = false
		if r.Pass(f.Time, 0); err == nil && !known {
			var found matcher.Match
			found, err = r.match(&o.message)
			known = err == nil && found.Reply != nil && found.Reply.IsQuoted() && found.Reply.MatchedBy <= matcher.ByOrder
		}
		ours = ours || err == nil
		o.errs = append(o.errs, err)
	}
	if !ours && unread == nil && o.hold(to) {
		return true
	}
	if cuts && !ours {
		f.Data = headers
		o.ObserveForeign(f, to...)
		return false
	}
	for i, r := range to {
		o.count(r, o.errs[i], ours)
	}
	return ours
}

// ObserveForeign is Observe for a frame that was cut since it was of no trace: what
// is left may look like a reply, and is none. So the count of foreign and of
// malformed frames follows from what is left.
func (o *Observer) ObserveForeign(f *frame.Frame, to ...*Recorder) {
	unread := o.message.ReadOwn(f)
	for _, r := range to {
		err := unread
		r.holds = false
		if r.Pass(f.Time, 0); err == nil {
			err = r.table.Foreign(&o.message)
		}
		o.count(r, err, false)
	}
}

func (o *Observer) verifiesEcho(to []*Recorder) bool {
	return slices.ContainsFunc(to, func(r *Recorder) bool { return r.table.VerifiesEcho(&o.message) })
}

// count counts the frame by what it was to a trace; ours says whether it was of
// this one or another.
func (o *Observer) count(r *Recorder, err error, ours bool) {
	switch {
	case errors.Is(err, matcher.ErrForeign) && !ours:
		r.path.Counters.Foreign++
		r.table.Stray(&o.message)
	case errors.Is(err, matcher.ErrMalformed):
		r.path.Counters.Malformed++
	}
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
