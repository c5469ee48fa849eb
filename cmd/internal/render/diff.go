package render

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// Side is one of two traces that are compared, and where it is from.
type Side struct {
	Label string // a file's name
	Path  *path.Path
}

// Diff writes what changed from a to b, as path.Diff found it, in a format of
// DiffFormats: text, a line for each change, or json, one document on a line.
func Diff(w io.Writer, format string, a, b Side, changes path.Changes) error {
	d := report.NewDiff(report.NewSide(a.Label, a.Path), report.NewSide(b.Label, b.Path), changes)
	switch format {
	case "text":
		return diffText(Lines(w), d, changes)
	case "json":
		return encode(w, d)
	}
	return fmt.Errorf("format %q is none of text, json", format)
}

// DiffFormats are the formats that Diff knows.
func DiffFormats() []string { return []string{"text", "json"} }

// diffText writes nothing if nothing has changed, like diff(1).
func diffText(w io.Writer, d *report.Diff, changes path.Changes) error {
	if len(changes) == 0 {
		return nil
	}
	var out bytes.Buffer
	sideText(&out, "---", &d.A)
	sideText(&out, "+++", &d.B)
	for _, c := range changes {
		fmt.Fprintln(&out, Printable(c.String())) // line breaks too
	}
	if a, b := &d.A, &d.B; sameExceptPorts(a, b) && *a.SrcPort != *b.SrcPort && slices.ContainsFunc(changes, othersAnswer) {
		fmt.Fprintf(&out, "The source ports differ (%d, %d): balancers may have sent these flows different ways.\n", *a.SrcPort, *b.SrcPort)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// sameExceptPorts reports whether two traces are to the same target, by the same
// protocol, and that one has ports.
func sameExceptPorts(a, b *report.Side) bool {
	return *a.Target.Addr == *b.Target.Addr && a.Protocol == b.Protocol && a.SrcPort != nil
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

func sideText(out *bytes.Buffer, mark string, s *report.Side) {
	fmt.Fprintf(out, "%s %s: %s to %s (%v), %v\n", mark, Printable(s.Label), s.Protocol,
		Name(s.Target.Host), s.Target.Addr, s.Started)
}
