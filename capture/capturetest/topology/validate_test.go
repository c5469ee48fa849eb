package topology_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// small is a network of one router, built in Go.
func small() topology.Topology {
	return topology.Topology{
		Routers: []topology.Router{{Node: topology.Node{Name: "r", Addresses: addrs("10.0.0.1")}}},
		Destinations: []topology.Destination{
			{Node: topology.Node{Name: "d", Addresses: addrs("198.51.100.1")}},
		},
		Links: []topology.Link{{Path: []string{"host", "r", "d"}}},
	}
}

func addrs(text ...string) []netip.Addr {
	addrs := make([]netip.Addr, len(text))
	for i, s := range text {
		addrs[i] = netip.MustParseAddr(s)
	}
	return addrs
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*topology.Topology)
		want  string
	}{
		{"sound, though it has no name", func(*topology.Topology) {}, ""},
		{"empty", func(t *topology.Topology) { *t = topology.Topology{} },
			"topology: topology: there is no destination and no prefix"},
		{"all faults", func(t *topology.Topology) {
			t.Routers[0].Answer.Delay = topology.Duration(-time.Millisecond)
			t.Links[0].Loss = 2
		}, "topology: link \"host\" to \"d\": loss 2 is outside 0 to 1\n" +
			`topology: router "r": answer.delay -1ms is negative`},
		{"host without a valid address", func(t *topology.Topology) {
			t.Host.Addresses = []netip.Prefix{{}}
		}, "topology: host: address is empty\n" +
			`topology: destination "d": the host has no address of its family`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topo, got := small(), ""
			tt.spoil(&topo)
			if err := topo.Validate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWithDefaults(t *testing.T) {
	given := small()
	given.Routers[0].Reject = &topology.Reject{Code: 13}
	given.Routers[0].Answer.MPLS = &topology.MPLS{Labels: []topology.Label{{Label: 16}, {Label: 17, TTL: 9}}}
	given.Routers[0].Answer.Limit.Rate = 2
	given.Destinations[0].Answer.TTL = 255

	want := small()
	want.Host = topology.Host{
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")},
		Gateways:  addrs("192.0.2.1", "2001:db8::1"),
		MTU:       1500,
	}
	want.Routers[0].Balance = topology.ByFlow
	want.Routers[0].Reject = &topology.Reject{Code: 13, Hook: topology.Prerouting}
	want.Routers[0].Answer = topology.Answer{
		TTL:   64,
		Limit: topology.Limit{Rate: 2, Burst: 1},
		MPLS:  &topology.MPLS{Labels: []topology.Label{{Label: 16, TTL: 1}, {Label: 17, TTL: 9}}},
	}
	want.Destinations[0].Answer.TTL = 255
	want.Links[0].MTU, want.Links[0].Weight = 1500, 1

	got := given.WithDefaults()
	if diff := cmp.Diff(want, got, sameValue); diff != "" {
		t.Error(diff)
	}
	if given.Routers[0].Reject.Hook != "" || given.Routers[0].Answer.MPLS.Labels[0].TTL != 0 || given.Links[0].MTU != 0 {
		t.Error("the defaults were filled into the original, too")
	}
	if diff := cmp.Diff(got, got.WithDefaults(), sameValue); diff != "" {
		t.Errorf("defaults of what has them differ: %s", diff)
	}
}

func TestDefaultGatewayBesideAGivenOne(t *testing.T) {
	topo := small()
	topo.Host.Gateways = addrs("2001:db8::77")
	if diff := cmp.Diff(addrs("2001:db8::77", "192.0.2.1"), topo.WithDefaults().Host.Gateways, sameValue); diff != "" {
		t.Error(diff)
	}
}
