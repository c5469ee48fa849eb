package tracewire

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
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
	r := &replay{all: o.All, paths: o.Paths, emit: emit, flows: map[flow]bool{}, turns: turns{emit: emit}}
	r.finder = session.NewFinder(r.found)
	r.file, _ = from.(described)
	err := capture.Each(ctx, from, r.observe)
	r.end()
	return cmp.Or(err, context.Cause(ctx), r.unread)
}

// replay is one run of Replay.
type replay struct {
	all    bool
	paths  bool
	emit   func(Event)
	finder *session.Finder

	message  matcher.Message
	flows    map[flow]bool // of the recording's probes
	recorded bool          // it is a recording
	run      uint64        // of the latest of its traces that began
	lost     bool          // and has traces whose beginnings are not in it
	running  []*replayed   // traces of the recording
	file     described     // nil if it is not
	observer path.Observer
	shown    []*path.Recorder // to which a frame is
	turns    turns
	waiting  []*path.Path // that were found, until it's their turn
	gaps     []frame.Gap  // of the capture, as far as it is read
	last     time.Time    // the stamp of the latest frame
	cut      *journal.Cut // the frame was cut, since it is of no trace; else nil
	link     frame.LinkType
	unread   error // of the first frame whose link type is not known
}

// maxAtOnce is how many traces of a recording can run at the same time: each frame is
// shown to all of them.
const maxAtOnce = 1000

// described is a Source that knows the interfaces which its frames come from.
type described interface{ Interfaces() []pcapng.Interface }

// flow is what probes have in common that go one way.
type flow struct {
	dst      netip.Addr
	protocol layers.IPProtocol
	src, to  uint16 // ports
}

func flowOf(k *craft.Key) flow { return flow{k.Dst, k.Protocol, k.SrcPort, k.DstPort} }

// replayed is a trace of a recording.
type replayed struct {
	number   int
	recorder *path.Recorder
	checker  *journal.Checker
	captured []int // the interfaces whose frames have notes of the trace
}

// capturedOn notes that a frame of an interface has a note of the trace.
func (t *replayed) capturedOn(number int) {
	if !slices.Contains(t.captured, number) {
		t.captured = append(t.captured, number)
	}
}

