package journal

import (
	"slices"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
)

// Track writes the entries of one capture to a Log.
//
// Its fields are under two locks: what is written to the file is under the Log's; what
// waits to be written is under the caller's, whichever guards the Recorders that the
// entries are applied to. So the order of the file is the order in which entries were
// applied.
type Track struct {
	log     *Log           // nil: nothing is recorded
	devices []string       // by the number that frames have of them; what is no frame's is of the first
	link    frame.LinkType // of the first
	written int            // lost frames that the file knows of

	pending  []Note
	running  []int         // traces
	unbound  map[int][]int // by number of a device: traces of which no note is on a frame of it
	captured int           // frames, if nothing is recorded
	lost     int           // frames that the capture lost
}

// Block is what stands in the file with a frame, or where there is none.
type Block struct {
	frame  *frame.Frame
	caused []path.Caused
	notes  []Note
}

// Append appends an entry of a trace that was applied. It is in the file before the
// next frame. The caller holds the lock of the Recorders.
func (t *Track) Append(e *path.Entry) {
	switch {
	case t.log == nil:
		return
	case e.Kind == path.Start:
		t.start(e.Trace)
	case e.Kind == path.End:
		t.end(e.Trace)
	}
	t.pending = append(t.pending, noteOf(e))
}

// start notes that a trace runs. If there are several devices, the replay knows by its
// notes which interfaces are the trace's, whatever they are called by then.
func (t *Track) start(trace int) {
	t.running = append(t.running, trace)
	if len(t.devices) < 2 {
		return
	}
	if t.unbound == nil {
		t.unbound = map[int][]int{}
	}
	for n := range t.devices {
		t.unbound[n] = append(t.unbound[n], trace)
	}
}

func (t *Track) end(trace int) {
	is := func(n int) bool { return n == trace }
	t.running = slices.DeleteFunc(t.running, is)
	for n := range t.unbound {
		t.unbound[n] = slices.DeleteFunc(t.unbound[n], is)
	}
}

// Lost notes how many frames the capture has lost so far. The caller holds the lock of
// the Recorders.
func (t *Track) Lost(frames int) { t.lost = max(t.lost, frames) }

// Block takes what is to be written, with an entry that concerns all traces and what it
// caused, if e is not nil. The caller holds the lock of the Recorders.
func (t *Track) Block(e *path.Entry, caused []path.Caused) (b Block) {
	if t.log == nil {
		return b
	}
	switch {
	case e == nil:
	case e.Kind == path.Frame:
		t.frame(e, caused)
		b.frame = e.Frame
		b.caused = saying(caused)
	default:
		for _, c := range caused {
			if e.Kind != path.Watermark || len(c.Events) > 0 || e.Step != 0 {
				of := *e
				of.Trace = c.Trace
				t.pending = append(t.pending, noteOf(&of))
			}
		}
	}
	b.notes, t.pending = t.pending, nil
	return b
}

// saying are those that have events, for as long as it takes to write them.
func saying(caused []path.Caused) (all []path.Caused) {
	for _, c := range caused {
		if len(c.Events) > 0 {
			c.Events = slices.Clone(c.Events)
			all = append(all, c)
		}
	}
	return all
}

// frame notes what there is to say about a frame.
func (t *Track) frame(e *path.Entry, caused []path.Caused) {
	if e.Cut != nil && len(t.running) > 0 {
		t.pending = append(t.pending, Note{Trace: t.running[len(t.running)-1], Cut: &Cut{Failed: e.Cut.Failed}})
	}
	f := e.Frame
	if f.Read.IsZero() {
		return
	}
	read := func(trace int) {
		t.pending = append(t.pending, Note{Trace: trace, Read: &Read{At: At(f.Read)}})
	}
	unbound := t.unbound[f.Interface]
	for _, trace := range unbound {
		read(trace)
	}
	for _, c := range caused {
		if (c.Held || slices.ContainsFunc(c.Events, isAnswer)) && !slices.Contains(unbound, c.Trace) {
			read(c.Trace)
		}
	}
	delete(t.unbound, f.Interface)
}

func isAnswer(e path.Event) bool { return e.Kind == path.Answer }

// Do writes what apply takes: it applies an entry, or none, under the lock of the
// Recorders, and returns the Block. If the entry is a frame, Do numbers it before.
// While Do runs, no other Track of the Log writes: numbers and frames have the same
// order. When Do returns, all is in the file.
func (t *Track) Do(f *frame.Frame, apply func() Block) {
	if t.log == nil {
		if f != nil {
			t.captured++
			f.Number = t.captured
		}
		apply()
		return
	}
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	if f != nil {
		t.log.frames++ // even if the file can't be written any more
		f.Number = t.log.frames
	}
	b := apply()
	if t.log.failed == nil {
		t.log.failed = logError(t.write(&b))
	}
}

// notesAside is how many comments a block may have: of 200 bytes each, far fewer
// than the largest block has room for.
const notesAside = 1000

// write writes a frame, or what there is to say without one.
func (t *Track) write(b *Block) error {
	if t.lost > t.written {
		on, err := t.log.on(t.devices[0], t.link)
		if err != nil {
			return err
		}
		on.Dropped += uint64(t.lost - t.written)
		t.written = t.lost
	}
	all := b.comments()
	if b.frame == nil {
		_, err := t.aside(all, 0)
		return err
	}
	left, err := t.aside(all, notesAside)
	if err != nil {
		return err
	}
	return t.writeFrame(b.frame, left)
}

// comments are what a block is written with: what people read comes first.
func (b *Block) comments() (all []string) {
	for i := range b.caused {
		for n := range b.caused[i].Events {
			if sentence := Sentence(b.caused[i].Trace, &b.caused[i].Events[n]); sentence != "" {
				all = append(all, sentence)
			}
		}
	}
	for i := range b.notes {
		all = append(all, b.notes[i].Comment())
	}
	return all
}

// writeFrame writes a frame.
func (t *Track) writeFrame(f *frame.Frame, comments []string) error {
	device := t.devices[0]
	if f.Interface < len(t.devices) {
		device = t.devices[f.Interface]
	}
	on, err := t.log.on(device, f.Link)
	if err != nil {
		return err
	}
	if device == t.devices[0] {
		t.link = f.Link
	}
	if on.Received++; on.Start.IsZero() {
		on.Start = f.Time
	}
	on.End = f.Time
	written := *f
	written.Interface, written.Comments = on.number, comments
	return t.log.file.WriteFrame(&written)
}

// aside writes comments where there is no frame for them, on the counts so far,
// until no more than some are left. It returns these.
func (t *Track) aside(comments []string, left int) ([]string, error) {
	for len(comments) > left {
		on, err := t.log.on(t.devices[0], t.link)
		if err != nil {
			return nil, err
		}
		n := min(len(comments), notesAside)
		if err := t.log.file.WriteStatistics(on.number, on.Statistics, comments[:n]...); err != nil {
			return nil, err
		}
		comments = comments[n:]
	}
	return comments, nil
}
