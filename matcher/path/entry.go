package path

import (
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
)

// EntryKind says what an Entry is.
type EntryKind uint8

// The kinds of entries.
const (
	Start     EntryKind = iota + 1 // of a trace: Path, Run and At are set
	Sent                           // a probe is about to be handed to the system: Probe and Key are set
	Failed                         // the system refused to send a probe: Number is set
	Frame                          // a frame was captured: Frame is set
	Watermark                      // nothing stamped before At will follow; Step may be set
	Missed                         // the capture missed frames, or still does: Gap is set
	End                            // of a trace: At, Interrupted and Dropped are set
)

// Entry is one input of the engine. Everything that can change a result is an entry,
// so the same entries always give the same events and the same Paths: a live trace
// makes its entries, applies them and writes them to a recording, and a replay reads
// the same entries and applies them.
type Entry struct {
	Kind EntryKind

	// Trace is the number of the trace that the entry is of, from 1. It is 0 for what
	// concerns every trace on the capture: a Frame, and a Watermark or Missed as the
	// capture yields them.
	Trace int

	At time.Time

	Path *Path  // of Start: all that is known before the first probe; it belongs to the Recorder from then on
	Run  uint64 // of Start: the same in traces whose numbers are of one count

	// Probe has what is known of a probe before it is sent: all fields before Called,
	// and Called; but not Number, which Apply sets.
	Probe  Probe
	Key    craft.Key
	Number int // of Failed: the probe's

	// Step is by how much the clock that stamps the frames was set since the frame
	// before.
	Step time.Duration

	Gap frame.Gap

	Frame *frame.Frame
	Cut   *Cut // of a Frame: it was cut; nil if it was not

	Interrupted bool // of End: the trace was ended before it had concluded
	Missing     bool // of End: the recording lacks it
	Dropped     int  // of End: frames that the capture lost
}

// Cut says that a frame was cut behind its headers, since it is of no trace, and whoever
// traces may not see the traffic of others: what is left may look like a reply, and
// is none. Failed are the numbers of the traces by whose checks it had failed.
type Cut struct{ Failed []int }

// Apply applies an entry of the Recorder's trace. It is the only way into the Recorder
// of a trace that is sent; of one that is found in a capture, see Found. A Frame is for
// Recorders to apply.
func (r *Recorder) Apply(e *Entry) {
	switch e.Kind {
	case Start:
		r.start(e.At)
	case Sent:
		e.Probe.Number = r.sent(e.Probe, &e.Key)
	case Failed:
		r.failed(e.Number)
	case Watermark:
		r.pass(e.At, e.Step)
	case Missed:
		r.missed(e.Gap)
	case End:
		r.path.Interrupted, r.path.Cut, r.path.Counters.Dropped = e.Interrupted, e.Missing, e.Dropped
		r.finish(e.At)
	}
}
