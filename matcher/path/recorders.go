package path

import (
	"container/heap"
	"errors"
	"slices"
	"time"

	"github.com/tracewire/tracewire/matcher"
)

// Recorders are the Recorders of all traces on one capture, on the host that
// captures. A frame is read once, and concerns only the traces that it may be about and
// those of which a deadline is over: its cost does not depend on how many there are.
// The zero Recorders have none. They belong to one goroutine at a time.
type Recorders struct {
	// HeadersOnly says that the traces are made for somebody who may not see
	// the traffic of others. Apply cuts a frame that is of no trace behind its
	// headers (see matcher.Headers): it shortens Data, leaves Length, and sets the
	// entry's Cut. An echo reply with a payload is of a trace only if it returns a
	// cookie.
	HeadersOnly bool

	table   matcher.Table
	message matcher.Message
	members map[int]*member
	runs    map[*matcher.Run]*member
	due     deadlines
	shared  census
	caused  []Caused
	touched []*member // that Caused has, in the same order
}

// Caused is what an entry was to one trace.
type Caused struct {
	Trace  int
	Events []Event // those that it caused, in order
	Held   bool    // it is a frame that is held: it may cause events later
}

// census counts frames that were the same to all traces.
type census struct{ foreign, malformed int }

// member is a trace.
type member struct {
	*Recorder
	number  int
	events  []Event
	touched bool
	joined  census // what shared was when it began, or when it was last counted
	at      time.Time
	place   int // in deadlines
	err     error
}

// Apply applies an entry, and returns what it caused. The entry that starts a trace adds
// its Recorder, the one that ends it removes it; entries of traces that don't run are
// ignored, and so is the start of one that runs. The result, and the events in it, are
// valid until the next call; what an Event points to is for good.
func (a *Recorders) Apply(e *Entry) []Caused {
	a.begin()
	switch {
	case e.Kind == Frame:
		a.frame(e)
	case e.Kind == Start:
		a.start(e)
	case e.Trace == 0:
		a.all(e)
	default:
		if m := a.members[e.Trace]; m != nil {
			a.one(m, e)
		}
	}
	return a.finish()
}

// Path returns what is known of a trace that runs, or nil. It belongs to the Recorder,
// until the trace has ended.
func (a *Recorders) Path(trace int) *Path {
	m := a.members[trace]
	if m == nil {
		return nil
	}
	a.settle(m)
	return m.path
}

// settle counts with a trace what was the same to all.
func (a *Recorders) settle(m *member) {
	m.path.Counters.Foreign += a.shared.foreign - m.joined.foreign
	m.path.Counters.Malformed += a.shared.malformed - m.joined.malformed
	m.joined = a.shared
}

// IsOurs reports whether a probe, or a reply to one, was in the frame that was applied
// last.
func (a *Recorders) IsOurs() bool {
	return slices.ContainsFunc(a.touched, func(m *member) bool { return m.err == nil || m.holds })
}

// Due returns the earliest time after which a watermark may change something, or the
// zero Time if none would.
func (a *Recorders) Due() time.Time {
	if len(a.due) == 0 || !a.due[0].at.Before(never()) {
		return time.Time{}
	}
	return a.due[0].at
}

// Move moves a trace, as far as it has got, to other Recorders. What Apply returned
// is no longer valid.
func (a *Recorders) Move(trace int, to *Recorders) {
	a.begin()
	m := a.members[trace]
	a.remove(m)
	to.add(m)
}

// begin begins an entry.
func (a *Recorders) begin() {
	for i, m := range a.touched {
		m.touched, m.events, m.holds, m.err = false, m.events[:0], false, nil
		a.caused[i] = Caused{}
	}
	a.touched, a.caused = a.touched[:0], a.caused[:0]
}

// touch notes that the entry concerns a trace.
func (a *Recorders) touch(m *member) {
	if !m.touched {
		m.touched, m.err = true, matcher.ErrUnrelated
		a.touched = append(a.touched, m)
	}
}

// finish ends an entry.
func (a *Recorders) finish() []Caused {
	for _, m := range a.touched {
		if m.place >= 0 {
			if at := m.nextDeadline(); at != m.at { // most frames change none
				m.at = at
				heap.Fix(&a.due, m.place)
			}
		}
		a.caused = append(a.caused, Caused{m.number, m.events, m.holds})
	}
	return a.caused
}

func (a *Recorders) start(e *Entry) {
	if a.members[e.Trace] != nil {
		return
	}
	m := &member{number: e.Trace, place: -1}
	m.Recorder = NewRecorder(e.Path, func(e Event) { m.events = append(m.events, e) })
	a.add(m)
	a.touch(m)
	m.Apply(e)
}

// one applies an entry of one trace.
func (a *Recorders) one(m *member, e *Entry) {
	a.touch(m)
	if e.Kind == End {
		a.remove(m)
	}
	m.Apply(e)
}

// all applies an entry that concerns every trace.
func (a *Recorders) all(e *Entry) {
	if e.Kind == Watermark && e.Step == 0 {
		a.pass(e.At)
		return
	}
	for _, m := range a.inOrder() {
		a.touch(m)
		m.Apply(e)
	}
}

