package path

import (
	"slices"
	"time"

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
	Path  *Path // as far as it is known then: all but Probes when the trace starts; of a hop nil unless the trace is over
	Probe Probe
	Reply *Reply // the one that came; Probe.Reply is the first
	Hop   Hop
	End   uint8 // of Answer and GaveUp: what Path.End is by now
}

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

// progress is how far a trace is that somebody watches.
type progress struct {
	round roundTrips
	open  open
	asked [256]uint16 // by TTL: probes with an outcome
	next  int         // the hop to decide next
	told  [256]bool   // by hop: whether it was told
	doubt bool        // the target gave answers that may be to other probes
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

// Release says that the Path, and what it points to, is not used any more: its
// memory serves for the one that Reuse begins with. It returns how many probes
// there is room for.
func (r *Recorder) Release() int {
	if r.path.Probes == nil {
		r.room = room{} // they were taken
	} else {
		r.room.probes = r.path.Probes[:0]
		clear(r.path.Probes) // of what they point to
		r.room.replies.clear()
	}
	r.run.Reset()
	r.places.reset(nil)
	r.path, r.due, r.steps, r.pace = nil, 0, nil, nil
	return cap(r.room.probes)
}

// Reuse is NewRecorder in the memory of a Recorder that was released, without
// events.
func (r *Recorder) Reuse(p *Path) {
	p.Probes = r.room.probes
	r.path, r.places.path, r.emit = p, p, func(Event) {}
	if p.Clock.Captured {
		r.run.Captured()
	}
}

// Path returns what is known so far. It belongs to the Recorder until Finish, and
// is valid until Release.
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

// Found records a probe that was captured, and that no Entry announced. It returns
// the Probe, with Number, TTL and Sent: what else is known of it is for the
// caller to set, at once.
//
// That the same flow is probed again after a while says that whoever sends it
// has given the probe before up.
func (r *Recorder) Found(key *craft.Key, ttl uint8, sent time.Time) *Probe {
	n := r.run.Found(key, ttl, sent)
	if n > 0 && sent.UnixNano()-r.path.Probes[n-1].Sent.UnixNano() >= int64(MinWait) {
		r.run.Expire(n - 1)
	}
	r.path.Probes = append(r.path.Probes, Probe{})
	r.path.Counters.Sent++
	r.opened(n)
	p := &r.path.Probes[n]
	p.Number, p.TTL, p.Sent = n, ttl, sent
	return p
}

// Orphan records a reply to a probe that was not captured. What it quotes is all
// that is known of the probe.
func (r *Recorder) Orphan(reply *matcher.Reply, of *craft.Key) {
	p := Probe{
		Status: Replied, SentClock: Capture,
		ID: reply.Quoted.ID, SrcPort: of.SrcPort, DstPort: of.DstPort,
	}
	if !craft.ProtocolOf(of.Protocol).Carries(craft.Checksum) {
		p.Sequence = of.Token
	}
	p.Number = r.run.Sent(of, 0, reply.Received)
	r.run.Withdraw(p.Number)
	p.Reply = r.room.replies.next()
	p.Reply.Reply = *reply
	r.path.Probes = append(r.path.Probes, p)
	r.path.Counters.Received++
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

// Take takes the next frame of the capture, which is read already. It reports
// whether the frame is this trace's, and counts it only if it is.
func (r *Recorder) Take(m *matcher.Message) bool {
	r.pass(m.Time, 0)
	_, err := r.match(m)
	return err == nil
}

// Hold takes a quote that Take reported to be another's, if it agrees in part with a
// probe: in two of source port, ID and checksum or sequence number, or with ports set
// in the ports alone. Whether it is this trace's is decided when other replies
// confirm it, when the probe is given up, or by Finish.
func (r *Recorder) Hold(m *matcher.Message, ports bool) bool {
	r.holds = r.run.Hold(m, ports)
	r.release()
	return r.holds
}

// Doubt takes a reply that Take reported to be another's, if it agrees with a probe in all
// but the payload. It reports whether the reply is kept until it is known whether
// payloads are cookies, or is refused since they are.
func (r *Recorder) Doubt(m *matcher.Message) (kept, refused bool) {
	kept, refused = r.run.Doubt(m)
	r.release()
	return kept, refused
}

// IsForged reports whether a quote that neither Take nor Hold took has another cookie
// than the probe that it is alike.
func (r *Recorder) IsForged(m *matcher.Message) bool { return r.run.IsForged(m) }

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

// Undecided ends the decisions, and calls reject for each reply that was held and is
// not the trace's, with the Key that it quotes.
func (r *Recorder) Undecided(reject func(*matcher.Reply, *craft.Key)) {
	r.run.Settle()
	r.release()
	for reply, of, ok := r.run.Rejected(); ok; reply, of, ok = r.run.Rejected() {
		reject(reply, of)
	}
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

// nextDeadline is the earliest time after which a watermark may give a probe up; zero
// if nobody is told of events, and each may.
func (r *Recorder) nextDeadline() time.Time {
	if r.pace == nil {
		return time.Time{}
	}
	return r.pace.open.soonest(r.path.Probes, r.deadline).Add(r.steps.sum())
}

// expireInOrder is expire where all probes are waited for equally long: those
// sent first are given up first.
func (r *Recorder) expireInOrder(watermark time.Time) {
	for ; r.due < len(r.path.Probes); r.due++ {
		p := &r.path.Probes[r.due]
		if p.Status != Outstanding {
			continue
		}
		if !r.isPast(p, watermark) {
			return
		}
		r.expired(p)
	}
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

// isPast reports whether a probe's deadline is past. Of most it isn't by seconds.
func (r *Recorder) isPast(p *Probe, now time.Time) bool {
	seconds := now.Unix() - p.Sent.Unix() + 1
	if r.steps == nil && seconds < int64(r.path.Parameters.Wait.Max/time.Second) {
		return false
	}
	return now.Add(-r.steps.sum()).After(r.deadline(p))
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

// decide tells the hops of which nothing more is expected, each once and in
// order.
func (r *Recorder) decide() {
	pace := r.pace
	for pace.next <= 255 && int(pace.asked[pace.next]) >= r.path.Parameters.Queries {
		end := int(r.places.ending())
		if end == 0 && !r.passed(pace.next) || end != 0 && (pace.next > end || pace.next == end && pace.doubt) {
			return
		}
		if r.path.Parameters.MTU && !r.sized(pace.next, end) {
			return
		}
		r.tell(r.path.Hop(uint8(pace.next)), nil)
		pace.next++
	}
}

// tell emits that a hop, whose list of probes is its own, is final. The Path is that of a trace that is over.
func (r *Recorder) tell(h Hop, over *Path) {
	r.pace.told[h.TTL] = true
	h.detach()
	r.emit(Event{Kind: Decided, Hop: h, Path: over})
}

// passed reports whether it is known what became of a probe with a higher TTL.
// Until then a hop may still turn out to be one that lets nothing pass.
func (r *Recorder) passed(ttl int) bool {
	for t := ttl + 1; t <= int(r.path.Parameters.MaxTTL); t++ {
		if r.pace.asked[t] > 0 {
			return true
		}
	}
	return ttl >= int(r.path.Parameters.MaxTTL)
}

// sized reports whether a search for the MTU is through with a hop: it may take more
// than Queries, and has gone on when a higher TTL is asked. Of the last hop that
// isn't known before the trace is over.
func (r *Recorder) sized(ttl, end int) bool {
	if ttl == end || ttl >= int(r.path.Parameters.MaxTTL) || !r.passed(ttl) {
		return false
	}
	return !slices.ContainsFunc(r.pace.open.at(uint8(ttl)), func(n int) bool { return r.path.Probes[n].Status == Outstanding })
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

// detach makes what a Hop's probes point to its own.
func (h *Hop) detach() {
	for i := range h.Probes {
		h.Probes[i] = h.Probes[i].clone()
	}
}
