package tracewire

import (
	"io"

	"github.com/tracewire/tracewire/matcher/journal"
)

// Recording writes traces to a pcapng file as they run. Replay makes the same events
// and Paths of it. Options.Recording takes a Recording, for one Tracer, or one Run after
// the other; its methods are for before and after.
type Recording = journal.Log

// ErrRecording: a recording can't be written.
var ErrRecording = journal.ErrLog

// NewRecording begins a recording in an empty file. The program is what wrote
// it, with its version.
func NewRecording(w io.Writer, program string) (*Recording, error) { return journal.NewLog(w, program) }
