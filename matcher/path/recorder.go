package path

import (
	"errors"
	"slices"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of events, in the order in which they can come for a probe.
const (
	Started  EventKind = iota + 1 // the trace: Path is set
	ProbeOut                      // a probe left: Probe is set
	Answer                        // a reply came: Probe and Reply are set
	GaveUp                        // the wait for a reply is over, or the probe never left: Probe is set
	Decided                       // nothing more is expected of a hop: Hop is set; once for each, in order
	Ended                         // the trace: Path is set
)

// String returns the kind as the JSON lines output spells it.
func (k EventKind) String() string {
	return [...]string{"", "start", "probe", "reply", "timeout", "hop", "end"}[k]
}

// Event is a step of a trace. What it points to is its own: nothing that
// happens later changes it.
type Event struct {
	Kind  EventKind
	Path  *Path // as far as it is known then: all but Probes when the trace starts
	Probe Probe
	Reply *Reply // the one that came; Probe.Reply is the first
	Hop   Hop
}

// Recorder makes a Path of captured frames. Every decision it takes, it takes by
// the stamps of frames and watermarks, so that the same frames always make
// the same Path. It belongs to one goroutine at a time.
type Recorder struct {
	path  *Path
	table matcher.Table
	open  []int                 // probes that are outstanding, in the order of sending
	moved map[int]time.Duration // of these: what steps of the clock did to their deadline
	rtt   [256]time.Duration    // by TTL: the latest round trip of a reply in time
	heard [256]bool             // by TTL: whether rtt is set
	asked [256]int              // by TTL: probes with an outcome
	next  int                   // the hop to decide next
	told  [256]bool             // by hop: whether it was told
	emit  func(Event)
}

// NewRecorder returns a Recorder that fills p, of which all that is known
// before the first probe is set, and calls emit for each Event, from within
// its own methods.
func NewRecorder(p *Path, emit func(Event)) *Recorder {
	return &Recorder{path: p, next: int(p.Parameters.FirstTTL), moved: map[int]time.Duration{}, emit: emit}
}

// Path returns what is known so far. It belongs to the Recorder until Finish.
func (r *Recorder) Path() *Path { return r.path }

// Start begins the trace.
func (r *Recorder) Start(at time.Time) {
	r.path.Started = at
	begun := *r.path
	r.emit(Event{Kind: Started, Path: &begun})
}

// Send records a probe that is about to be handed to the system: its Called
// time and all before it in Probe are set, but for Number. It returns the number.
func (r *Recorder) Send(p Probe, key craft.Key) int {
	p.Number = r.table.Sent(key, p.TTL, p.Called)
	p.Sent, p.SentClock = p.Called, User
	r.path.Probes = append(r.path.Probes, p)
	r.path.Counters.Sent++
	r.open = append(r.open, p.Number)
	return p.Number
}

// Failed takes back that a probe was sent: the system refused it.
func (r *Recorder) Failed(probe int) {
	p := &r.path.Probes[probe]
	waiting := p.Status == Outstanding
	p.Sent, p.Status = time.Time{}, Unsent
	r.path.Counters.Sent--
	r.table.Withdraw(probe)
	if !waiting {
		return // it was given up already
	}
	r.close(probe)
	r.emit(Event{Kind: GaveUp, Probe: p.clone()})
	r.decide()
}

// Observe takes the next frame of the capture, or a watermark.
func (r *Recorder) Observe(f *frame.Frame) {
	if f.IsWatermark() && f.Step != 0 {
		r.step(f.Step)
	}
	r.expire(f.Time)
	if f.IsWatermark() {
		return
	}
	m, err := r.table.Match(f)
	switch {
	case err == nil && m.Copy:
		r.copied(m.Probe, f.Time)
	case err == nil:
		r.replied(m)
	case errors.Is(err, matcher.ErrForeign):
		r.path.Counters.Foreign++
	case errors.Is(err, matcher.ErrMalformed):
		r.path.Counters.Malformed++
	}
}

// Finish ends the trace: no further frame will be observed.
func (r *Recorder) Finish(at time.Time) {
	r.path.Ended = at
	for _, h := range r.path.Hops() {
		if !r.told[h.TTL] {
			r.tell(h)
		}
	}
	r.emit(Event{Kind: Ended, Path: r.path})
}

// step notes that the clock which stamps the frames was set.
func (r *Recorder) step(d time.Duration) {
	r.path.Clock.Stepped = true
	r.table.Shift(d)
	for _, n := range r.open {
		r.moved[n] += d
	}
}

// copied notes the kernel's stamp of a probe.
func (r *Recorder) copied(probe int, at time.Time) {
	p := &r.path.Probes[probe]
	if p.Reply != nil {
		return // its times are told already
	}
	delete(r.moved, probe)
	p.Sent, p.SentClock = at, Kernel
	r.emit(Event{Kind: ProbeOut, Probe: p.clone()})
}

// replied notes a reply.
func (r *Recorder) replied(m matcher.Match) {
	p := &r.path.Probes[m.Probe]
	reply := Reply{Reply: m.Reply}
	took := m.Reply.Received.Sub(p.Sent) - r.moved[m.Probe]
	if m.Reply.MatchedBy != matcher.Ambiguous {
		reply.RTT, reply.HasRTT = took, true
	}
	if p.Reply != nil {
		reply.Late = took > r.wait(p.TTL)
		r.repeated(p, reply)
		return
	}
	if reply.Late = p.Status == Timeout; reply.Late {
		p.Status = Late
		r.path.Counters.Late++
	} else {
		p.Status = Replied
		r.path.Counters.Received++
		if reply.HasRTT {
			r.rtt[p.TTL], r.heard[p.TTL] = reply.RTT, true
		}
		r.close(m.Probe)
	}
	p.Reply = &reply
	r.path.place()
	told := p.clone()
	r.emit(Event{Kind: Answer, Probe: told, Reply: told.Reply})
	r.decide()
}

// repeated notes a further reply to a probe. It tells nothing about others.
func (r *Recorder) repeated(p *Probe, reply Reply) {
	r.path.Counters.Duplicate++
	if len(p.Extra) == MaxExtra {
		return
	}
	p.Extra = append(p.Extra, reply)
	r.path.place()
	told := p.clone()
	r.emit(Event{Kind: Answer, Probe: told, Reply: &told.Extra[len(told.Extra)-1]})
}

// copyGrace is how much longer a probe is waited for whose captured copy was not
// seen yet: it may have left later than the program thinks.
const copyGrace = 100 * time.Millisecond

// expire gives up the probes that should have been answered before a
// watermark.
func (r *Recorder) expire(watermark time.Time) {
	for i := 0; i < len(r.open); {
		n := r.open[i]
		p := &r.path.Probes[n]
		deadline := p.Sent.Add(r.moved[n] + r.wait(p.TTL))
		if p.SentClock == User {
			deadline = deadline.Add(copyGrace)
		}
		if !watermark.After(deadline) {
			i++
			continue
		}
		p.Status = Timeout
		r.table.Expire(n)
		r.close(n)
		r.emit(Event{Kind: GaveUp, Probe: p.clone()})
		r.decide()
	}
}

// wait is how long a reply to a probe with this TTL is waited for.
func (r *Recorder) wait(ttl uint8) time.Duration {
	w := r.path.Parameters.Wait
	if w.Here > 0 && r.heard[ttl] {
		return w.bounded(w.Here, r.rtt[ttl])
	}
	for t := int(ttl) + 1; w.Near > 0 && t <= 255; t++ {
		if r.heard[t] {
			return w.bounded(w.Near, r.rtt[t])
		}
	}
	return w.Max
}

func (w Wait) bounded(factor float64, rtt time.Duration) time.Duration {
	return min(max(time.Duration(factor*float64(rtt)), MinWait), w.Max)
}

// close notes that a probe is no longer outstanding.
func (r *Recorder) close(probe int) {
	i := slices.Index(r.open, probe)
	if i < 0 {
		return
	}
	r.open = slices.Delete(r.open, i, i+1)
	r.asked[r.path.Probes[probe].TTL]++
}

// decide tells the hops of which nothing more is expected, each once and in
// order.
func (r *Recorder) decide() {
	for r.next <= 255 && r.asked[r.next] >= r.path.Parameters.Queries {
		end := int(r.path.End())
		if end == 0 && !r.passed(r.next) || end != 0 && (r.next > end || r.next == end && r.doubtful()) {
			return
		}
		r.tell(r.path.Hop(uint8(r.next)))
		r.next++
	}
}

func (r *Recorder) tell(h Hop) {
	r.told[h.TTL] = true
	r.emit(Event{Kind: Decided, Hop: h.clone()})
}

// passed reports whether it is known what became of a probe with a higher TTL.
// Until then a hop may still turn out to be one that lets nothing pass.
func (r *Recorder) passed(ttl int) bool {
	for t := ttl + 1; t <= int(r.path.Parameters.MaxTTL); t++ {
		if r.asked[t] > 0 {
			return true
		}
	}
	return ttl >= int(r.path.Parameters.MaxTTL)
}

// doubtful reports whether the target gave answers that may be to other probes.
func (r *Recorder) doubtful() bool {
	return slices.ContainsFunc(r.path.Probes, func(p Probe) bool {
		return p.Reply != nil && p.Reply.MatchedBy == matcher.Ambiguous
	})
}

func (p *Probe) clone() Probe {
	c := *p
	if p.Reply != nil {
		first := *p.Reply
		c.Reply = &first
	}
	c.Extra = slices.Clone(p.Extra)
	return c
}

func (h *Hop) clone() Hop {
	c := Hop{TTL: h.TTL, Probes: make([]Probe, len(h.Probes))}
	for i := range h.Probes {
		c.Probes[i] = h.Probes[i].clone()
	}
	return c
}
