package tracewire_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// A loose source route leads along a way that is not the usual one, by every
// protocol.
func TestKernelLooseSourceRoute(t *testing.T) {
	n := kernelnet.New(t)
	left, right, join, fork := n.Router("left"), n.Router("right"), n.Router("join"), n.Router("fork")
	for _, node := range []*kernelnet.Node{n.Host(), fork, left, right, join} {
		node.Sysctl("net.ipv4.conf.all.accept_source_route", "1")
		node.Sysctl("net.ipv4.conf.default.accept_source_route", "1") // of the interfaces to come
	}
	n.Link(n.Host(), fork, "10.77.1.0/24")
	n.Link(fork, left, "10.77.2.0/24")
	n.Link(fork, right, "10.77.3.0/24")
	n.Link(left, join, "10.77.4.0/24")
	n.Link(right, join, "10.77.5.0/24")
	join.Address(destination.String())
	n.Host().Route("default", "10.77.1.2")
	fork.Route("default", "10.77.2.2")
	left.Route("default", "10.77.4.2")
	right.Route("default", "10.77.5.2")
	left.Route("10.77.1.0/24", "10.77.2.1")
	right.Route("10.77.1.0/24", "10.77.3.1")
	join.Route("default", "10.77.4.1")
	want := []string{"10.77.1.2", "10.77.3.2", destination.String()}
	for name, protocol := range map[string]layers.IPProtocol{"UDP": 0, "echo": layers.IPProtocolICMPv4, "SYN": layers.IPProtocolTCP} {
		t.Run(name, func(t *testing.T) {
			p := mustTraceTo(t, destination, tracewire.Options{Protocol: protocol, Gateways: []netip.Addr{netip.MustParseAddr("10.77.3.2")}})
			if d := cmp.Diff(want, addrs(p)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
