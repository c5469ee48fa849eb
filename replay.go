package tracewire

import (
	"cmp"
	"context"
	"fmt"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// ReplayOptions say which traces of a capture Replay tells of.
type ReplayOptions struct {
	// All asks for all traces in a Recording, not only for those that it is the
	// recording of.
	All bool

	// Paths asks, of traces that are found, only for the events Started and
	// Ended: all that is known is in the latter's Path, which is valid until emit
	// returns: who keeps it makes a Clone. That takes a fraction of the time.
	Paths bool
}

// Replay tells of the traces in a capture, one after the other in the order in
// which they began, and calls emit for each event, from one goroutine.
//
// Of a Recording it tells what was told when it was made, event for event: the
// Paths are the same. Traces that ran at the same time come in the order of their
// numbers (see Target). A trace whose end is missing, since the program was killed
// or the file is cut, is Interrupted, and ends with the last frame. A Recording
// from which the beginning of a trace was filtered out is told of with all that
// is found in it; one whose notes are damaged, or say what no trace can do, ends with
// an error that wraps journal.ErrNote; so does one of more than 1000 traces at the same
// time. Where the Source
// knows its interfaces, as capture.File does, a trace is shown only the frames of
// its own.
//
// In any other capture it finds the traces, whoever made them (see package
// matcher/session), and tells of each when it is over. Clock.Captured is set in
// their Paths, and what only their program knows is zero.
//
// It returns the error that ended the capture, or ctx's cause, after the traces
// that were found by then; or one that wraps frame.ErrLinkType, after all, if there
// were frames that it could not read. nil options are the defaults.
func Replay(ctx context.Context, from capture.Source, o *ReplayOptions, emit func(Event)) error {
	if o == nil {
		o = &ReplayOptions{}
	}
	r := &replay{all: o.All, paths: o.Paths, emit: emit, turns: journal.Turns{Emit: emit}}
	r.finder = session.NewFinder(r.found)
	r.captures = journal.NewCaptures(&r.reader)
	if file, ok := from.(described); ok {
		r.reader.Interfaces = file.Interfaces
	}
	err := capture.Each(ctx, from, r.observe)
	err = cmp.Or(err, r.reader.Close(r.apply))
	r.endRecording()
	r.finder.Close()
	return cmp.Or(err, context.Cause(ctx), r.unread)
}

// replay is one run of Replay.
type replay struct {
	all    bool
	paths  bool
	emit   func(Event)
	finder *session.Finder

	reader   journal.Reader
	captures *journal.Captures
	recorded bool   // it is a recording
	run      uint64 // of the latest of its traces that began
	turns    journal.Turns

	waiting []*path.Path // that were found, until it's their turn
	gaps    []frame.Gap  // of the capture, as far as it is read
	link    frame.LinkType
	unread  error // of the first frame whose link type is not known
}

// described is a Source that knows the interfaces which its frames come from.
type described interface{ Interfaces() []pcapng.Interface }

// found takes a trace that the finder found. It waits while one of the recording
// is told, and until it is known whether it is to be told.
func (r *replay) found(p *path.Path) {
	if !r.tellsFound() || r.captures.Running()+len(r.waiting) > 0 || !r.turns.IsThrough() {
		r.waiting = append(r.waiting, p.Clone())
		return
	}
	r.tell(p)
}

// tell tells of a trace that was found.
func (r *replay) tell(p *path.Path) {
	p.Gaps, p.Counters.Dropped = nil, 0
	for i := range r.gaps {
		if r.gaps[i].Overlaps(p.Started, p.Ended) {
			p.Gaps = append(p.Gaps, r.gaps[i])
			p.Counters.Dropped += r.gaps[i].Frames
		}
	}
	if !r.paths {
		p.Clone().Events(r.emit)
		return
	}
	begun := *p
	begun.Probes = nil
	r.emit(Event{Kind: path.Started, Path: &begun})
	r.emit(Event{Kind: path.Ended, Path: p})
}

func (r *replay) observe(f *frame.Frame) error {
	gap := f.Gap
	f.Gap = nil // its notes say it to the traces of a recording
	if err := r.reader.Read(f, r.apply); err != nil {
		return fmt.Errorf("tracewire: damaged recording, %s: %w", place(f), err)
	}
	if gap != nil {
		r.gaps = path.AddGap(r.gaps, *gap)
	}
	return nil
}

// apply applies an entry of the capture. Its errors wrap journal.ErrNote.
func (r *replay) apply(e *path.Entry) error {
	switch e.Kind {
	case path.Start:
		if e.Run != r.run || r.turns.HasBegun(e.Trace) { // another recording follows
			r.endRecording()
		}
		r.run, r.recorded = e.Run, true
	case path.Frame:
		if e.Frame.Link != r.link {
			r.look(e.Frame)
		}
	}
	caused, err := r.captures.Apply(e)
	if err != nil {
		return err
	}
	for i := range caused {
		for _, event := range caused[i].Events {
			r.turns.Event(caused[i].Trace, event)
		}
	}
	switch {
	case e.Kind == path.Frame && !r.captures.IsOurs() && (!r.recorded || !r.captures.LooksOurs(e.Frame)):
		r.finder.Observe(e.Frame)
	case e.Kind == path.End && r.captures.Running() == 0 && r.turns.IsThrough():
		r.tellWaiting()
	}
	return nil
}

// look looks whether frames of a link type can be read: one that can't be hides
// what may be traces.
func (r *replay) look(f *frame.Frame) {
	if r.link = f.Link; r.unread == nil && !f.Link.IsKnown() {
		r.unread = fmt.Errorf("tracewire: frame %d: %w %d", f.Number, frame.ErrLinkType, f.Link)
	}
}

// place says where in the file a frame is, or what stands in its place.
func place(f *frame.Frame) string {
	if f.IsWatermark() {
		return "behind the last frame"
	}
	return fmt.Sprintf("frame %d", f.Number)
}

// tellsFound reports whether what was found is to be told: what others traced while
// a recording was made is not, unless it is asked for.
func (r *replay) tellsFound() bool { return !r.recorded || r.all || r.reader.Lost }

// tellWaiting tells of what was found, if it is to be told.
func (r *replay) tellWaiting() {
	if !r.tellsFound() {
		return
	}
	for _, p := range r.waiting {
		r.tell(p)
	}
	r.waiting = nil
}

// endRecording tells what is left of a recording that is over.
func (r *replay) endRecording() {
	r.turns.End()
	r.tellWaiting()
}
