package tracewire

import (
	"maps"
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
)

// turns tell of the traces of a recording one after the other, by their numbers,
// though several ran at the same time. Of the one whose turn it is every event is
// told at once, of the others it is kept. As a Tracer's traces are numbered from
// 1 and some may never have begun, it can be that nothing is told before all is
// known.
type turns struct {
	emit func(Event)
	told int             // the highest number of those that were told
	kept map[int][]Event // by number, of those that were not
}

// event takes the next event of the trace with a number.
func (t *turns) event(number int, e Event) {
	if number != t.told+1 {
		if t.kept == nil {
			t.kept = map[int][]Event{}
		}
		t.kept[number] = append(t.kept[number], e)
		return
	}
	t.emit(e)
	for ended := e.Kind == path.Ended; ended; {
		t.told++
		events := t.kept[t.told+1]
		delete(t.kept, t.told+1)
		ended = t.tell(events)
	}
}

// tell tells of a trace whose events were kept, and reports whether they are all.
func (t *turns) tell(events []Event) (ended bool) {
	for _, e := range events {
		t.emit(e)
		ended = e.Kind == path.Ended
	}
	return ended
}

// hasBegun reports whether a trace had the number, or a later one.
func (t *turns) hasBegun(number int) bool { return number <= t.told || len(t.kept[number]) > 0 }

// isThrough reports whether nothing is kept.
func (t *turns) isThrough() bool { return len(t.kept) == 0 }

// end tells what is kept: there will be no more. The next trace may have number 1
// again.
func (t *turns) end() {
	for _, number := range slices.Sorted(maps.Keys(t.kept)) {
		t.tell(t.kept[number])
	}
	t.told, t.kept = 0, nil
}
