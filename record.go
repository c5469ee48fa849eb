package tracewire

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// Recording writes traces to a pcapng file as they run: every frame that was
// captured, with its direction, and comments that say what it is to the trace.
// Replay makes the same events and Paths of it.
//
// Every block is written at once, so that a program which is killed leaves a
// file that can be read, cut block or not. If a block can't be written, the
// recording ends there, and the traces go on without it: Close returns why.
// Options.Recording takes a Recording, for one Tracer, or one Run after the other;
// its methods are for before and after.
type Recording struct {
	mu         sync.Mutex
	file       *pcapng.Writer
	interfaces map[recorded]*interfaceCount
	frames     int
	failed     error // why nothing more is written
}

// recorded is an interface of a Recording.
type recorded struct {
	name string
	link frame.LinkType
}

// interfaceCount is what the statistics of an interface say.
type interfaceCount struct {
	number int
	pcapng.Statistics
}

// NewRecording begins a recording in an empty file. The program is what wrote
// it, with its version.
func NewRecording(w io.Writer, program string) (*Recording, error) {
	file, err := pcapng.NewWriter(w, pcapng.Section{OS: runtime.GOOS, Hardware: runtime.GOARCH, Application: program})
	if err != nil {
		return nil, recordError(err)
	}
	return &Recording{file: file, interfaces: map[recorded]*interfaceCount{}}, nil
}

// nameRoom is how many bytes of a recording are for names: those of a hundred
// routers.
const nameRoom = 4096

// maxName is how long a name can be (RFC 1035, section 2.3.4).
const maxName = 255

// ErrRecording: a recording can't be written.
var ErrRecording = errors.New("tracewire: recording")

// recordError says that it was the recording that failed.
func recordError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRecording, err)
}

// Close writes the names of addresses, as far as they are known. It leaves it to
// the caller to close the file. If something could not be written, now or before,
// the error says why and wraps ErrRecording.
func (r *Recording) Close(names map[netip.Addr]string) error {
	written := make(map[netip.Addr]string, len(names))
	for addr, name := range names {
		// Whoever runs a name server may have written anything.
		if name = strings.ReplaceAll(strings.ToValidUTF8(name, "\ufffd"), "\x00", ""); name != "" && len(name) <= maxName {
			written[addr] = name
		}
	}
	if r.failed == nil && len(written) > 0 {
		r.failed = recordError(r.file.WriteNames(written))
	}
	return r.failed
}

// on returns the interface that a frame is of.
func (r *Recording) on(name string, link frame.LinkType) (*interfaceCount, error) {
	key := recorded{name, link}
	if known := r.interfaces[key]; known != nil {
		return known, nil
	}
	number, err := r.file.AddInterface(pcapng.Interface{Name: name, Link: link})
	if err == nil && len(r.interfaces) == 0 {
		// Behind the interface: what copies pcapng files, editcap and mergecap among
		// others, takes the link type from a description that comes first.
		err = r.file.ReserveNames(nameRoom)
	}
	if err != nil {
		return nil, err
	}
	r.interfaces[key] = &interfaceCount{number: number}
	return r.interfaces[key], nil
}

// track is what a Recording has of one tap. Of a nil Recording it has nothing.
type track struct {
	to      *Recording
	devices []string // by the number that frames have of them; what is no frame's is of the first
	link    frame.LinkType
	dropped int // frames that the capture lost, as far as that is in the file
}

// newTrack makes the track of what is captured where a trace comes from.
func newTrack(to *Recording, s *path.Source) *track {
	t := &track{to: to, devices: append([]string{s.Interface}, s.Also...), link: frame.Raw}
	if len(s.MAC) > 0 {
		t.link = frame.Ethernet
	}
	return t
}

// lock keeps others from writing: what a frame is to the traces is known, and
// written, before the next frame's turn comes.
func (t *track) lock() {
	if t.to != nil {
		t.to.mu.Lock()
	}
}

func (t *track) unlock() {
	if t.to != nil {
		t.to.mu.Unlock()
	}
}

// number is the number in its capture of a frame that is one of so many.
func (t *track) number(captured int) int {
	if t.to != nil {
		return t.to.frames + 1
	}
	return captured
}

// meaning is what a frame, or a watermark, was to a trace: what it caused, and
// what had happened since the one before.
type meaning struct {
	trace  int // its number
	caused []Event
	notes  []journal.Note
}

func (m *meaning) isNone() bool { return len(m.caused)+len(m.notes) == 0 }

