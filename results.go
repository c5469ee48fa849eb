package tracewire

import (
	"io"

	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/engine"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// The results of a trace, and the differences between two. Package [path] describes
// them.
type (
	Path        = path.Path
	Event       = path.Event
	Change      = path.Change
	Changes     = path.Changes
	DiffOptions = path.DiffOptions
)

// Diff names what changed between two traces of a path, from a to b; nil
// DiffOptions are the defaults. It prints well with %v:
//
//	if d := tracewire.Diff(want, got, nil).Certain(); len(d) > 0 {
//		t.Errorf("the path has changed:\n%v", d)
//	}
func Diff(a, b *Path, o *DiffOptions) Changes { return path.Diff(a, b, o) }

// Size is the MTU at a hop.
type Size = plan.Size

// MTUs are the MTUs along a path that was traced to find them ([Options.MTU]): at
// the first hop that tells, at each hop where it gets smaller, and last that of
// the path. It is nil for any other path, and where no hop has told.
func MTUs(p *Path) []Size { return engine.MTUs(p) }

// Recording writes traces to a pcapng file as they run. [Replay] makes the same events
// and Paths of it. [Options.Recording] takes a Recording, for one [Tracer], or one [Run]
// after the other; its methods are for before and after.
type Recording = journal.Log

// ErrRecording: a recording can't be written.
var ErrRecording = journal.ErrLog

// NewRecording begins a recording in an empty file. The program is what wrote
// it, with its version.
func NewRecording(w io.Writer, program string) (*Recording, error) { return journal.NewLog(w, program) }
