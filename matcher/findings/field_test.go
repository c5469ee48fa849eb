package findings_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// What testdata/field/INDEX.md says is right of captures.
func TestFindingsInCapturesFromTheField(t *testing.T) {
	for name, want := range map[string]string{
		"false_asymmetry_hop1.pcap": "id-rewrite before hop 1 (likely): All hops from 1 on quote the IP ID as something else: it is changed before hop 1.",
		"mpls_orphan_no_e.pcap": "mpls at an unknown hop (likely): Explicit tunnel: 198.18.0.1 and 198.18.0.4 report labels, " +
			"at hops that are not known.",
	} {
		all, traces := findingsIn(t, "../../testdata/field/"+name)
		if traces != 1 || len(all) != 1 || all[0].String() != want {
			t.Errorf("%s: %d traces, %v\nwant %s", name, traces, all, want)
		}
	}
}

// throughField is a trace through a network of testdata/field.
func throughField(t *testing.T, name, to string, o tracewire.Options) *path.Path {
	t.Helper()
	data, err := os.ReadFile("../../testdata/field/" + name)
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return simulated(t, top, netip.MustParseAddr(to), o)
}

// A router that forwards ports answers in the target's name, and other routers are
// behind it: it is no impostor for certain.
func TestPortForwardingIsNoImpostor(t *testing.T) {
	p := throughField(t, "dnat.toml", "198.51.100.1", tracewire.Options{})
	all := findings.Of(p)
	if d := cmp.Diff([]string{"ttl-exceeded-from-destination 2-2 likely"}, placedKinds(t, all)); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
	if !strings.Contains(all[0].Detail, "DNAT") {
		t.Error(all[0].Detail)
	}
}

// A target that answers from another of its addresses is told from a refusal, and
// does not count as reached.
func TestTheTargetByAnotherAddress(t *testing.T) {
	p := throughField(t, "otheraddr.toml", "172.16.0.2", tracewire.Options{})
	if d := cmp.Diff([]string{"other-address 3-3 likely"}, placedKinds(t, findings.Of(p))); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if p.Reached() || p.End() != 3 {
		t.Errorf("reached %v, ends at %d", p.Reached(), p.End())
	}
}
