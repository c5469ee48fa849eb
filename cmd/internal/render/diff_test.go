package render_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
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

// The fields are always there, null where they have no value.
func TestFieldsOfADiff(t *testing.T) {
	out := object(t, compared(t, "json", plain(), rerouted(), path.Diff(plain(), rerouted(), nil)))
	keys := func(v any) map[string]bool {
		found := map[string]bool{}
		for k := range v.(map[string]any) {
			found[k] = true
		}
		return found
	}
	set := func(words string) map[string]bool {
		all := map[string]bool{}
		for _, w := range strings.Fields(words) {
			all[w] = true
		}
		return all
	}
	if d := cmp.Diff(set("schema a b same changes"), keys(out)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, side := range []string{"a", "b"} {
		if d := cmp.Diff(set("label target source protocol src_port dst_port started reached end"), keys(out[side])); d != "" {
			t.Errorf("%s: -want +got\n%s", side, d)
		}
	}
	changes := out["changes"].([]any)
	if len(changes) < 4 {
		t.Errorf("%d changes", len(changes))
	}
	for _, c := range changes {
		if d := cmp.Diff(set("kind hop_a last_a hop_b last_b onward before after shift_ns doubtful text"), keys(c)); d != "" {
			t.Errorf("-want +got\n%s", d)
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
