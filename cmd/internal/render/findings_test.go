package render_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// remarked is a path on which the code point is cleared behind the first hop.
func remarked() *path.Path {
	marked := func(p path.Probe) path.Probe {
		p.Reply.Quoted.TOS = 0x2e << 2
		return p
	}
	p := newPath(2,
		marked(exceeded(1, r1, ms)), exceeded(2, r2, 2*ms), exceeded(3, r3, 3*ms), unreachable(4, 4, target, 3, 4*ms),
		marked(exceeded(1, r1, ms)), exceeded(2, r2, 2*ms), exceeded(3, r3, 3*ms), unreachable(4, 4, target, 3, 4*ms),
	)
	p.Parameters.TOS = 0x2e << 2
	for i := range p.Probes {
		probe := &p.Probes[i]
		probe.Checksum, probe.HasChecksum = 0xbeef, true
		q := &probe.Reply.Quoted
		q.ID, q.Src, q.Dst, q.SrcPort, q.DstPort = probe.ID, p.Source.Addr, p.Target.Addr, probe.SrcPort, probe.DstPort
	}
	return p
}

// described is the text of a trace, findings included.
func described(t *testing.T, p *path.Path) string {
	t.Helper()
	var b bytes.Buffer
	r := render.NewText(&b, io.Discard, namer(nil), render.TextOptions{Findings: true})
	for _, e := range events(p) {
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestFindingsStandBelowTheHops(t *testing.T) {
	golden(t, "remarked.findings.txt", described(t, remarked()))
	golden(t, "remarked.json", rendered(t, "json", namer(nil), events(remarked())))
	if text := described(t, bare()); !strings.HasSuffix(text, "\nfindings: none\n") {
		t.Error(text)
	}
	for _, l := range strings.Split(described(t, remarked()), "\n") {
		if len([]rune(l)) > render.Columns {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
}

// Both formats tell the same, and the schema describes it.
func TestFindingsInJSON(t *testing.T) {
	s := schema(t)
	document := decoded(t, rendered(t, "json", namer(nil), events(remarked()))).(map[string]any)
	lines := strings.Split(strings.TrimSpace(rendered(t, "jsonl", namer(nil), events(remarked()))), "\n")
	end := decoded(t, lines[len(lines)-1]).(map[string]any)
	if d := cmp.Diff(document["findings"], end["findings"]); d != "" {
		t.Errorf("-json +jsonl\n%s", d)
	}
	if all := document["findings"].([]any); len(all) == 0 || all[0].(map[string]any)["kind"] != "dscp-rewrite" {
		t.Errorf("%v", all)
	}
	for _, v := range []any{document, end} {
		if err := s.Validate(v); err != nil {
			t.Error(err)
		}
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 90)
	tests := map[string]struct{ text, want string }{
		"short":             {"a b", "> a b\n"},
		"nothing":           {"", ">\n"},
		"just fits":         {strings.Repeat("y", 76) + " z", "> " + strings.Repeat("y", 76) + " z\n"},
		"one too many":      {strings.Repeat("y", 77) + " z", "> " + strings.Repeat("y", 77) + "\n  z\n"},
		"held together":     {strings.Repeat("y", 74) + " 1\u00a0ms", "> " + strings.Repeat("y", 74) + "\n  1 ms\n"},
		"a word too long":   {"a " + long + " b", "> a\n  " + long + "\n  b\n"},
		"wide, but letters": {strings.Repeat("ä", 76) + " z", "> " + strings.Repeat("ä", 76) + " z\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(test.want, render.Wrap("> ", "  ", test.text)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	tests := map[string][]int{
		"": nil, "7": {7}, "1, 2": {2, 1}, "0-2, 5": {0, 1, 2, 5}, "1, 3, 5-7": {7, 5, 6, 1, 3, 3},
	}
	for want, all := range tests {
		if got := render.Numbers(all); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
