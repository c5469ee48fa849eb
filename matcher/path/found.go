package path

import (
	"time"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// This file is how a trace that is found in a capture gets into a Recorder: its probes
// are not announced by entries, and whether a frame is its own is asked of several
// Recorders in turn.

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
// confirm it, when the probe is given up, or when the trace ends.
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

// Undecided ends the decisions, and calls reject for each reply that was held and is
// not the trace's, with the Key that it quotes.
func (r *Recorder) Undecided(reject func(*matcher.Reply, *craft.Key)) {
	r.run.Settle()
	r.release()
	for reply, of, ok := r.run.Rejected(); ok; reply, of, ok = r.run.Rejected() {
		reject(reply, of)
	}
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

// isPast reports whether a probe's deadline is past. Of most it isn't by seconds.
func (r *Recorder) isPast(p *Probe, now time.Time) bool {
	seconds := now.Unix() - p.Sent.Unix() + 1
	if r.steps == nil && seconds < int64(r.path.Parameters.Wait.Max/time.Second) {
		return false
	}
	return now.Add(-r.steps.sum()).After(r.deadline(p))
}
