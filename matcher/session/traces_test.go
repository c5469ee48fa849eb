package session_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/path"
)

var update = flag.Bool("update", false, "write testdata/traces.txt anew")

// testdata/traces.txt has the traces of all captures, one in a line below the
// name of the capture.
func TestFinderFindsTheTracesOfEachCapture(t *testing.T) {
	var b strings.Builder
	for _, file := range captureFiles(t) {
		fmt.Fprintln(&b, stem(file))
		for _, p := range find(framesOf(t, file)) {
			fmt.Fprintln(&b, "\t"+summary(p))
		}
	}
	golden := filepath.Join("testdata", "traces.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
}

// summary is a trace in one line.
func summary(p *path.Path) string {
	tool, end := p.Tool, "not reached"
	if tool == "" {
		tool = "?"
	}
	if p.Reached() {
		end = fmt.Sprintf("reached at %d", p.End())
	}
	c := &p.Counters
	s := fmt.Sprintf("%s %s %v -> %v: TTL %d-%d, %d sent, %d received", tool, p.Protocol, p.Source.Addr, p.Target.Addr,
		p.Parameters.FirstTTL, p.Parameters.MaxTTL, c.Sent, c.Received)
	if c.Duplicate > 0 {
		s += fmt.Sprintf(", %d twice", c.Duplicate)
	}
	if c.Late > 0 {
		s += fmt.Sprintf(", %d late", c.Late)
	}
	return s + ", " + end
}