// inOrder are all traces, by number.
func (a *Recorders) inOrder() []*member {
	all := make([]*member, 0, len(a.members))
	for _, m := range a.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(x, y *member) int { return x.number - y.number })
	return all
}

func (a *Recorders) add(m *member) {
	if a.members == nil {
		a.members, a.runs = map[int]*member{}, map[*matcher.Run]*member{}
	}
	a.members[m.number], a.runs[&m.run] = m, m
	a.table.Add(&m.run, m.path.Target.Addr)
	m.joined = a.shared
	heap.Push(&a.due, m)
}

func (a *Recorders) remove(m *member) {
	delete(a.members, m.number)
	delete(a.runs, &m.run)
	a.table.Remove(&m.run)
	a.settle(m)
	heap.Remove(&a.due, m.place)
}

// pass says that nothing stamped before a time will follow.
func (a *Recorders) pass(watermark time.Time) {
	for len(a.due) > 0 && watermark.After(a.due[0].at) {
		m := a.due[0]
		a.touch(m)
		m.pass(watermark, 0)
		if m.at = m.nextDeadline(); watermark.After(m.at) {
			m.at = never() // a reply that was held has shortened a wait; the next entry looks again
		}
		heap.Fix(&a.due, 0)
	}
}

// frame applies a frame.
func (a *Recorders) frame(e *Entry) {
	f := e.Frame
	a.pass(f.Time)
	unread := a.message.ReadOwn(f)
	if e.Cut != nil {
		a.cut(unread)
		for _, number := range e.Cut.Failed {
			if m := a.members[number]; m != nil {
				a.touch(m)
				m.failCheck()
			}
		}
		return
	}
	headers := f.Data
	if a.HeadersOnly {
		headers = matcher.Headers(f)
	}
	if len(headers) == len(f.Data) {
		a.match(unread)
		return
	}
	failed := a.failures()
	if unread != nil || a.table.VerifiesEcho(&a.message) {
		if a.offer(unread) {
			return
		}
	}
	f.Data = headers
	e.Cut = &Cut{Failed: failed()}
	a.cut(a.message.ReadOwn(f))
}

// match finds whose the message is, and counts it where it is nobody's.
func (a *Recorders) match(unread error) {
	if !a.offer(unread) {
		a.count(unread)
	}
}

// offer shows the message to the traces that it may be about, and reports whether it is
// one's, or held for one. What is a reply to one trace's probe is foreign to none of the
// others, and if it quotes the probe, it is no reply of theirs. An answer that quotes
// nothing may be: traces to one target can have the same ports.
func (a *Recorders) offer(unread error) (ours bool) {
	if unread != nil {
		return false
	}
	concerned := a.table.Concerned(&a.message)
	known := false // whose it is
	for _, run := range concerned {
		m := a.runs[run]
		a.touch(m)
		if known {
			continue
		}
		var found matcher.Match
		found, m.err = m.match(&a.message)
		ours = ours || m.err == nil
		known = m.err == nil && found.Reply != nil && found.Reply.IsQuoted() && found.Reply.MatchedBy <= matcher.ByOrder
	}
	if ours {
		return true
	}
	for _, run := range concerned {
		if m := a.runs[run]; errors.Is(m.err, matcher.ErrForeign) {
			ours = m.Hold(&a.message, true) || ours
		}
	}
	return ours
}

// cut counts a frame that was cut because it is of no trace. The count of foreign and of
// malformed frames follows from what is left of it.
func (a *Recorders) cut(unread error) {
	for _, m := range a.touched {
		m.err = matcher.ErrUnrelated
	}
	if unread == nil {
		for _, run := range a.table.Concerned(&a.message) {
			m := a.runs[run]
			a.touch(m)
			m.err = run.Foreign(&a.message)
		}
	}
	a.count(unread)
}

// count counts a message that is nobody's. An answer counts with those whose probes can
// have drawn it, all else with every trace.
func (a *Recorders) count(unread error) {
	m := &a.message
	switch {
	case errors.Is(unread, matcher.ErrMalformed):
		a.shared.malformed++
	case errors.Is(unread, matcher.ErrForeign):
		a.shared.foreign++
	case unread != nil:
	case m.IsReply && m.Reply.IsQuoted():
		a.shared.foreign++
		for _, one := range a.touched {
			one.run.Stray(m)
		}
	default:
		for _, one := range a.touched {
			if errors.Is(one.err, matcher.ErrForeign) {
				one.path.Counters.Foreign++
			}
		}
	}
}

// failures notes how many checks have failed, and returns what says by which traces'
// since.
func (a *Recorders) failures() (since func() []int) {
	before := map[*member]int{}
	if a.message.IsReply {
		for _, run := range a.table.Concerned(&a.message) {
			before[a.runs[run]] = run.Failed()
		}
	}
	return func() (numbers []int) {
		for m, n := range before {
			if m.run.Failed() > n {
				numbers = append(numbers, m.number)
			}
		}
		slices.Sort(numbers)
		return numbers
	}
}

// deadlines are the traces by when the next deadline of each is over: a heap.
type deadlines []*member

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(m any) {
	m.(*member).place = len(*d)
	*d = append(*d, m.(*member))
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	last.place = -1
	*d = (*d)[:len(*d)-1]
	return last
}
