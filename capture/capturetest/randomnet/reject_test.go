package randomnet_test

import (
	"net/netip"
	"testing"

	"github.com/tracewire/tracewire/capture/capturetest/randomnet"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Behind a router that refuses what it gets and does not count down the TTL, nobody
// answers from the hop that would be both its own and the next one's.
func TestNothingIsCertainBehindARouterThatRefuses(t *testing.T) {
	target := netip.MustParseAddr("198.51.100.1")
	for _, keeps := range []bool{false, true} {
		router := func(name, addr string) topology.Router {
			return topology.Router{Node: topology.Node{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(addr)}}}
		}
		n := &topology.Topology{
			Routers: []topology.Router{router("r1", "10.0.1.1"), router("r2", "10.0.2.1"), router("r3", "10.0.3.1")},
			Links: []topology.Link{
				{Path: []string{topology.HostName, "r1"}}, {Path: []string{"r1", "r2"}}, {Path: []string{"r2", "r3"}}, {Path: []string{"r3", "target"}},
			},
			Destinations: []topology.Destination{{Node: topology.Node{Name: "target", Addresses: []netip.Addr{target}}}},
		}
		n.Routers[1].Reject, n.Routers[1].KeepTTL = &topology.Reject{Hook: topology.Forward}, keeps
		truth := randomnet.TruthOf(n, target)
		for hop, want := range map[int]bool{1: true, 2: !keeps, 3: false} {
			if truth.Certain(hop) != want {
				t.Errorf("keeps the TTL %v: hop %d is certain: %v", keeps, hop, !want)
			}
		}
	}
}
