package render

import (
	"net/netip"

	"github.com/tracewire/tracewire/matcher/path"
)

// documentJSON is a trace, or a host that could not be traced.
type documentJSON struct {
	Schema      string       `json:"schema"`
	Target      targetJSON   `json:"target"`
	Error       string       `json:"error,omitempty"`
	Source      *sourceJSON  `json:"source"`
	Protocol    *string      `json:"protocol"`
	Tool        *string      `json:"tool"`
	Options     *optionsJSON `json:"options"`
	Clock       clockJSON    `json:"clock"`
	Started     stamp        `json:"started"`
	Ended       stamp        `json:"ended"`
	Reached     bool         `json:"reached"`
	Interrupted bool         `json:"interrupted"`
	Hops        []hopJSON    `json:"hops"`
	Counters    countersJSON `json:"counters"`
	Gaps        []gapJSON    `json:"gaps"`

	PathMTU  []mtuJSON     `json:"path_mtu"`
	Findings []findingJSON `json:"findings"`
}

// newDocument has no hops yet.
func newDocument(p *path.Path, h *headers) *documentJSON {
	return &documentJSON{
		Schema: schemaName, Target: newTarget(p), Source: newSource(p), Protocol: pointer(h.protocol), Tool: pointer(p.Tool),
		Options: newOptions(p), Clock: newClock(p), Started: stamp(p.Started), Ended: stamp(p.Ended),
		Reached: p.Reached(), Interrupted: p.Interrupted, Hops: []hopJSON{}, Counters: countersJSON(p.Counters), Gaps: newGaps(p),
		PathMTU: newMTUs(p), Findings: newFindings(p),
	}
}

// startJSON is the first event of a trace, or of a host that could not be traced.
type startJSON struct {
	Event    string       `json:"event"`
	Schema   string       `json:"schema"`
	Target   targetJSON   `json:"target"`
	Source   *sourceJSON  `json:"source"`
	Protocol *string      `json:"protocol"`
	Tool     *string      `json:"tool"`
	Options  *optionsJSON `json:"options"`
	Started  stamp        `json:"started"`
}

// endJSON is the last event of a trace, or of a host that could not be traced.
type endJSON struct {
	Event       string       `json:"event"`
	Target      targetJSON   `json:"target"`
	Error       string       `json:"error,omitempty"`
	Clock       clockJSON    `json:"clock"`
	Ended       stamp        `json:"ended"`
	Reached     bool         `json:"reached"`
	Interrupted bool         `json:"interrupted"`
	Counters    countersJSON `json:"counters"`
	Gaps        []gapJSON    `json:"gaps"`

	PathMTU  []mtuJSON     `json:"path_mtu"`
	Findings []findingJSON `json:"findings"`
}

func newEnd(p *path.Path) *endJSON {
	return &endJSON{
		Event: path.Ended.String(), Target: newTarget(p), Clock: newClock(p), Ended: stamp(p.Ended), Reached: p.Reached(),
		Interrupted: p.Interrupted, Counters: countersJSON(p.Counters), Gaps: newGaps(p), PathMTU: newMTUs(p), Findings: newFindings(p),
	}
}

type targetJSON struct {
	Host string      `json:"host"`
	Addr *netip.Addr `json:"addr"`
}

func newTarget(p *path.Path) targetJSON { return targetJSON{p.Target.Host, pointer(p.Target.Addr)} }
