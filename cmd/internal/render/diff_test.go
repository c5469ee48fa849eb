package render_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// compared is what Diff writes of two traces.
func compared(t testing.TB, format string, a, b *path.Path, changes path.Changes) string {
	t.Helper()
	var out bytes.Buffer
	if err := render.Diff(&out, format, render.Side{Label: "monday.pcapng", Path: a}, render.Side{Label: "friday.pcapng", Path: b}, changes); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// rerouted is the path of plain, but for a router replaced, another that was
// inserted, and a longer way.
func rerouted() *path.Path {
	p := newPath(3,
		exceeded(1, r1, 28*us), exceeded(2, r4, 1250*us), exceeded(3, "10.0.9.1", 2*ms), exceeded(4, r3, 31*ms), unreachable(5, 5, target, 3, 60*ms),
		exceeded(1, r1, 6*us), exceeded(2, r4, 1250499), exceeded(3, "10.0.9.1", 3*ms), exceeded(4, r3, 30*ms), unreachable(5, 5, target, 3, 61*ms),
		exceeded(1, r1, 5*us), exceeded(2, r4, 1250500), exceeded(3, "10.0.9.1", 4*ms), exceeded(4, r3, 32*ms), unreachable(5, 5, target, 3, 62*ms),
	)
	p.Parameters.SrcPort = 50001
	return p
}

func TestGoldenDiffs(t *testing.T) {
	tests := map[string]struct{ a, b *path.Path }{
		"rerouted": {plain(), rerouted()},
		"refused":  {plain(), refused()},
		"bare":     {plain(), bare()},
		"none":     {plain(), plain()},
	}
	for name, test := range tests {
		for format, ending := range map[string]string{"text": ".txt", "json": ".json"} {
			golden(t, "diff-"+name+ending, compared(t, format, test.a, test.b, path.Diff(test.a, test.b, nil)))
		}
	}
}

// compiled is a JSON Schema, ready to validate; formats (IP addresses) included.
func compiled(t testing.TB, name, text string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, decoded(t, text)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestADiffIsAsItsSchemaSays(t *testing.T) {
	s := compiled(t, "tracewire-diff-1.schema.json", report.DiffSchema)
	for _, b := range []*path.Path{plain(), rerouted(), refused(), bare(), silence(), everything()} {
		out := compared(t, "json", plain(), b, path.Diff(plain(), b, nil))
		if err := s.Validate(decoded(t, out)); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// Every field is always there, null where it has no value; and the schema takes
// no other, nor other kinds of changes than there are.
func TestTheSchemaOfADiffTakesNothingElse(t *testing.T) {
	s := compiled(t, "tracewire-diff-1.schema.json", report.DiffSchema)
	out := compared(t, "json", plain(), rerouted(), path.Diff(plain(), rerouted(), nil))
	parts := map[string]func(map[string]any) map[string]any{
		"the document": func(o map[string]any) map[string]any { return o },
		"a":            func(o map[string]any) map[string]any { return o["a"].(map[string]any) },
		"b.target":     func(o map[string]any) map[string]any { return o["b"].(map[string]any)["target"].(map[string]any) },
		"a change":     func(o map[string]any) map[string]any { return o["changes"].([]any)[0].(map[string]any) },
	}
	for name, part := range parts {
		for key := range part(object(t, out)) {
			whole := object(t, out)
			delete(part(whole), key)
			if s.Validate(whole) == nil {
				t.Errorf("%s without %s is taken", name, key)
			}
		}
		whole := object(t, out)
		part(whole)["other"] = nil
		if s.Validate(whole) == nil {
			t.Errorf("%s with another field is taken", name)
		}
	}
	for k := path.ChangedTarget; k <= path.ChangedQuotedChecksum; k++ {
		c := path.Change{Kind: k}
		if k == path.ChangedRTT {
			c.Shift = 1
		}
		if err := s.Validate(decoded(t, compared(t, "json", plain(), rerouted(), path.Changes{c}))); err != nil {
			t.Errorf("%v: %v", k, err)
		}
	}
}

// Nothing that a file can hold reaches the terminal as it is.
func TestADiffIsPrintable(t *testing.T) {
	a, b := plain(), rerouted()
	const evil = "\x1b[2J\u202e\n"
	a.Target.Host = evil
	b.Target.Addr = netip.MustParseAddr("fe80::1").WithZone(evil)
	b.Probes[0].Reply.From = b.Target.Addr
	var out bytes.Buffer
	if err := render.Diff(&out, "text", render.Side{Label: evil, Path: a}, render.Side{Label: evil, Path: b}, path.Diff(a, b, nil)); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(out.String()) {
		if l = strings.TrimSuffix(l, "\n"); l == "" || l != render.Printable(l) {
			t.Errorf("%q", l)
		}
	}
	if n := strings.Count(out.String(), `\x1b[2J`); n < 5 {
		t.Errorf("escaped %d times only:\n%s", n, out.String())
	}
}

func TestDiffFormats(t *testing.T) {
	a, b := render.Side{Path: plain()}, render.Side{Path: rerouted()}
	if d := cmp.Diff([]string{"text", "json"}, render.DiffFormats()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if err := render.Diff(io.Discard, "jsonl", a, b, nil); err == nil {
		t.Error("jsonl is no format of a diff")
	}
	for _, format := range render.DiffFormats() {
		if err := render.Diff(broken{}, format, a, b, path.Diff(a.Path, b.Path, nil)); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", format, err)
		}
	}
}
