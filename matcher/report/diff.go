package report

import (
	"net/netip"
	"time"

	_ "embed"

	"github.com/tracewire/tracewire/matcher/path"
)

// DiffVersion is the schema that a Diff names.
const DiffVersion = "tracewire-diff/1"

// DiffSchema is the JSON Schema (draft 2020-12) of a Diff.
//
//go:embed tracewire-diff-1.schema.json
var DiffSchema string

// Diff is what changed between two traces: the document of 'tracewire diff --format
// json'.
type Diff struct {
	Schema  string   `json:"schema"` // DiffVersion
	A       Side     `json:"a"`
	B       Side     `json:"b"`
	Same    bool     `json:"same"` // nothing changed
	Changes []Change `json:"changes"`
}

// Side is one of the traces that are compared.
type Side struct {
	Label    string     `json:"label"` // where it is from, as a file's name
	Target   Target     `json:"target"`
	Source   netip.Addr `json:"source"`
	Protocol string     `json:"protocol"`
	SrcPort  *uint16    `json:"src_port"` // null if the protocol has no ports
	DstPort  *uint16    `json:"dst_port"`
	Started  Stamp      `json:"started"`
	Reached  bool       `json:"reached"`
	End      *uint8     `json:"end"` // the hop at which the path ends; null if it is not known
}

// Change is something that changed: see path.Change.
type Change struct {
	Kind     string         `json:"kind"` // as path.ChangeKind spells it
	HopA     *uint8         `json:"hop_a"`
	LastA    *uint8         `json:"last_a"`
	HopB     *uint8         `json:"hop_b"`
	LastB    *uint8         `json:"last_b"`
	Onward   bool           `json:"onward"`
	Before   *string        `json:"before"`
	After    *string        `json:"after"`
	Shift    *time.Duration `json:"shift_ns"`
	Doubtful bool           `json:"doubtful"`
	Text     string         `json:"text"` // a sentence
}

// NewSide returns a side of a Diff.
func NewSide(label string, p *path.Path) Side {
	h := headersOf(p)
	return Side{
		Label: label, Target: newTarget(p), Source: p.Source.Addr, Protocol: h.protocol,
		SrcPort: field(h.ports, true, p.Parameters.SrcPort), DstPort: field(h.ports, true, p.Parameters.DstPort),
		Started: Stamp(p.Started), Reached: p.Reached(), End: pointer(p.End()),
	}
}

// NewDiff returns the document of the changes from a to b, as path.Diff found them.
func NewDiff(a, b Side, changes path.Changes) *Diff {
	d := &Diff{DiffVersion, a, b, len(changes) == 0, make([]Change, len(changes))}
	for i, c := range changes {
		d.Changes[i] = Change{
			Kind: c.Kind.String(), HopA: pointer(c.HopA), LastA: pointer(c.LastA), HopB: pointer(c.HopB), LastB: pointer(c.LastB),
			Onward: c.Onward, Before: pointer(c.Before), After: pointer(c.After), Shift: pointer(c.Shift),
			Doubtful: c.Doubtful, Text: c.String(),
		}
	}
	return d
}

// Marshal returns the document as a line, with its line feed.
func (d *Diff) Marshal() ([]byte, error) { return JSON(d) }

// UnmarshalDiff reads the document of a diff. An error is ErrVersion or ErrMalformed, by
// errors.Is.
func UnmarshalDiff(document []byte) (*Diff, error) {
	if err := checkVersion(document, DiffVersion); err != nil {
		return nil, err
	}
	d := new(Diff)
	if err := unmarshal(document, d); err != nil {
		return nil, err
	}
	return d, nil
}
