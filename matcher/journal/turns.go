package journal

import (
	"maps"
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
)

// Turns emit the events of the traces of a recording one trace after the other, by
// their numbers, though several ran at the same time. Those of the trace whose turn it is
// are emitted at once, those of the others are kept. As traces are numbered from 1 and
// some may never have begun, it can be that nothing is emitted before all is known.
type Turns struct {
	Emit func(path.Event)
	told int                  // the highest number of those that were told
	kept map[int][]path.Event // by number, of those that were not
}

// Event takes the next event of the trace with a number.
func (t *Turns) Event(number int, e path.Event) {
	if number != t.told+1 {
		if t.kept == nil {
			t.kept = map[int][]path.Event{}
		}
		t.kept[number] = append(t.kept[number], e)
		return
	}
	t.Emit(e)
	for ended := e.Kind == path.Ended; ended; {
		t.told++
		events := t.kept[t.told+1]
		delete(t.kept, t.told+1)
		ended = t.tell(events)
	}
}

// tell tells of a trace whose events were kept, and reports whether they are all.
func (t *Turns) tell(events []path.Event) (ended bool) {
	for _, e := range events {
		t.Emit(e)
		ended = e.Kind == path.Ended
	}
	return ended
}

// HasBegun reports whether a trace had the number, or a later one.
func (t *Turns) HasBegun(number int) bool { return number <= t.told || len(t.kept[number]) > 0 }

// IsThrough reports whether nothing is kept.
func (t *Turns) IsThrough() bool { return len(t.kept) == 0 }

// End tells what is kept: there will be no more. The next trace may have number 1
// again.
func (t *Turns) End() {
	for _, number := range slices.Sorted(maps.Keys(t.kept)) {
		t.tell(t.kept[number])
	}
	t.told, t.kept = 0, nil
}
