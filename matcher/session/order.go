package session

import "container/heap"

// order puts runs in the order in which they began: traces that are over wait
// for the runs that began before them and may still become one.
type order struct{ runs byStart }

// begin takes a run up.
func (o *order) begin(r *run) { heap.Push(&o.runs, r) }

// drop takes a run out that is no trace: nobody waits for it.
func (o *order) drop(r *run) {
	if r.place >= 0 {
		heap.Remove(&o.runs, r.place)
	}
}

// isNext reports whether it is the turn of a run.
func (o *order) isNext(r *run) bool { return r.place == 0 }

// next takes out the trace whose turn it is, if there is one.
func (o *order) next() *run {
	if len(o.runs) == 0 || !o.runs[0].over {
		return nil
	}
	return heap.Pop(&o.runs).(*run)
}

// byStart is a heap (container/heap) of runs, the earliest on top: of those
// that began at the same time, the one taken up first.
type byStart []*run

func (h byStart) Len() int { return len(h) }
func (h byStart) Less(i, j int) bool {
	if h[i].first.at != h[j].first.at {
		return h[i].first.at < h[j].first.at
	}
	return h[i].number < h[j].number
}
func (h byStart) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *byStart) Push(x any) {
	r := x.(*run)
	r.place = len(*h)
	*h = append(*h, r)
}
func (h *byStart) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	r.place = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// idle is a list of the open runs, by when something came of them last.
type idle struct {
	first, last *run
	n           int
}

// longest is the run of which nothing came for longest, or nil.
func (l *idle) longest() *run { return l.first }

// add adds a run, of which something came now.
func (l *idle) add(r *run) {
	if r.before = l.last; l.last != nil {
		l.last.after = r
	} else {
		l.first = r
	}
	l.last = r
	l.n++
}

// remove takes a run out.
func (l *idle) remove(r *run) {
	if r.before != nil {
		r.before.after = r.after
	} else {
		l.first = r.after
	}
	if r.after != nil {
		r.after.before = r.before
	} else {
		l.last = r.before
	}
	r.before, r.after = nil, nil
	l.n--
}

// touch notes that something came of a run.
func (l *idle) touch(r *run) {
	if l.last != r {
		l.remove(r)
		l.add(r)
	}
}