// notes are what has happened in a trace since the latest frame, for a recording.
type notes struct {
	run     uint64 // its Tracer's
	trace   int    // its number
	record  bool   // else nothing is kept
	several bool   // it captures on several interfaces
	on      []int  // those of them that frames have been recorded on
	pending []journal.Note
}

// add keeps what happened until the next frame is written.
func (k *notes) add(n journal.Note) {
	if k.record {
		n.Trace = k.trace
		k.pending = append(k.pending, n)
	}
}

func (k *notes) take() (taken []journal.Note) {
	taken, k.pending = k.pending, nil
	return taken
}

// meaning is what a frame, or a watermark, is to the trace, by the events that it
// caused, and by whether it is held: it may cause one later.
func (k *notes) meaning(f *frame.Frame, caused []Event, held bool) meaning {
	if !k.record {
		return meaning{}
	}
	if f.Gap != nil {
		k.add(journal.Note{Missed: journal.MissedOf(f.Gap)})
	}
	if f.IsWatermark() {
		if len(caused) > 0 || f.Step != 0 {
			k.add(journal.Note{Passed: &journal.Passed{At: journal.At(f.Time), Step: f.Step}})
		}
		return meaning{trace: k.trace, notes: k.take()}
	}
	if !f.Read.IsZero() && (held || k.isFirstOn(f.Interface) || slices.ContainsFunc(caused, isAnswer)) {
		k.add(journal.Note{Read: &journal.Read{At: journal.At(f.Read)}})
	}
	return meaning{trace: k.trace, caused: caused, notes: k.take()}
}

// isFirstOn reports whether a frame is the first that is recorded on one of several
// interfaces. By its note the replay knows the interface for one of the trace's,
// whatever that is called by then.
func (k *notes) isFirstOn(number int) bool {
	if !k.several || slices.Contains(k.on, number) {
		return false
	}
	k.on = append(k.on, number)
	return true
}

func isAnswer(e Event) bool { return e.Kind == path.Answer }

// comments are what a frame is written with: what people read comes first.
func comments(meanings []meaning) (all []string) {
	for _, m := range meanings {
		for i := range m.caused {
			if sentence := journal.Sentence(m.trace, &m.caused[i]); sentence != "" {
				all = append(all, sentence)
			}
		}
	}
	for _, m := range meanings {
		for i := range m.notes {
			all = append(all, m.notes[i].Comment())
		}
	}
	return all
}

// notesAside is how many comments a block may have: of 200 bytes each, far fewer
// than the largest block has room for.
const notesAside = 1000

// write writes a frame, or what there is to say beside a watermark: that, too, is
// in the file before anybody is told. Frames are counted even if the file can't be
// written any more.
func (t *track) write(f *frame.Frame, meanings []meaning) {
	if t.to == nil {
		return
	}
	if !f.IsWatermark() {
		t.to.frames++
	}
	if t.to.failed != nil {
		return
	}
	left, err := t.aside(comments(meanings), notesAside)
	switch {
	case err != nil:
	case f.IsWatermark():
		_, err = t.aside(left, 0)
	default:
		err = t.frame(f, left)
	}
	t.to.failed = recordError(err)
}

// frame writes a frame.
func (t *track) frame(f *frame.Frame, comments []string) error {
	device := t.devices[0]
	if f.Interface < len(t.devices) {
		device = t.devices[f.Interface]
	}
	on, err := t.to.on(device, f.Link)
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
	return t.to.file.WriteFrame(&written)
}

// aside writes comments where there is no frame for them, on the counts so far,
// until no more than some are left. It returns these.
func (t *track) aside(comments []string, left int) ([]string, error) {
	for len(comments) > left {
		on, err := t.to.on(t.devices[0], t.link)
		if err != nil {
			return nil, err
		}
		n := min(len(comments), notesAside)
		if err := t.to.file.WriteStatistics(on.number, on.Statistics, comments[:n]...); err != nil {
			return nil, err
		}
		comments = comments[n:]
	}
	return comments, nil
}

// end writes what no frame has followed of a trace, and how many frames the
// capture has lost.
func (t *track) end(last []journal.Note, dropped int) {
	if t.to == nil || t.to.failed != nil {
		return
	}
	on, err := t.to.on(t.devices[0], t.link)
	if err == nil {
		on.Dropped += uint64(max(0, dropped-t.dropped))
		t.dropped = max(t.dropped, dropped)
		_, err = t.aside(comments([]meaning{{notes: last}}), 0)
	}
	t.to.failed = recordError(err)
}