// found takes a trace that the finder found. It waits while one of the recording
// is told, and until it is known whether it is to be told.
func (r *replay) found(p *path.Path) {
	if !r.tellsFound() || len(r.running)+len(r.waiting) > 0 || !r.turns.isThrough() {
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
	r.cut = nil
	for i, comment := range f.Comments {
		note, err := journal.Parse(comment)
		if err == nil && note != nil {
			err = r.apply(note, f)
			r.bind(note.Trace, f, i)
		}
		if err != nil {
			return fmt.Errorf("tracewire: damaged recording, %s: %w", place(f), err)
		}
	}
	if f.Gap != nil { // its notes say it to the traces of a recording
		r.gaps = path.AddGap(r.gaps, *f.Gap)
		f.Gap = nil
	}
	if f.IsWatermark() {
		return nil
	}
	r.last = f.Time
	if f.Link != r.link {
		r.look(f)
	}
	ours := len(r.running) > 0 && r.show(f)
	if !ours && (!r.recorded || !r.looksOurs(f)) {
		r.finder.Observe(f)
	}
	return nil
}

// show shows a frame to the traces of the recording, and reports whether it is of
// one of them.
func (r *replay) show(f *frame.Frame) (ours bool) {
	if r.cut != nil {
		r.observer.ObserveForeign(f, r.recordersOn(f.Interface)...)
		for _, t := range r.running {
			if slices.Contains(r.cut.Failed, t.number) {
				t.recorder.FailCheck()
			}
		}
		return false
	}
	return r.observer.Observe(f, r.recordersOn(f.Interface)...)
}

// look looks whether frames of a link type can be read: one that can't be hides
// what may be traces.
func (r *replay) look(f *frame.Frame) {
	if r.link = f.Link; r.unread == nil && !f.Link.IsKnown() {
		r.unread = fmt.Errorf("tracewire: frame %d: %w %d", f.Number, frame.ErrLinkType, f.Link)
	}
}

// bind notes, if a frame's comment is a note of a trace, that the trace captures on
// the frame's interface: its program wrote the note there, whatever the interface
// is called by now.
func (r *replay) bind(trace int, f *frame.Frame, comment int) {
	if f.IsWatermark() || comment < f.Before {
		return
	}
	for _, t := range r.running {
		if t.number == trace {
			t.capturedOn(f.Interface)
		}
	}
}

// recordersOn are those of the traces that captured on an interface. They are
// valid until the next call.
func (r *replay) recordersOn(number int) []*path.Recorder {
	r.shown = r.shown[:0]
	for _, t := range r.running {
		if r.isOn(t, number) {
			r.shown = append(r.shown, t.recorder)
		}
	}
	return r.shown
}

// isOn reports whether a trace may have captured on an interface: on one that has
// notes of it, or on one with a name of its own. If the one with the notes has
// another name, names were changed and say nothing.
func (r *replay) isOn(t *replayed, number int) bool {
	source := &t.recorder.Path().Source
	if source.Interface == "" || slices.Contains(t.captured, number) {
		return true
	}
	if len(t.captured) > 0 && !r.isCalled(t.captured[0], source) {
		return false
	}
	return r.isCalled(number, source)
}

// isCalled reports whether an interface may have the name of one that a trace
// captured on.
func (r *replay) isCalled(number int, source *path.Source) bool {
	if r.file == nil {
		return true
	}
	all := r.file.Interfaces()
	if number >= len(all) || all[number].Name == "" {
		return true
	}
	return all[number].Name == source.Interface || slices.Contains(source.Also, all[number].Name)
}

// place says where in the file a frame is, or what stands in its place.
func place(f *frame.Frame) string {
	if f.IsWatermark() {
		return "behind the last frame"
	}
	return fmt.Sprintf("frame %d", f.Number)
}

// looksOurs reports whether a frame is of a flow of the recording, whose source
// port nobody else had: it came too late, or was stamped by a clock that was set,
// and is no trace of others.
func (r *replay) looksOurs(f *frame.Frame) bool {
	m := &r.message
	if m.Read(f) != nil {
		return false
	}
	return m.IsReply && r.flows[flowOf(&m.Of)] || m.IsProbe && r.flows[flowOf(&m.Key)]
}

// apply repeats what a note says was done. Its errors wrap journal.ErrNote.
func (r *replay) apply(n *journal.Note, f *frame.Frame) error {
	at := slices.IndexFunc(r.running, func(t *replayed) bool { return t.number == n.Trace })
	switch {
	case n.Start != nil:
		if at >= 0 || r.turns.hasBegun(n.Trace) || n.Start.Run != r.run { // another recording follows, in a file that was put together
			r.endRecording()
		}
		if len(r.running) >= maxAtOnce {
			return fmt.Errorf("%w: more than %d traces at the same time", journal.ErrNote, maxAtOnce)
		}
		r.run = n.Start.Run
		r.begin(n)
		return nil
	case at < 0: // its beginning was filtered out: it is found as any other's are
		r.lost = true
		return nil
	}
	to := r.running[at].recorder
	if err := r.running[at].checker.Check(n); err != nil {
		return err
	}
	switch {
	case n.Sent != nil:
		probe, key := n.Sent.Probe(to.Path().Target.Addr, to.Path().Protocol)
		r.flows[flowOf(&key)] = true
		to.Send(probe, key)
	case n.Failed != nil:
		to.Failed(n.Failed.Probe)
	case n.Passed != nil:
		to.Pass(n.Passed.At.Time(), n.Passed.Step)
	case n.Missed != nil:
		to.Missed(n.Missed.Gap())
	case n.Read != nil:
		f.Read = n.Read.At.Time()
	case n.Cut != nil:
		r.cut = n.Cut
	case n.End != nil:
		r.finish(at, *n.End)
	}
	return nil
}

// begin begins a trace of the recording.
func (r *replay) begin(n *journal.Note) {
	r.recorded = true
	t := &replayed{
		number: n.Trace, checker: journal.NewChecker(n.Start),
		recorder: path.NewRecorder(n.Start.Path(), func(e Event) { r.turns.event(n.Trace, e) }),
	}
	r.running = append(r.running, t)
	t.recorder.Start(n.Start.At.Time())
}

// finish ends a trace of the recording.
func (r *replay) finish(at int, end journal.End) {
	to := r.running[at].recorder
	r.running = slices.Delete(r.running, at, at+1)
	p := to.Path()
	p.Interrupted, p.Counters.Dropped = end.Interrupted, end.Dropped
	to.Finish(end.At.Time())
	if len(r.running) == 0 && r.turns.isThrough() {
		r.tellWaiting()
	}
}

// tellsFound reports whether what was found is to be told: what others traced while
// a recording was made is not, unless it is asked for.
func (r *replay) tellsFound() bool { return !r.recorded || r.all || r.lost }

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

// interrupt ends a trace of the recording whose end is missing.
func (r *replay) interrupt(at int) {
	last := r.last
	if started := r.running[at].recorder.Path().Started; last.Before(started) {
		last = started
	}
	r.running[at].recorder.Path().Cut = true
	r.finish(at, journal.End{At: journal.At(last), Interrupted: true})
}

// endRecording ends the recording: traces whose ends are missing have none.
func (r *replay) endRecording() {
	for len(r.running) > 0 {
		r.interrupt(0)
	}
	r.turns.end()
	r.tellWaiting()
}

// end ends the capture.
func (r *replay) end() {
	r.endRecording()
	r.finder.Close()
}
