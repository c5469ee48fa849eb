package findings_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// The order of the rules is part of what they conclude: the package's documentation
// says why it is this one.
func TestOrderOfRules(t *testing.T) {
	want := []string{
		"zero TTL", "zero TTL before the target", "loop", "raised probes", "set replies",
		"explicit tunnel", "implicit tunnel", "implicit tunnel by ways back", "invisible tunnel",
		"DSCP", "ECN", "ID", "length", "DF", "address", "port", "checksum", "quoted TTL", "asymmetry",
		"spoofed replies", "time exceeded from the target", "refusal",
		"capture loss", "MTU", "rate limit", "loss", "silence",
		"latency", "slow replies", "path change", "balanced flows", "flooded", "unverified target",
	}
	if d := cmp.Diff(want, findings.RuleNames()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// No rule depends on one that runs after it, by what the table declares, nor on any
// that it doesn't declare, in thousands of traces; and what it declares it does read.
func TestRulesReadWhatRanBefore(t *testing.T) {
	for _, s := range findings.EarlyReads() {
		t.Error(s)
	}
	paths := []*path.Path{clean(3).Path}
	for seed := range uint64(1000) {
		paths = append(paths, roll(seed, 0).path())
	}
	for i, p := range paths {
		for _, s := range findings.Misbehaviour(p) {
			t.Fatalf("path %d: %s", i, s)
		}
	}
	for _, s := range findings.UnusedReads(paths) {
		t.Error(s)
	}
}

// A record notes who reads what has not run yet, or what the table doesn't declare.
func TestRecordNotesMisreads(t *testing.T) {
	for name, test := range map[string]struct {
		reader, read string
		want         bool
	}{
		"a rule that ran, as declared":       {"loop", "zero TTL", false},
		"a rule that ran, not declared":      {"latency", "zero TTL", true},
		"a rule that runs later":             {"zero TTL", "loop", true},
		"itself":                             {"loop", "loop", true},
		"the one that another rule declares": {"loss", "rate limit", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := findings.ReadAs(clean(3).Path, test.reader, test.read); got != test.want {
				t.Errorf("misread %v, want %v", got, test.want)
			}
		})
	}
}
