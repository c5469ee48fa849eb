package session

import (
	"container/heap"

	"github.com/tracewire/tracewire/matcher/path"
)

// order puts runs in the order in which they began: those that are over wait for
// those that began before them.
type order struct{ runs byStart }

func (o *order) begin(r *run) { heap.Push(&o.runs, r) }

// over notes that a run is over, and tells of the traces whose turn it is.
func (o *order) over(r *run, emit func(*path.Path)) {
	r.over = true
	for len(o.runs) > 0 && o.runs[0].over {
		next := heap.Pop(&o.runs).(*run)
		if next.isTrace() {
			emit(next.path)
		}
	}
}

// byStart is a heap: of runs that began at the same time, the one taken up
// first comes first.
type byStart []*run

func (h byStart) Len() int { return len(h) }
func (h byStart) Less(i, j int) bool {
	if h[i].path.Started.Equal(h[j].path.Started) {
		return h[i].number < h[j].number
	}
	return h[i].path.Started.Before(h[j].path.Started)
}
func (h byStart) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byStart) Push(x any)   { *h = append(*h, x.(*run)) }
func (h *byStart) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
