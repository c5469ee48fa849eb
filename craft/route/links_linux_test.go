package route_test

import (
	stdcmp "cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft/route"
)

// linkLocal is the interface's address that the kernel has given it.
func linkLocal(t *testing.T, name string) netip.Addr {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := i.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Fatalf("%s has no link-local address: %v", name, addresses)
	return netip.Addr{}
}

// check looks a route up.
func check(t *testing.T, dst string, o route.Options, want route.Route) {
	t.Helper()
	got, err := route.Lookup(addr(dst), o)
	if err != nil {
		t.Errorf("%s: %v", dst, err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", dst, diff)
	}
}

func TestLookupLinkLocal(t *testing.T) {
	uplink, _, _, second := office(t)
	for _, link := range []*kernelnet.Link{uplink, second} {
		name, index := link.A.Interface, fmt.Sprint(link.A.Index)
		want := route.Route{
			Interface: name, Index: link.A.Index, MTU: 1500, MAC: link.A.MAC,
			Source: linkLocal(t, name), NextHop: addr("fe80::99"), Zone: index,
		}
		check(t, "fe80::99%"+name, route.Options{}, want)
		check(t, "fe80::99%"+index, route.Options{}, want)
		check(t, "fe80::99", route.Options{Interface: name}, want)
		check(t, "fe80::99%"+name, route.Options{Interface: name}, want)
		check(t, "fe80::99%"+name, route.Options{Source: want.Source.WithZone(name)}, want)
		if got := want.Scoped(want.NextHop); got != addr("fe80::99%"+index) {
			t.Errorf("Scoped: %v", got)
		}

		itself := linkLocal(t, name)
		local := route.Route{
			Kind: route.Local, Interface: "lo", Index: 1, MTU: 65535, Source: itself, Zone: index,
		}
		check(t, itself.String()+"%"+name, route.Options{}, local)
	}
	want := route.Route{
		Interface: "eth0", Index: uplink.A.Index, MTU: 1500, MAC: uplink.A.MAC,
		Source: addr("fd77:1::1"), NextHop: addr("fe80::77"), Zone: fmt.Sprint(uplink.A.Index),
	}
	uplink.A.Node.Run("ip", "-6", "route", "add", "fd82::/64", "via", "fe80::77", "dev", "eth0")
	check(t, "fd82::1", route.Options{}, want)
	if got := want.Scoped(want.Source); got != want.Source {
		t.Errorf("Scoped: %v", got)
	}
}

func TestLookupThisHostItself(t *testing.T) {
	office(t)
	tests := []struct {
		name, dst string
		options   route.Options
		source    string
	}{
		{"loopback", "127.0.0.1", route.Options{}, "127.0.0.1"},
		{"loopback in IPv6", "::1", route.Options{}, "::1"},
		{"an interface's address", "10.77.1.1", route.Options{}, "10.77.1.1"},
		{"an interface's address in IPv6", "fd77:1::1", route.Options{}, "fd77:1::1"},
		{"a secondary address", "10.77.1.50", route.Options{}, "10.77.1.1"},
		{"an address of lo", "10.55.0.1", route.Options{}, "10.55.0.1"},
		{"by its interface", "10.77.1.1", route.Options{Interface: "eth0"}, "10.77.1.1"},
		{"by another interface", "10.77.1.1", route.Options{Interface: "eth1"}, "10.77.1.1"},
		{"loopback, by an interface", "127.0.0.1", route.Options{Interface: "eth0"}, "127.0.0.1"},
		{"by lo", "127.0.0.1", route.Options{Interface: "lo"}, "127.0.0.1"},
		{"from another address", "10.77.1.1", route.Options{Source: addr("10.55.0.1")}, "10.55.0.1"},
		{"IPv4 as IPv6 has it", "::ffff:10.77.1.1", route.Options{}, "10.77.1.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, tt.dst, tt.options, route.Route{
				Kind: route.Local, Interface: "lo", Index: 1, MTU: 65535, Source: addr(tt.source),
			})
		})
	}
}

