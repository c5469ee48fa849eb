package engine

import (
	"testing"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// What a plan is told of events: silence and replies, and of what is late or ambiguous no
// more than is known.
func TestOutcomesOfEvents(t *testing.T) {
	s := &craft.Series{Probe: craft.Probe{SrcPort: 50000}}
	probe := path.Probe{TTL: 4, Length: 60, SrcPort: 50000}
	late := probe
	late.Status = path.Late
	further := probe
	further.Extra = []path.Reply{{}}
	reply := func(kind matcher.Kind, by matcher.Rule) *path.Reply {
		return &path.Reply{Reply: matcher.Reply{From: target, Kind: kind, MatchedBy: by, MTU: 1400}, Hop: 3, RTT: hop}
	}
	answered := plan.Outcome{TTL: 4, Length: 60, From: target, Hop: 3, RTT: hop, MTU: 1400, End: 7}
	with := func(change func(*plan.Outcome)) plan.Outcome {
		o := answered
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		event path.Event
		want  plan.Outcome
		none  bool
	}{
		"sent":     {event: path.Event{Kind: path.ProbeOut, Probe: probe}, none: true},
		"given up": {event: path.Event{Kind: path.GaveUp, Probe: probe, End: 7}, want: plan.Outcome{TTL: 4, Length: 60, Status: plan.Silent, End: 7}},
		"of a router": {
			event: path.Event{Kind: path.Answer, Probe: probe, Reply: reply(matcher.TimeExceeded, matcher.ByCookie)},
			want:  with(func(o *plan.Outcome) { o.Kind = plan.FromRouter }),
		},
		"too big": {
			event: path.Event{Kind: path.Answer, Probe: probe, Reply: reply(matcher.PacketTooBig, matcher.ByCookie)},
			want:  with(func(o *plan.Outcome) { o.Kind, o.TooBig = plan.Refusal, true }),
		},
		"of the target, late": {
			event: path.Event{Kind: path.Answer, Probe: late, Reply: reply(matcher.UDP, matcher.ByCookie)},
			want:  with(func(o *plan.Outcome) { o.Kind, o.Status = plan.FromTarget, plan.Late }),
		},
		"a further one": {
			event: path.Event{Kind: path.Answer, Probe: further, Reply: reply(matcher.UDP, matcher.ByCookie)},
			want:  with(func(o *plan.Outcome) { o.Kind, o.Status = plan.FromTarget, plan.Late }),
		},
		"ambiguous": {
			event: path.Event{Kind: path.Answer, Probe: probe, Reply: reply(matcher.UDP, matcher.Ambiguous)},
			want:  with(func(o *plan.Outcome) { o.Kind, o.Status, o.Unverified = plan.FromTarget, plan.Ambiguous, true }),
		},
		"ambiguous and late": {
			event: path.Event{Kind: path.Answer, Probe: late, Reply: reply(matcher.UDP, matcher.Ambiguous)},
			want:  with(func(o *plan.Outcome) { o.Kind, o.Status, o.Unverified, o.Length = plan.FromTarget, plan.Late, true, 0 }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.event.End = 7
			got, ok := outcomeOf(&test.event, s)
			if ok == test.none {
				t.Fatalf("it means something: %v", ok)
			}
			if ok && got != test.want {
				t.Errorf("%+v\nwant %+v", got, test.want)
			}
		})
	}
}

// Which flow a probe is of shows in its source port; without a Series all are of one.
func TestFlowsOfOutcomes(t *testing.T) {
	s := &craft.Series{Probe: craft.Probe{SrcPort: 50000}}
	e := &path.Event{Kind: path.GaveUp, Probe: path.Probe{SrcPort: 50003}}
	if o, _ := outcomeOf(e, s); o.Flow != 3 {
		t.Errorf("flow %d", o.Flow)
	}
	if o, _ := outcomeOf(e, nil); o.Flow != 0 {
		t.Errorf("flow %d of one", o.Flow)
	}
}
