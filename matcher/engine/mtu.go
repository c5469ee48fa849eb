package engine

import (
	"github.com/tracewire/tracewire/craft/plan"
	"github.com/tracewire/tracewire/matcher/path"
)

// MTUs are the MTUs along a path that was traced to find them (path.Parameters.MTU): at
// the first hop that tells, at each hop where it gets smaller, and last that of
// the path. It is nil for any other path, and where no hop has told.
func MTUs(p *path.Path) []plan.Size {
	if !p.Parameters.MTU || len(p.Probes) == 0 {
		return nil
	}
	q, end := PlanOf(&p.Parameters, shortest(p)).(*plan.MTU), p.End()
	for i := range p.Probes {
		for _, o := range outcomesOf(&p.Probes[i]) {
			o.End = end
			q.Observe(o)
		}
	}
	return q.Found()
}

// PlanOf returns the plan of a trace; of one that looks for the MTU, the shortest
// length that a probe can have is needed.
func PlanOf(p *path.Parameters, shortest int) plan.Plan {
	if p.MTU {
		return &plan.MTU{
			First: p.FirstTTL, Last: p.MaxTTL, Queries: p.Queries, Interval: p.Interval,
			Longest: p.Length, Shortest: min(shortest, p.Length),
		}
	}
	return &plan.Linear{
		First: p.FirstTTL, Last: p.MaxTTL, Queries: p.Queries,
		InFlight: p.InFlight, Interval: p.Interval,
	}
}

// shortest is the shortest length of the probes of a Path.
func shortest(p *path.Path) int {
	series, _ := p.Parameters.Series(p.Protocol, p.Target.Addr) // gateways that can't be are left out
	return series.Shortest()
}

// outcomesOf are what the plan was told of a probe.
func outcomesOf(p *path.Probe) (all []plan.Outcome) {
	tell := func(e path.Event) {
		if o, ok := outcomeOf(&e, nil); ok {
			all = append(all, o)
		}
	}
	if p.Status == path.Timeout || p.Status == path.Late || p.Status == path.Unsent {
		silent := *p
		silent.Reply, silent.Extra = nil, nil
		tell(path.Event{Kind: path.GaveUp, Probe: silent})
	}
	if p.Reply != nil {
		first := *p
		first.Extra = nil
		tell(path.Event{Kind: path.Answer, Probe: first, Reply: p.Reply})
	}
	for i := range p.Extra {
		tell(path.Event{Kind: path.Answer, Probe: *p, Reply: &p.Extra[i]})
	}
	return all
}