// The next hop need not be there, if its address is given.
func TestNeighbourGiven(t *testing.T) {
	uplink, _, _, _ := office(t)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	for dst, nextHop := range map[string]string{"10.77.1.9": "10.77.1.9", "fd77:1::9": "fd77:1::9", "10.99.0.1": "10.77.1.2"} {
		r, err := route.Lookup(addr(dst), route.Options{NextHopMAC: mac})
		if err != nil || r.NextHop != addr(nextHop) {
			t.Fatalf("%+v, %v", r, err)
		}
		before := transmitted(t, r)
		if got, err := r.Neighbour(t.Context()); err != nil || got.String() != mac.String() {
			t.Errorf("%v, %v", got, err)
		}
		if after := transmitted(t, r); after != before {
			t.Errorf("%d packets sent", after-before)
		}
	}
	for _, dst := range []string{"127.0.0.1", uplink.A.Addr().String(), "::1"} {
		if r, err := route.Lookup(addr(dst), route.Options{NextHopMAC: mac}); !errors.Is(err, route.ErrNoMAC) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestLookupOverATunnel(t *testing.T) {
	for name, kind := range map[string]kernelnet.Tunnel{"tun": kernelnet.Tun, "PPP": kernelnet.PPP} {
		t.Run(name, func(t *testing.T) {
			n := kernelnet.New(t)
			tunnel := n.Tunnel(kind, n.Host(), n.Router("r1"), "10.77.1.0/24", "fd77:1::/64")
			ip(n, "route add 10.80.0.0/16 dev "+tunnel.A.Interface)
			ip(n, "route add default via 10.77.1.2")
			ip(n, "-6 route add default via fd77:1::2")
			via := func(source, nextHop string) route.Route {
				return route.Route{
					Kind: route.Raw, Interface: tunnel.A.Interface, Index: tunnel.A.Index, MTU: 1500,
					Source: addr(source), NextHop: addr(nextHop),
				}
			}
			check(t, "10.77.1.2", route.Options{}, via("10.77.1.1", ""))
			check(t, "10.80.0.1", route.Options{}, via("10.77.1.1", ""))
			check(t, "10.80.0.1", route.Options{Interface: tunnel.A.Interface}, via("10.77.1.1", ""))
			check(t, "10.99.0.1", route.Options{}, via("10.77.1.1", "10.77.1.2"))
			check(t, "fd77:1::2", route.Options{}, via("fd77:1::1", ""))
			check(t, "fd99::1", route.Options{}, via("fd77:1::1", "fd77:1::2"))
		})
	}
}

// There is no next hop to resolve, and nobody is asked.
func TestNeighbourWhereThereAreNone(t *testing.T) {
	for _, r := range []route.Route{{Kind: route.Raw, Interface: "nosuch0"}, {Kind: route.Local, Interface: "lo"}} {
		if mac, err := r.Neighbour(t.Context()); mac != nil || err != nil {
			t.Errorf("%+v: %v, %v", r, mac, err)
		}
	}
}

func TestLookupByAPortOfABridge(t *testing.T) {
	n := kernelnet.New(t)
	one, other := n.Link(n.Host(), n.Router("r1")), n.Link(n.Host(), n.Router("r2"))
	outside := n.Link(n.Host(), n.Router("r3"), "10.77.3.0/24")
	bridge := n.Bridge("br0", []kernelnet.End{one.A, other.A}, "10.77.1.1/24", "fd77:1::1/64")
	one.A.Node.Run("ip", "link", "set", one.A.Interface, "mtu", "1400")
	one.A.Node.Run("ip", "link", "set", "br0", "mtu", "1450")
	ip(n, "route add default via 10.77.1.2")
	for _, tt := range []struct {
		named, port string
		mtu         int
	}{
		{"", "", 1450}, {"br0", "", 1450},
		{one.A.Interface, one.A.Interface, 1400}, {other.A.Interface, other.A.Interface, 1450},
	} {
		want := route.Route{
			Interface: "br0", Index: bridge.Index, Port: tt.port, MTU: tt.mtu, MAC: bridge.MAC,
			Source: addr("10.77.1.1"), NextHop: addr("10.77.1.2"),
		}
		check(t, "10.99.0.1", route.Options{Interface: tt.named}, want)
		if got, device := want.Device(), stdcmp.Or(tt.port, "br0"); got != device {
			t.Errorf("Device: %s, want %s", got, device)
		}
		want.Source, want.NextHop = addr("fd77:1::1"), addr("fd77:1::9")
		check(t, "fd77:1::9", route.Options{Interface: tt.named}, want)
	}
	want := route.Route{
		Interface: "br0", Index: bridge.Index, Port: one.A.Interface, MTU: 1400, MAC: bridge.MAC,
		Source: linkLocal(t, "br0"), NextHop: addr("fe80::9"), Zone: fmt.Sprint(bridge.Index),
	}
	for _, zone := range []string{"br0", one.A.Interface} {
		check(t, "fe80::9%"+zone, route.Options{Interface: one.A.Interface}, want)
	}
	check(t, "10.77.3.2", route.Options{}, route.Route{
		Interface: outside.A.Interface, Index: outside.A.Index, MTU: 1500, MAC: outside.A.MAC,
		Source: addr("10.77.3.1"), NextHop: addr("10.77.3.2"),
	})
}
