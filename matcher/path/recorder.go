package path

import (
	"time"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// Recorder makes a Path of the entries of one trace. Every decision it takes, it
// takes by the stamps of frames and watermarks, so the same entries always make
// the same Path. It belongs to one goroutine at a time.
type Recorder struct {
	path   *Path
	run    matcher.Run
	places places
	room   room
	due    int       // if nobody is told of events, the first probe that may be outstanding
	steps  *steps    // nil until the clock was set
	pace   *progress // nil if nobody is told of events
	holds  bool      // the latest frame is held
	emit   func(Event)
}

// NewRecorder returns a Recorder that fills p, of which all that is known
// before the first probe is set, and calls emit for each Event, from within
// its own methods. With a nil emit the factors of p's Wait count for nothing.
func NewRecorder(p *Path, emit func(Event)) *Recorder {
	r := &Recorder{path: p, places: newPlaces(p), emit: func(Event) {}}
	if emit != nil {
		r.emit, r.pace = emit, &progress{next: int(p.Parameters.FirstTTL)}
	}
	if p.Clock.Captured {
		r.run.Captured()
	}
	return r
}

// Path returns what is known so far. It belongs to the Recorder until the trace has
// ended, and is valid until Release.
func (r *Recorder) Path() *Path { return r.path }

// start begins the trace.
func (r *Recorder) start(at time.Time) {
	r.path.Started = at
	if r.pace == nil {
		return
	}
	begun := *r.path
	r.emit(Event{Kind: Started, Path: &begun})
}

// firstProbes is how many probes there is room for once one is sent: those to most
// destinations.
const firstProbes = 48

// sent records a probe that is about to be handed to the system. It returns the
// number.
func (r *Recorder) sent(p Probe, key *craft.Key) int {
	p.Number = r.run.Sent(key, p.TTL, p.Called)
	p.Sent, p.SentClock = p.Called, User
	if r.path.Probes == nil {
		r.path.Probes = make([]Probe, 0, firstProbes)
	}
	r.path.Probes = append(r.path.Probes, p)
	r.path.Counters.Sent++
	r.opened(p.Number)
	return p.Number
}

// opened notes that a probe is outstanding.
func (r *Recorder) opened(probe int) {
	r.steps.begin(probe)
	if r.pace != nil {
		p := &r.path.Probes[probe]
		r.pace.open.add(p, r.deadline(p))
	}
}

// failed takes back that a probe was sent: the system refused it.
func (r *Recorder) failed(probe int) {
	p := &r.path.Probes[probe]
	waiting := p.Status == Outstanding
	r.steps.settle(p)
	p.Sent, p.Status = time.Time{}, Unsent
	r.path.Counters.Sent--
	r.run.Withdraw(probe)
	if waiting { // else it was given up already
		r.gaveUp(p)
	}
}

// gaveUp tells that no reply to a probe is waited for any longer.
func (r *Recorder) gaveUp(p *Probe) {
	if r.pace == nil {
		return
	}
	r.pace.asked[p.TTL]++
	r.emit(Event{Kind: GaveUp, Probe: p.clone(), End: r.places.ending()})
	r.decide()
}

// pass says that nothing stamped before a time will follow, and by how much the
// clock which stamps the frames was set since the frame before.
func (r *Recorder) pass(watermark time.Time, step time.Duration) {
	if step != 0 {
		r.step(step)
	}
	r.expire(watermark)
}

// failCheck notes that a frame has failed the checks which can't be seen any more.
func (r *Recorder) failCheck() {
	r.run.Fail()
	r.release()
}

// release notes the replies that were held, and are decided.
func (r *Recorder) release() {
	for m, ok := r.run.Released(); ok; m, ok = r.run.Released() {
		r.replied(&m)
	}
	r.path.Flooded = r.run.Flooded()
	r.path.Counters.Foreign += r.run.Refused()
}

func (r *Recorder) match(m *matcher.Message) (matcher.Match, error) {
	r.holds = false
	if len(r.path.Probes) == 0 { // of many traces at once few have begun to send
		if m.IsReply && m.Reply.IsQuoted() {
			return matcher.Match{}, matcher.ErrForeign
		}
		return matcher.Match{}, matcher.ErrUnrelated
	}
	found, err := r.run.Match(m)
	switch {
	case err != nil:
	case found.Copy:
		r.copied(found.Probe, m)
	default:
		r.replied(&found)
		r.release() // it may tell of what is held
	}
	return found, err
}

// finish ends the trace: no further frame will be observed. The probes that are
// outstanding are abandoned.
func (r *Recorder) finish(at time.Time) {
	r.Undecided(func(*matcher.Reply, *craft.Key) { r.path.Counters.Foreign++ })
	r.path.Ended = at
	for i := range r.path.Probes {
		if p := &r.path.Probes[i]; p.Status == Outstanding {
			p.Status = Abandoned
		}
	}
	r.path.closeGaps()
	if r.pace == nil {
		return
	}
	for _, h := range r.path.Hops() {
		if h.TTL == 0 || !r.pace.told[h.TTL] {
			r.tell(h, r.path)
		}
	}
	r.emit(Event{Kind: Ended, Path: r.path})
}

// step notes that the clock which stamps the frames was set.
func (r *Recorder) step(d time.Duration) {
	r.path.Clock.Stepped = true
	r.run.Shift(d)
	if r.steps == nil {
		r.steps = &steps{}
	}
	r.steps.total += d
}

// copied notes the kernel's stamp of a probe.
func (r *Recorder) copied(probe int, m *matcher.Message) {
	p := &r.path.Probes[probe]
	if p.Reply != nil {
		return // its times are told already
	}
	r.steps.begin(probe)
	if p.Sent, p.SentClock = m.Time, Kernel; r.path.Clock.Captured {
		p.SentClock = Capture
	}
	p.Frame, p.Length = m.Frame, m.Packet.Length
	p.Checksum, p.HasChecksum = m.Packet.WireChecksum()
	if r.pace != nil {
		r.pace.open.moved(p, r.deadline(p))
		r.emit(Event{Kind: ProbeOut, Probe: p.clone()})
	}
}

// replied notes a reply.
func (r *Recorder) replied(m *matcher.Match) {
	p := &r.path.Probes[m.Probe]
	took := m.Reply.Received.Sub(p.Sent) - r.steps.of(p)
	if p.Reply != nil {
		r.repeated(p, m.Reply, took)
		return
	}
	p.Reply = r.room.replies.next()
	r.read(p.Reply, m.Reply, took)
	gaveUp := p.Status == Timeout
	r.steps.settle(p)
	// What was held may be decided after the wait in which it came.
	if p.Reply.Late = gaveUp && !(m.Held && took <= r.limit(p)); p.Reply.Late {
		p.Status = Late
		r.path.Counters.Late++
	} else {
		p.Status = Replied
		r.path.Counters.Received++
	}
	r.places.add(ref{m.Probe, firstReply})
	r.answered(p, gaveUp)
}

// read makes a zero reply what came so long after its probe.
func (r *Recorder) read(reply *Reply, came *matcher.Reply, took time.Duration) {
	reply.Reply = *came
	// A capture's stamps may be in disorder; then there is no telling.
	if came.MatchedBy != matcher.Ambiguous && (took >= 0 || !r.path.Clock.Captured) {
		reply.RTT, reply.HasRTT = took, true
	}
}

// answered tells of the first reply to a probe, which may have been given up.
func (r *Recorder) answered(p *Probe, gaveUp bool) {
	if r.pace == nil {
		return
	}
	reply := p.Reply
	r.pace.doubt = r.pace.doubt || !reply.HasRTT
	if !reply.Late {
		if !gaveUp && (r.path.refuses(reply) || reply.Kind == matcher.TimeExceeded) {
			r.pace.asked[p.TTL]++
		}
		if reply.HasRTT {
			r.pace.round.heard(p.TTL, reply.RTT)
			r.pace.open.heard(p.TTL, &r.pace.round)
		}
	}
	told := p.clone()
	r.emit(Event{Kind: Answer, Probe: told, Reply: told.Reply, End: r.places.ending()})
	r.decide()
}

// repeated notes a further reply to a probe. It tells nothing about others.
func (r *Recorder) repeated(p *Probe, came *matcher.Reply, took time.Duration) {
	r.path.Counters.Duplicate++
	if len(p.Extra) == MaxExtra {
		return
	}
	p.Extra = append(p.Extra, Reply{})
	again := &p.Extra[len(p.Extra)-1]
	r.read(again, came, took)
	again.Late = took > r.wait(p.TTL)
	r.places.add(ref{p.Number, len(p.Extra) - 1})
	if r.pace != nil {
		told := p.clone()
		r.emit(Event{Kind: Answer, Probe: told, Reply: &told.Extra[len(told.Extra)-1], End: r.places.ending()})
	}
}

// copyGrace is how much longer a probe is waited for whose captured copy was not
// seen yet: it may have left later than the program thinks.
const copyGrace = 100 * time.Millisecond

// expire gives up the probes that should have been answered before a
// watermark.
func (r *Recorder) expire(watermark time.Time) {
	if r.pace == nil {
		r.expireInOrder(watermark)
		return
	}
	now := watermark.Add(-r.steps.sum())
	if !r.pace.open.mayBeOver(now) {
		return
	}
	for _, n := range r.pace.open.over(now, r.path.Probes, r.deadline) {
		p := &r.path.Probes[n]
		if p.Status == Outstanding && r.expired(p) {
			r.gaveUp(p)
		}
	}
}

// nextDeadline is the earliest time after which a watermark may give a probe up, of a
// Recorder that emits events.
func (r *Recorder) nextDeadline() time.Time {
	return r.pace.open.soonest(r.path.Probes, r.deadline).Add(r.steps.sum())
}

// expired gives a probe up, unless a reply is held that is accepted now.
func (r *Recorder) expired(p *Probe) bool {
	r.run.Expire(p.Number)
	if r.release(); p.Status != Outstanding {
		return false
	}
	r.steps.settle(p)
	p.Status = Timeout
	return true
}

// deadline is until when a reply to an outstanding probe is waited for, by the clock as
// it was before all steps.
func (r *Recorder) deadline(p *Probe) time.Time {
	return p.Sent.Add(r.limit(p) - r.steps.before(p.Number))
}

// limit is how long a reply to a probe is waited for, from its stamp.
func (r *Recorder) limit(p *Probe) time.Duration {
	if p.SentClock == User {
		return r.wait(p.TTL) + copyGrace
	}
	return r.wait(p.TTL)
}

// wait is how long a reply to a probe with this TTL is waited for.
func (r *Recorder) wait(ttl uint8) time.Duration {
	if r.pace == nil {
		return r.path.Parameters.Wait.Max
	}
	return r.path.Parameters.Wait.of(ttl, &r.pace.round)
}
