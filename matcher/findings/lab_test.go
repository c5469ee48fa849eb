package findings_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// simulated traces through a topology in virtual time. What o doesn't say is
// fixed.
func simulated(t *testing.T, top *topology.Topology, dst netip.Addr, o tracewire.Options) (p *path.Path) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.Simulate(top)
		if err != nil {
			t.Fatal(err)
		}
		if o.Seed == 0 {
			o.Seed = 11
		}
		if o.MaxTTL == 0 {
			o.MaxTTL = 20
		}
		o.SrcPort = 50123
		o.Wait = path.Wait{Max: 500 * time.Millisecond}
		o.Dial = tracewire.Through(network.Conn(capturetest.Host{}))
		if p, err = tracewire.Trace(t.Context(), dst.String(), &o); err != nil {
			t.Fatal(err)
		}
	})
	return p
}

// shipped is one of the topologies that tracewire comes with.
func shipped(t *testing.T, name string) *topology.Topology {
	t.Helper()
	data, err := topologies.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// placedKinds are findings as tests list them: kind, hops, confidence.
func placedKinds(t *testing.T, all []findings.Finding) []string {
	found := []string{}
	for _, f := range all {
		t.Logf("%v  %v", f.String(), f.Evidence)
		found = append(found, fmt.Sprintf("%v %d-%d %v", f.Kind, f.HopFrom, f.HopTo, f.Confidence))
	}
	return found
}

// What each of the networks that tracewire comes with does to a trace to each of
// its destinations: nothing, where none is named.
func TestShippedTopologiesMakeTheirFindings(t *testing.T) {
	want := map[string][]string{
		"demo/198.51.100.80":      {"nat 2-3 likely", "mpls 6-7 certain", "dscp-rewrite 8-9 likely"},
		"dscp/198.51.100.1":       {"dscp-rewrite 3-4 certain", "ecn-rewrite 4-5 possible", "dscp-rewrite 5-6 certain"},
		"firewall/198.51.100.1":   {"refusal 3-3 certain"},
		"firewall/198.51.100.2":   {"refusal 3-3 certain"},
		"firewall/198.51.100.3":   {"refusal 3-3 certain"},
		"firewall/198.51.100.4":   {"refusal 3-3 certain"},
		"firewall/198.51.100.5":   {"refusal 3-3 certain"},
		"firewall/198.51.100.6":   {"refusal 3-3 certain"},
		"firewall/198.51.100.7":   {"refusal 3-3 certain"},
		"limits/198.51.100.1":     {"rate-limit 2-2 possible", "slow-replies 4-4 possible", "asymmetry 6-6 likely"},
		"lossy/198.51.100.1":      {"loss 0-3 possible"},
		"mpls/198.51.100.1":       {"mpls 2-8 certain"},
		"nat/198.51.100.1":        {"nat 3-4 likely"},
		"per-packet/198.51.100.1": {"path-change 2-4 possible"},
		"per-packet/198.51.100.2": {"path-change 2-4 possible"},
		"services/198.51.100.4":   {"silence 2-3 likely"},
		"services/198.51.100.6":   {"silence 2-3 likely"},
		"quotes/198.51.100.1": {
			"id-rewrite 5-5 certain", "id-rewrite 6-6 certain", "ttl-rewrite 7-7 likely", "ttl-rewrite 8-8 likely", "zero-ttl 10-11 certain",
		},
	}
	traced := 0
	for _, name := range topologies.Names() {
		top := shipped(t, name)
		for _, dst := range destinations(top) {
			key := name + "/" + dst.String()
			t.Run(key, func(t *testing.T) {
				p := simulated(t, top, dst, tracewire.Options{})
				expected := want[key]
				if expected == nil {
					expected = []string{}
				}
				delete(want, key)
				if d := cmp.Diff(expected, placedKinds(t, findings.Of(p))); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
			})
			traced++
		}
	}
	if len(want) > 0 || traced < 25 {
		t.Errorf("%d traces; never traced: %v", traced, want)
	}
}

// destinations are a topology's IPv4 destinations, and one of each prefix.
func destinations(top *topology.Topology) (all []netip.Addr) {
	for _, d := range top.Destinations {
		all = append(all, d.Addresses[0])
	}
	for _, p := range top.Prefixes {
		if p.Prefix.Addr().Is4() {
			all = append(all, p.Prefix.Addr().Next().Next())
		}
	}
	return all
}

// balanced is a network with two ways between a balancer at hop 2 and the hops
// behind it: of one router each, or of one and of two.
func balanced(t *testing.T, by string, long bool) *topology.Topology {
	t.Helper()
	file := `name = "balanced"
seed = 3
`
	nodes := map[string]string{"n1": "10.0.1.1", "left": "10.0.3.1", "right": "10.0.3.2", "n4": "10.0.4.1", "n5": "10.0.5.1"}
	way := `"right"`
	if long {
		nodes["right2"], way = "10.0.3.3", `"right", "right2"`
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		file += fmt.Sprintf("[[router]]\nname = %q\naddresses = [%q]\n", name, nodes[name])
	}
	return parsed(t, file+fmt.Sprintf(`
[[router]]
name = "n2"
addresses = ["10.0.2.1"]
balance = %q

[[destination]]
name = "end"
addresses = ["198.51.100.1"]

[[link]]
path = ["host", "n1", "n2", "left", "n4", "n5", "end"]
delay = "1ms"

[[link]]
path = ["n2", %s, "n4"]
delay = "1ms"
`, by, way))
}

func TestBalancers(t *testing.T) {
	tests := map[string]struct {
		by   string
		long bool
		want []string
	}{
		"per flow":                             {by: "flow", want: []string{}},
		"per flow, of different length":        {by: "flow", long: true, want: []string{}},
		"per destination":                      {by: "destination", want: []string{}},
		"per packet":                           {by: "packet", want: []string{"path-change 2-4 possible"}},
		"per packet, ways of different length": {by: "packet", long: true, want: []string{"path-change 2-6 likely"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := simulated(t, balanced(t, test.by, test.long), netip.MustParseAddr("198.51.100.1"), tracewire.Options{Queries: 10})
			all := findings.Of(p)
			if d := cmp.Diff(test.want, placedKinds(t, all)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if len(all) > 0 && !strings.Contains(all[0].Detail, "alanced per packet") {
				t.Errorf("doesn't say that it is balanced: %s", all[0].Detail)
			}
		})
	}
}

// Loss on a link is found where it is, however the dice fall, and is seldom
// taken for a router that limits its replies.
func TestLossIsFoundOnItsLink(t *testing.T) {
	const link, seeds = 5, 40
	found, limits := 0, 0
	for seed := range uint64(seeds) {
		top := row(t, map[int]string{-link: "loss = 0.2"})
		top.Seed = seed + 1
		for _, f := range findings.Of(simulated(t, top, netip.MustParseAddr("198.51.100.1"), tracewire.Options{Queries: 10})) {
			switch {
			case f.Kind == findings.RateLimit:
				limits++
			case f.Kind != findings.Loss:
				t.Errorf("seed %d: %v", top.Seed, f.String())
			case int(f.HopFrom) < link && int(f.HopTo) >= link:
				found++
			default:
				t.Errorf("seed %d: not between hops %d and %d: %v", top.Seed, link-1, link, f.String())
			}
		}
	}
	if found < seeds-2 || limits > 2 {
		t.Errorf("of %d traces %d show the loss, and %d a limit", seeds, found, limits)
	}
}

// A target that limits its answers loses nothing, whichever probes reach it: those that
// went beyond it too. Beside a real loss that one is seldom taken to be elsewhere.
func TestALimitedTargetIsNoLoss(t *testing.T) {
	const link, seeds = 5, 40
	for _, limit := range []string{"rate = 1, burst = 1", "rate = 1, burst = 2", "rate = 10, burst = 1", "rate = 100, burst = 3"} {
		for _, queries := range []int{3, 10} {
			wrong := 0
			for seed := range uint64(seeds) {
				for _, lossy := range []string{"", "loss = 0.1"} {
					top := row(t, map[int]string{-link: lossy, endOfRow: "answer = { limit = { " + limit + " } }"})
					top.Seed = seed + 1
					for _, f := range findings.Of(simulated(t, top, netip.MustParseAddr("198.51.100.1"), tracewire.Options{Queries: queries})) {
						switch {
						case f.Kind != findings.Loss:
						case lossy == "":
							t.Errorf("%s, %d queries, seed %d: %v", limit, queries, top.Seed, f.String())
						case int(f.HopFrom) >= link || int(f.HopTo) < link:
							wrong++
						}
					}
				}
			}
			if wrong > 4 {
				t.Errorf("%s, %d queries: %d of %d at the wrong hops", limit, queries, wrong, seeds)
			}
		}
	}
}

// Where round trips vary by more than what would be a finding, chance alone seldom
// makes one, or at the wrong hop.
func TestJitterIsSeldomTakenForLatency(t *testing.T) {
	const seeds = 100
	for link, links := range map[int]map[int]string{
		1: {-1: `jitter = "100ms"`}, 5: {-5: `jitter = "100ms"`}, 9: {-9: `jitter = "100ms"`}, 0: {0: `jitter = "25ms"`},
	} {
		for _, queries := range []int{1, 3, 10} {
			wrong := 0
			for seed := range uint64(seeds) {
				top := row(t, links)
				top.Seed = seed + 1
				for _, f := range findings.Of(simulated(t, top, netip.MustParseAddr("198.51.100.1"), tracewire.Options{Queries: queries})) {
					if f.Kind == findings.Latency && int(f.HopTo) != link || f.Kind == findings.SlowReplies {
						wrong++
					}
				}
			}
			if wrong > 4 {
				t.Errorf("link %d, %d queries: %d of %d", link, queries, wrong, seeds)
			}
		}
	}
}
