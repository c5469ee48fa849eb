package tracewire

import (
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"time"

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
// file that can be read, cut block or not. Options.Recording takes a Recording; Run
// uses it from one goroutine, and its methods are for before and after.
type Recording struct {
	file       *pcapng.Writer
	interfaces map[recorded]*interfaceCount
	traces     int
	frames     int
	broken     bool // Run has returned why the file can't be written
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

// recordError says that it was the recording that failed.
func recordError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("tracewire: recording: %w", err)
}

// Close writes the names of addresses, as far as they are known. It leaves it to
// the caller to close the file. That the file can't be written is not told again
// if Run has told it.
func (r *Recording) Close(names map[netip.Addr]string) error {
	written := make(map[netip.Addr]string, len(names))
	for addr, name := range names {
		// Whoever runs a name server may have written anything.
		if name = strings.ReplaceAll(strings.ToValidUTF8(name, "\ufffd"), "\x00", ""); name != "" && len(name) <= maxName {
			written[addr] = name
		}
	}
	if len(written) == 0 || r.broken {
		return nil
	}
	return recordError(r.file.WriteNames(written))
}

// on returns the interface that a frame is of.
func (r *Recording) on(name string, link frame.LinkType) (*interfaceCount, error) {
	key := recorded{name, link}
	if known := r.interfaces[key]; known != nil {
		return known, nil
	}
	if len(r.interfaces) == 0 {
		if err := r.file.ReserveNames(nameRoom); err != nil {
			return nil, err
		}
	}
	number, err := r.file.AddInterface(pcapng.Interface{Name: name, Link: link})
	if err != nil {
		return nil, err
	}
	r.interfaces[key] = &interfaceCount{number: number}
	return r.interfaces[key], nil
}

// log is the recording of one trace. A nil log records nothing.
type log struct {
	to      *Recording
	number  int // of the trace in the file
	device  string
	link    frame.LinkType
	pending []journal.Note // what happened since the last frame
}

// begin begins to record a trace.
func (r *Recording) begin(p *path.Path) *log {
	if r == nil {
		return nil
	}
	r.traces++
	l := &log{to: r, number: r.traces, device: p.Source.Interface, link: frame.Raw}
	if len(p.Source.MAC) > 0 {
		l.link = frame.Ethernet
	}
	return l
}

// note keeps what happened until the next frame is written.
func (l *log) note(n journal.Note) {
	if l != nil {
		n.Trace = l.number
		l.pending = append(l.pending, n)
	}
}

// observed keeps what a frame, or a watermark, was to the trace, by the events
// that it caused, and returns the comments that it is to be written with.
func (l *log) observed(f *frame.Frame, caused []Event) (comments []string) {
	if l == nil {
		return nil
	}
	if f.IsWatermark() {
		if len(caused) > 0 || f.Step != 0 {
			l.note(journal.Note{Passed: &journal.Passed{At: journal.At(f.Time), Step: f.Step}})
		}
		return l.take()
	}
	for i := range caused {
		if caused[i].Kind == path.Answer && !f.Read.IsZero() {
			l.note(journal.Note{Read: &journal.Read{At: journal.At(f.Read)}})
		}
	}
	for i := range caused {
		if sentence := journal.Sentence(&caused[i]); sentence != "" {
			comments = append(comments, sentence)
		}
	}
	return append(comments, l.take()...) // what people read comes first
}

// take returns the pending notes as comments.
func (l *log) take() (comments []string) {
	for i := range l.pending {
		comments = append(comments, l.pending[i].Comment())
	}
	l.pending = l.pending[:0]
	return comments
}

// notesAside is how many comments a block may have: of 200 bytes each, far fewer
// than the largest block has room for.
const notesAside = 1000

// write writes a frame, or what there is to say beside a watermark: that, too, is
// in the file before anybody is told.
func (l *log) write(f *frame.Frame, comments []string) error {
	if l == nil {
		return nil
	}
	comments, err := l.aside(comments, notesAside)
	switch {
	case err != nil:
	case f.IsWatermark():
		_, err = l.aside(comments, 0)
	default:
		err = l.frame(f, comments)
	}
	if err != nil {
		l.to.broken = true
	}
	return recordError(err)
}

// frame writes a frame.
func (l *log) frame(f *frame.Frame, comments []string) error {
	on, err := l.to.on(l.device, f.Link)
	if err != nil {
		return err
	}
	l.link = f.Link
	if on.Received++; on.Start.IsZero() {
		on.Start = f.Time
	}
	on.End = f.Time
	written := *f
	written.Interface, written.Comments = on.number, comments
	l.to.frames++
	return l.to.file.WriteFrame(&written)
}

// aside writes comments where there is no frame for them, on the counts so far,
// until no more than some are left. It returns these.
func (l *log) aside(comments []string, left int) ([]string, error) {
	for len(comments) > left {
		on, err := l.to.on(l.device, l.link)
		if err != nil {
			return nil, err
		}
		n := min(len(comments), notesAside)
		if err := l.to.file.WriteStatistics(on.number, on.Statistics, comments[:n]...); err != nil {
			return nil, err
		}
		comments = comments[n:]
	}
	return comments, nil
}

// end writes what no frame has followed, unless the file can't be written and
// that is known.
func (l *log) end(p *path.Path, at time.Time) error {
	if l == nil || l.to.broken {
		return nil
	}
	l.note(journal.Note{End: &journal.End{At: journal.At(at), Interrupted: p.Interrupted, Dropped: p.Counters.Dropped}})
	on, err := l.to.on(l.device, l.link)
	if err == nil {
		on.Dropped += uint64(p.Counters.Dropped)
		_, err = l.aside(l.take(), 0)
	}
	if err != nil {
		l.to.broken = true
	}
	return recordError(err)
}
