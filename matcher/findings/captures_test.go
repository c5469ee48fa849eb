package findings_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// findingsIn are the findings of all traces in a capture.
func findingsIn(t *testing.T, name string) (all []findings.Finding, traces int) {
	t.Helper()
	source, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	err = tracewire.Replay(t.Context(), source, nil, func(e tracewire.Event) {
		if e.Kind == path.Ended {
			all = append(all, findings.Of(e.Path)...)
			traces++
		}
	})
	if err != nil {
		t.Error(err)
	}
	return all, traces
}

func TestFindingsInCapturesOfOthers(t *testing.T) {
	want := map[string][]string{
		"arkime_v6_traceroute_1999.pcap":           {"latency 3-4 likely"},
		"caracal_icmp-icmp-ttl-exceeded-mpls.pcap": {"mpls 11-11 certain"},
		"pcapplusplus_IcmpPackets.pcap":            {"mpls 0-0 likely"},
		"tcpdump_mpls_traceroute.pcap":             {"mpls 1-2 certain"},
	}
	files, err := filepath.Glob("../../testdata/captures/*.pcap")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	traces := 0
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			expected := want[name]
			if expected == nil {
				expected = []string{}
			}
			all, n := findingsIn(t, file)
			traces += n
			if d := cmp.Diff(expected, placedKinds(t, all)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
	if traces < 13 {
		t.Errorf("only %d traces", traces)
	}
}

// What other programs' traces through the networks that tracewire comes with can
// show, each as much of it as its probes do. What isn't named shows nothing.
func TestFindingsInRecordingsOfPeers(t *testing.T) {
	can := map[string][]string{
		"demo":     {"mpls 6-7 certain", "mpls 0-0 likely", "dscp-rewrite 8-9 likely", "nat 2-3 likely", "balanced 3-6 likely"},
		"diamond":  {"balanced 2-4 likely", "balanced 4-7 likely", "balanced 4-6 likely"},
		"firewall": {"refusal 3-3 certain"},
		"limits":   {"asymmetry 6-6 likely", "slow-replies 4-4 possible"},
		"lossy":    {"loss 0-2 likely"},
		"mpls":     {"mpls 2-8 certain", "mpls 6-8 certain"},
		"nat":      {"nat 3-4 likely"},
		"quotes": {
			"id-rewrite 5-5 certain", "id-rewrite 6-6 certain", "ttl-rewrite 7-7 likely", "ttl-rewrite 8-8 likely", "zero-ttl 10-11 certain",
		},
	}
	files, err := filepath.Glob("../../testdata/captures/peers/*.pcap")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".pcap"), "-ipv6")
		network := name[strings.LastIndex(name, "-")+1:]
		t.Run(filepath.Base(file), func(t *testing.T) {
			all, _ := findingsIn(t, file)
			for _, f := range placedKinds(t, all) {
				if !slices.Contains(can[network], f) {
					t.Errorf("%s is not in %s", f, network)
				}
				seen[network+": "+f] = true
			}
		})
	}
	for _, network := range slices.Sorted(maps.Keys(can)) {
		for _, f := range can[network] {
			if key := network + ": " + f; !seen[key] {
				t.Error(fmt.Sprint("never found: ", key))
			}
		}
	}
}
