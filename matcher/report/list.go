package report

import (
	"cmp"
	"net/netip"

	"github.com/tracewire/tracewire/matcher/path"
)

// Entry is a trace in a list: a line of 'tracewire replay --list --format json'.
type Entry struct {
	Trace    int        `json:"trace"` // its number in the file, from 1
	Started  Stamp      `json:"started"`
	Ended    Stamp      `json:"ended"`
	Source   netip.Addr `json:"source"`
	Target   netip.Addr `json:"target"`
	Protocol string     `json:"protocol"`
	Tool     *string    `json:"tool"`
	Hops     *int       `json:"hops"` // null if no probe is known
	Reached  bool       `json:"reached"`
	Probes   int        `json:"probes"`  // that left
	Replies  int        `json:"replies"` // probes that were answered
}

// NewEntry returns the entry of a trace that is over, with its number.
func NewEntry(number int, p *path.Path) *Entry {
	e := &Entry{
		Trace: number, Started: Stamp(p.Started), Ended: Stamp(p.Ended), Source: p.Source.Addr, Target: p.Target.Addr,
		Protocol: ProtocolName(p.Protocol), Tool: pointer(p.Tool), Reached: p.Reached(),
	}
	farthest := 0
	for i := range p.Probes {
		probe := &p.Probes[i]
		if probe.TTL != 0 && probe.Status != path.Unsent {
			e.Probes++
		}
		if probe.Reply != nil {
			e.Replies++
			farthest = max(farthest, int(probe.Reply.Hop))
		}
	}
	if e.Probes > 0 {
		hops := cmp.Or(int(p.End()), farthest)
		e.Hops = &hops
	}
	return e
}
