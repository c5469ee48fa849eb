package tracewire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/matcher/path"
)

// What Linux is given to send, in a kernel lab, was built before.
func TestFramesAreThoseThatLinuxSends(t *testing.T) {
	c := chain(t, 3, nil)
	near := c.Links[0]
	o := tracewire.Options{Seed: 42, Queries: 2, Wait: path.Wait{Max: time.Second}}
	recorded := record(t, &o)
	p, err := tracewire.Trace(t.Context(), destination, &o)
	if err != nil {
		t.Fatal(err)
	}
	o.Recording = nil
	wire := &tracewire.Wire{Source: p.Source}
	if near.A.MAC.String() != p.Source.MAC.String() {
		t.Fatalf("sent from %v", p.Source.MAC)
	}
	built, sent := crafted(t, destination, wire, o), framesOf(t, &recorded.file)
	for _, probe := range p.Probes {
		if probe.Frame == 0 {
			t.Fatalf("TTL %d was not seen leaving", probe.TTL)
		}
		if d := cmp.Diff(built[slot{probe.TTL, probe.Round}], string(sent[probe.Frame-1])); d != "" {
			t.Errorf("TTL %d, round %d: -built +sent\n%s", probe.TTL, probe.Round, d)
		}
	}
}
