package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/matcher/path"
)

// Reader yields the entries of a recording, in the order in which they were applied
// when it was made. The zero Reader is ready for use. It belongs to one goroutine.
//
// It knows the traces that run: those that have started and not ended. An entry of any
// other is not yielded, as its beginning is not in the file; Lost is set then. If the end
// of a trace is missing, since the program was killed or the file is cut, Reader makes
// it: the trace is Interrupted, and ends with the last frame before the end of the file,
// or before another recording in the same file.
type Reader struct {
	// Interfaces are those of the file, in the order of their numbers; nil if they are
	// not known: then every trace captured on all of them. It may grow.
	Interfaces func() []pcapng.Interface

	// Lost says that there were notes of traces whose beginnings are not in the file.
	Lost bool

	running map[int]*reading
	order   []int        // those, in the order in which they started
	run     uint64       // of the recording that is read
	begun   map[int]bool // its traces
	last    time.Time    // the stamp of the latest frame
	frame   path.Entry   // the latest that was yielded
	moved   []int        // traces of which an interface has become known by the latest notes
}

// reading is a trace that runs.
type reading struct {
	start    *Start
	source   path.Source
	checker  *Checker
	captured []int // the interfaces whose frames have notes of the trace
}

// Read reads a frame of the file, or what stands in a frame's place, and calls apply for
// each entry: those of its comments, and then the frame itself. If apply fails, Read
// returns its error; else its errors wrap ErrNote.
func (r *Reader) Read(f *frame.Frame, apply func(*path.Entry) error) error {
	var cut *path.Cut
	for i, comment := range f.Comments {
		n, err := Parse(comment)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if n.Start != nil && (r.begun[n.Trace] || n.Start.Run != r.run) { // another recording follows, in a file that was put together
			if err := r.Close(apply); err != nil {
				return err
			}
		}
		e, err := r.next(n)
		if err != nil {
			return err
		}
		switch {
		case e.Kind != 0:
			err = r.yield(&e, apply)
		case r.running[n.Trace] == nil:
		case n.Read != nil:
			f.Read = n.Read.At.Time()
		case n.Cut != nil:
			cut = &path.Cut{Failed: n.Cut.Failed}
		}
		if err != nil {
			return err
		}
		r.bind(n.Trace, f, i)
	}
	if f.IsWatermark() {
		return nil
	}
	r.last = f.Time
	r.frame.Kind, r.frame.Frame, r.frame.Cut = path.Frame, f, cut
	return apply(&r.frame)
}

// Close ends the traces that run, at the end of the recording.
func (r *Reader) Close(apply func(*path.Entry) error) error {
	for len(r.order) > 0 {
		n := r.order[0]
		e := path.Entry{Kind: path.End, Trace: n, At: r.last, Interrupted: true, Missing: true}
		if started := r.running[n].start.At.Time(); e.At.Before(started) {
			e.At = started
		}
		if err := r.yield(&e, apply); err != nil {
			return err
		}
	}
	r.begun = nil
	return nil
}

// yield yields an entry of a trace.
func (r *Reader) yield(e *path.Entry, apply func(*path.Entry) error) error {
	err := apply(e)
	if e.Kind == path.End {
		delete(r.running, e.Trace)
		r.order = slices.DeleteFunc(r.order, func(n int) bool { return n == e.Trace })
	}
	return err
}

// next is the entry of a note.
func (r *Reader) next(n *Note) (e path.Entry, err error) {
	if n.Start != nil {
		e = n.entry(nil)
		r.begin(n, e.Path.Source)
		return e, nil
	}
	of := r.running[n.Trace]
	if of == nil {
		r.Lost = true
		return e, nil
	}
	if err := of.checker.Check(n); err != nil {
		return e, err
	}
	return n.entry(of.start), nil
}

func (r *Reader) begin(n *Note, source path.Source) {
	if r.begun == nil {
		r.begun = map[int]bool{}
	}
	if r.running == nil {
		r.running = map[int]*reading{}
	}
	r.run, r.begun[n.Trace] = n.Start.Run, true
	r.running[n.Trace] = &reading{start: n.Start, source: source, checker: NewChecker(n.Start)}
	r.order = append(r.order, n.Trace)
}

// bind notes, if a frame's comment is a note of a trace, that the trace captures on
// the frame's interface: its program wrote the note there, whatever the interface
// is called by now.
func (r *Reader) bind(trace int, f *frame.Frame, comment int) {
	of := r.running[trace]
	if of == nil || f.IsWatermark() || comment < f.Before || slices.Contains(of.captured, f.Interface) {
		return
	}
	if len(of.captured) > len(of.source.Also) {
		return // it says that it captures on no more
	}
	of.captured = append(of.captured, f.Interface)
	r.moved = append(r.moved, trace)
}

// on names the interfaces that a trace which runs captured on, as far as that is known
// by now: isOn is the same for all traces with one name.
func (r *Reader) on(trace int) string {
	of := r.running[trace]
	var others []int // that are not called so
	for _, number := range of.captured {
		if !r.isCalled(number, &of.source) {
			others = append(others, number)
		}
	}
	if len(others) > 0 && others[0] == of.captured[0] {
		return fmt.Sprint(of.captured) // what they are called says nothing
	}
	return fmt.Sprintf("%q %q %v", of.source.Interface, of.source.Also, others)
}

// isOn reports whether a trace that runs may have captured on an interface: on one that
// has notes of it, or on one with a name of its own. If the one with the notes has
// another name, names were changed and say nothing.
func (r *Reader) isOn(trace, number int) bool {
	of := r.running[trace]
	switch {
	case of == nil:
		return false
	case of.source.Interface == "" || slices.Contains(of.captured, number):
		return true
	case len(of.captured) > 0 && !r.isCalled(of.captured[0], &of.source):
		return false
	}
	return r.isCalled(number, &of.source)
}

// isCalled reports whether an interface may have the name of one that a trace
// captured on.
func (r *Reader) isCalled(number int, source *path.Source) bool {
	if r.Interfaces == nil {
		return true
	}
	all := r.Interfaces()
	if number >= len(all) || all[number].Name == "" {
		return true
	}
	return all[number].Name == source.Interface || slices.Contains(source.Also, all[number].Name)
}
