package tracewire

import "github.com/tracewire/tracewire/matcher/path"

// The differences between two traces. Package path describes them.
type (
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
