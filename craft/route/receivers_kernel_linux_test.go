package route_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft/route"
)

// receivers are those of the route to a target.
func receivers(t *testing.T, dst string, o route.Options) (outgoing string, also []string) {
	t.Helper()
	r, err := route.Lookup(addr(dst), o)
	if err != nil {
		t.Fatal(err)
	}
	if also, err = r.Receivers(); err != nil {
		t.Fatal(err)
	}
	return r.Device(), also
}

// Uplinks are found in routes over several next hops, and in every table.
func TestReceiversAreTheOtherUplinks(t *testing.T) {
	n := twoUplinks(t)
	n.Link(n.Host(), n.Router("inside"), "10.77.9.0/24", "fd77:9::/64") // eth4, which leads no farther
	for _, dst := range targets {
		tcp := route.Options{Flow: route.Flow{Protocol: layers.IPProtocolTCP, SrcPort: 40000, DstPort: 80}}
		outgoing, also := receivers(t, dst, tcp)
		if d := cmp.Diff([]string{"eth0", "eth1", "eth2"}, also); d != "" || outgoing != "eth3" {
			t.Errorf("%s by %s: -want +got:\n%s", dst, outgoing, d)
		}
		far := "10.77.9.1"
		if addr(dst).Is6() {
			far = "fd77:9::1"
		}
		tcp.Source = addr(far)
		if _, also = receivers(t, dst, tcp); !cmp.Equal([]string{"eth0", "eth1", "eth2", "eth4"}, also) {
			t.Errorf("%s from %s: %q", dst, far, also)
		}
	}
}

// A host with one uplink captures on that, whatever other links it has.
func TestReceiversOfOneUplinkAreNone(t *testing.T) {
	n := kernelnet.New(t)
	n.Link(n.Host(), n.Router("r"), "10.77.1.0/24", "fd77:1::/64")
	inside := n.Link(n.Host(), n.Router("inside"))
	n.Bridge("br0", []kernelnet.End{inside.A}, "172.17.0.1/16", "fd17::1/64")
	n.Host().Route("default", "10.77.1.2")
	n.Host().Route("2000::/3", "fd77:1::2")
	for _, dst := range []string{"10.99.0.1", "2001:db8::1", "127.0.0.1"} {
		if outgoing, also := receivers(t, dst, route.Options{}); also != nil {
			t.Errorf("%s by %s: %q", dst, outgoing, also)
		}
	}
}

// An IPv4 route may have an IPv6 gateway, by a link without an IPv4 address; and a link
// without neighbours has routes without any.
func TestReceiversByOddRoutes(t *testing.T) {
	kernelnet.RequirePrograms(t, "ip")
	n := kernelnet.New(t)
	n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24")
	n.Link(n.Host(), n.Router("r2"), "fd77:2::/64")
	tunnel := n.Tunnel(kernelnet.Tun, n.Host(), n.Router("r3"), "10.77.3.0/24", "fd77:3::/64")
	n.Host().Route("default", "10.77.1.2")
	if _, also := receivers(t, "10.99.0.1", route.Options{}); also != nil {
		t.Errorf("%q before there are routes", also)
	}
	ip(n, "route add 10.0.0.0/8 via inet6 fd77:2::2 dev eth1")
	if _, also := receivers(t, "10.99.0.1", route.Options{Interface: "eth0"}); !cmp.Equal([]string{"eth1"}, also) {
		t.Errorf("%q with a gateway of IPv6", also)
	}
	ip(n, "route add 10.64.0.0/16 dev "+tunnel.A.Interface)
	if _, also := receivers(t, "10.99.0.1", route.Options{Interface: "eth0"}); !cmp.Equal([]string{"eth1", tunnel.A.Interface}, also) {
		t.Errorf("%q with a route by a tunnel", also)
	}
}

// What a port of a bridge sees, the bridge sees too, and a MACVLAN's frames the
// interface under it.
func TestReceiversSeeNoFrameTwice(t *testing.T) {
	n := kernelnet.New(t)
	n.Link(n.Host(), n.Router("r1"), "10.77.1.0/24", "fd77:1::/64")
	second := n.Link(n.Host(), n.Router("r2"), "10.77.2.0/24", "fd77:2::/64")
	n.MACVLAN(second, "10.77.3.0/24", "fd77:3::/64")
	n.Host().Address("10.55.0.1", "fd55::1")
	n.Host().Route("10.99.0.0/16", "10.77.1.2")
	n.Host().Route("fd99::/16", "fd77:1::2")
	n.Host().Route("10.98.0.0/16", "10.77.3.2")
	for dst, source := range map[string]string{"10.99.0.1": "10.55.0.1", "fd99::1": "fd55::1"} {
		outgoing, also := receivers(t, dst, route.Options{Source: addr(source)})
		if d := cmp.Diff([]string{"eth1"}, also); d != "" || outgoing != "eth0" {
			t.Errorf("%s by %s: -want +got:\n%s", dst, outgoing, d)
		}
	}
	if outgoing, also := receivers(t, "10.98.0.1", route.Options{Source: addr("10.55.0.1")}); outgoing != "eth1-mac" || !cmp.Equal([]string{"eth0"}, also) {
		t.Errorf("by %s: %q", outgoing, also)
	}
}

// What every trace pays on a host with one uplink and twenty other links.
func BenchmarkReceivers(b *testing.B) {
	n := kernelnet.New(b)
	n.Link(n.Host(), n.Router("r"), "10.77.1.0/24")
	n.Host().Route("default", "10.77.1.2")
	for i := range 20 {
		n.Link(n.Host(), n.Router(fmt.Sprint("inside", i)), fmt.Sprintf("10.80.%d.0/24", i))
	}
	r, err := route.Lookup(addr("10.99.0.1"), route.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if also, err := r.Receivers(); err != nil || also != nil {
			b.Fatal(also, err)
		}
	}
}
