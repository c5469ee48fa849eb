package render_test

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// hopeless are hosts that could not be traced, with what is known of each.
func hopeless() map[string]*path.Path {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	host := func(addr string) *path.Path {
		p := &path.Path{Target: path.Target{Host: "target.example"}, Tool: "tracewire", Started: at, Ended: at}
		if addr != "" {
			p.Target.Addr = netip.MustParseAddr(addr)
		}
		return p
	}
	silent := host("192.0.2.77")
	silent.Source, silent.Protocol = plain().Source, layers.IPProtocolUDP
	silent.Parameters = plain().Parameters
	return map[string]*path.Path{"unknown": host(""), "no route": host("2001:db8::1"), "silent next hop": silent}
}

// untraced are the lines that a format writes of a host that could not be traced.
func untraced(t *testing.T, format string, p *path.Path) []string {
	t.Helper()
	var b bytes.Buffer
	r, err := render.New(format, &b, io.Discard, names)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Untraced(p, "why"); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// A program finds a document for each host, or the first and the last event of one, and
// in it why nothing was sent.
func TestAHostThatCouldNotBeTraced(t *testing.T) {
	s := schema(t)
	for name, p := range hopeless() {
		for format, want := range map[string][]string{"json": {`"hops":[]`}, "jsonl": {`"event":"start"`, `"event":"end"`}} {
			lines := untraced(t, format, p)
			if len(lines) != len(want) {
				t.Fatalf("%s: %d lines of %s: %q", name, len(lines), format, lines)
			}
			for i, l := range lines {
				if err := s.Validate(decoded(t, l)); err != nil {
					t.Errorf("%s: %v\n%s", name, err, l)
				}
				if !strings.Contains(l, want[i]) || !strings.Contains(l, `"host":"target.example"`) {
					t.Errorf("%s: line %d of %s is %s", name, i, format, l)
				}
			}
			if last := object(t, lines[len(lines)-1]); last["error"] != "why" || last["reached"] != false {
				t.Errorf("%s: %v", name, last)
			}
			known := object(t, lines[0])
			if addr := object(t, lines[0])["target"].(map[string]any)["addr"]; (addr == nil) != (name == "unknown") {
				t.Errorf("%s: the address is %v", name, addr)
			}
			if (known["source"] == nil) != (name != "silent next hop") || (known["options"] == nil) != (known["source"] == nil) {
				t.Errorf("%s: the source is %v, the options %v", name, known["source"], known["options"])
			}
		}
		if lines := untraced(t, "text", p); lines[0] != "" {
			t.Errorf("text has %q", lines)
		}
	}
}

// A trace that began has no error, whatever came of it.
func TestNoErrorOfATrace(t *testing.T) {
	for name := range traces() {
		for _, format := range []string{"json", "jsonl"} {
			for _, l := range jsonLines(t, format, name) {
				if _, ok := object(t, l)["error"]; ok {
					t.Errorf("%s: %s", name, l)
				}
			}
		}
	}
}
