package path

import (
	"cmp"
	"slices"
	"time"
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

// Events tells of a Path that is complete as if it came about now: the probes,
// replies and time-outs in the order of their times, then the hops. What the
// events point to is p's.
func (p *Path) Events(emit func(Event)) {
	begun := *p
	begun.Probes = nil
	emit(Event{Kind: Started, Path: &begun})
	for _, s := range p.moments() {
		emit(s.event(&p.Probes[s.probe]))
	}
	for _, h := range p.Hops() {
		emit(Event{Kind: Decided, Hop: h, Path: p})
	}
	emit(Event{Kind: Ended, Path: p})
}

// moment is something that happened to a probe.
type moment struct {
	at    time.Time
	kind  EventKind
	probe int
	extra int // of an Answer: its place in Extra, or firstReply
}

// moments are what happened to the probes, in order.
func (p *Path) moments() []moment {
	all := make([]moment, 0, 2*len(p.Probes))
	for i := range p.Probes {
		probe := &p.Probes[i]
		if !probe.Sent.IsZero() {
			all = append(all, moment{probe.Sent, ProbeOut, i, 0})
		}
		if probe.Status == Timeout || probe.Status == Late || probe.Status == Unsent {
			all = append(all, moment{probe.Sent.Add(p.Parameters.Wait.Max), GaveUp, i, 0})
		}
		if probe.Reply != nil {
			all = append(all, moment{probe.Reply.Received, Answer, i, firstReply})
		}
		for j := range probe.Extra {
			all = append(all, moment{probe.Extra[j].Received, Answer, i, j})
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.probe, b.probe))
	})
	return all
}

// event is the Event of a moment, with the probe as it was then.
func (s moment) event(now *Probe) Event {
	probe := *now
	switch {
	case s.kind == ProbeOut:
		probe.Status, probe.Reply, probe.Extra = Outstanding, nil, nil
	case s.kind == GaveUp:
		probe.Reply, probe.Extra = nil, nil
		if probe.Status == Late {
			probe.Status = Timeout
		}
	case s.extra == firstReply:
		probe.Extra = nil
		return Event{Kind: Answer, Probe: probe, Reply: now.Reply}
	default:
		probe.Extra = now.Extra[:s.extra+1]
		return Event{Kind: Answer, Probe: probe, Reply: &now.Extra[s.extra]}
	}
	return Event{Kind: s.kind, Probe: probe}
}
