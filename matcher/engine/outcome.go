package engine

import (
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// outcomeOf is what an event means to a plan, if it means anything. The Series is that of
// the probes, or nil if all are of one flow.
func outcomeOf(e *path.Event, s *craft.Series) (o plan.Outcome, ok bool) {
	o = plan.Outcome{TTL: e.Probe.TTL, Length: e.Probe.Length, End: e.End}
	if s != nil {
		o.Flow = s.FlowOf(e.Probe.SrcPort)
	}
	switch {
	case e.Kind == path.GaveUp:
		o.Status = plan.Silent
		return o, true
	case e.Kind != path.Answer:
		return o, false
	case e.Probe.Status == path.Late || len(e.Probe.Extra) > 0:
		o.Status = plan.Late
	case e.Reply.MatchedBy == matcher.Ambiguous:
		o.Status = plan.Ambiguous
	}
	if e.Reply.MatchedBy == matcher.Ambiguous && o.Status == plan.Late {
		o.Length = 0 // it may be another probe's
	}
	o.From, o.Kind, o.Hop, o.RTT = e.Reply.From, kindOf(e.Reply), e.Reply.Hop, e.Reply.RTT
	o.Unverified = e.Reply.IsUnverified()
	o.TooBig, o.MTU = e.Reply.Kind == matcher.PacketTooBig, int(e.Reply.MTU)
	return o, true
}

func kindOf(r *path.Reply) plan.Kind {
	switch {
	case r.Kind == matcher.TimeExceeded:
		return plan.FromRouter
	case r.IsQuoted():
		return plan.Refusal
	}
	return plan.FromTarget
}
