package render

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	_ "embed"

	"github.com/tracewire/tracewire/matcher/path"
)

// DiffSchema is the JSON Schema of what Diff writes in the format json.
//
//go:embed tracewire-diff-1.schema.json
var DiffSchema string

// diffSchemaName is the version of the output that DiffSchema describes.
const diffSchemaName = "tracewire-diff/1"

// Side is one of two traces that are compared, and where it is from.
type Side struct {
	Label string // a file's name
	Path  *path.Path
}

// Diff writes what changed from a to b, as path.Diff found it, in a format of
// DiffFormats: text, a line for each change, or json, one document on a line.
func Diff(w io.Writer, format string, a, b Side, changes path.Changes) error {
	switch format {
	case "text":
		return diffText(Lines(w), a, b, changes)
	case "json":
		return encode(w, newDiff(a, b, changes))
	}
	return fmt.Errorf("format %q is none of text, json", format)
}

// DiffFormats are the formats that Diff knows.
func DiffFormats() []string { return []string{"text", "json"} }

// diffText writes nothing if nothing has changed, like diff(1).
func diffText(w io.Writer, a, b Side, changes path.Changes) error {
	if len(changes) == 0 {
		return nil
	}
	var out bytes.Buffer
	sideText(&out, "---", a)
	sideText(&out, "+++", b)
	for _, c := range changes {
		fmt.Fprintln(&out, Printable(c.String())) // line breaks too
	}
	if pa, pb := &a.Path.Parameters, &b.Path.Parameters; sameButPorts(a.Path, b.Path) && pa.SrcPort != pb.SrcPort && slices.ContainsFunc(changes, othersAnswer) {
		fmt.Fprintf(&out, "The source ports differ (%d, %d): balancers may have sent these flows different ways.\n", pa.SrcPort, pb.SrcPort)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// sameButPorts reports whether two traces are to the same target, by the same
// protocol, and that one has ports.
func sameButPorts(a, b *path.Path) bool {
	return a.Target.Addr == b.Target.Addr && a.Protocol == b.Protocol && headersOf(a).ports
}

// othersAnswer reports whether a balancer that chose another way would explain
// a change.
func othersAnswer(c path.Change) bool {
	switch c.Kind {
	case path.HopAdded, path.HopRemoved, path.HopReplaced, path.ResponderNew, path.ResponderGone:
		return true
	}
	return false
}

func sideText(out *bytes.Buffer, mark string, s Side) {
	p := s.Path
	fmt.Fprintf(out, "%s %s: %s to %s (%v), %s\n", mark, Printable(s.Label), protocols[p.Protocol].protocol,
		Name(p.Target.Host), p.Target.Addr, p.Started.UTC().Format(stampFormat))
}

type sideJSON struct {
	Label    string     `json:"label"`
	Target   targetJSON `json:"target"`
	Source   netip.Addr `json:"source"`
	Protocol string     `json:"protocol"`
	SrcPort  *uint16    `json:"src_port"`
	DstPort  *uint16    `json:"dst_port"`
	Started  stamp      `json:"started"`
	Reached  bool       `json:"reached"`
	End      *uint8     `json:"end"`
}

type diffJSON struct {
	Schema  string       `json:"schema"`
	A       sideJSON     `json:"a"`
	B       sideJSON     `json:"b"`
	Same    bool         `json:"same"`
	Changes []changeJSON `json:"changes"`
}

type changeJSON struct {
	Kind     string         `json:"kind"`
	HopA     *uint8         `json:"hop_a"`
	LastA    *uint8         `json:"last_a"`
	HopB     *uint8         `json:"hop_b"`
	LastB    *uint8         `json:"last_b"`
	Onward   bool           `json:"onward"`
	Before   *string        `json:"before"`
	After    *string        `json:"after"`
	Shift    *time.Duration `json:"shift_ns"`
	Doubtful bool           `json:"doubtful"`
	Text     string         `json:"text"`
}

func newSide(s Side) sideJSON {
	p := s.Path
	return sideJSON{
		Label: s.Label, Target: newTarget(p), Source: p.Source.Addr, Protocol: protocols[p.Protocol].protocol,
		SrcPort: portOf(p, p.Parameters.SrcPort), DstPort: portOf(p, p.Parameters.DstPort),
		Started: stamp(p.Started), Reached: p.Reached(), End: pointer(p.End()),
	}
}

// portOf is a port of a trace, or nil if its protocol has none.
func portOf(p *path.Path, port uint16) *uint16 { return field(headersOf(p).ports, true, port) }

func newDiff(a, b Side, changes path.Changes) diffJSON {
	j := diffJSON{diffSchemaName, newSide(a), newSide(b), len(changes) == 0, make([]changeJSON, len(changes))}
	for i, c := range changes {
		j.Changes[i] = changeJSON{
			Kind: c.Kind.String(), HopA: pointer(c.HopA), LastA: pointer(c.LastA), HopB: pointer(c.HopB), LastB: pointer(c.LastB),
			Onward: c.Onward, Before: pointer(c.Before), After: pointer(c.After), Shift: pointer(c.Shift),
			Doubtful: c.Doubtful, Text: c.String(),
		}
	}
	return j
}
