package route_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft/route"
)

// ip runs iproute2's ip in the host with words separated by spaces.
func ip(n *kernelnet.Network, words string) {
	n.Host().Run(append([]string{"ip"}, strings.Fields(words)...)...)
}

// office is a host with an uplink (eth0), an internal link (eth1), a link
// where it has no address (eth2), one that is down (eth3) and one that carries
// IPv6 alone (eth4).
func office(t *testing.T) (uplink, internal, bare, second *kernelnet.Link) {
	t.Helper()
	n := kernelnet.New(t)
	r1, r2 := n.Router("r1"), n.Router("r2")
	uplink = n.Link(n.Host(), r1, "10.77.1.0/24", "fd77:1::/64")
	internal = n.Link(n.Host(), r2, "10.77.2.0/24")
	bare = n.Link(n.Host(), r2)
	n.Link(n.Host(), r2, "10.77.4.0/24")
	second = n.Link(n.Host(), r2, "fd77:5::/64")
	internal.SetMTU(1400)
	n.Host().Address("10.55.0.1")
	for _, words := range []string{
		"link set eth3 down",
		"addr add 10.77.1.50/24 dev eth0",
		"addr add 10.66.0.1/16 dev eth1",
		"route add default via 10.77.1.2",
		"route add 10.80.0.0/16 via 10.77.2.2",
		"route add 10.80.7.0/24 via 10.77.1.2",
		"route add 10.80.7.7 via 10.66.0.2",
		"route add 10.81.0.0/16 via 10.77.1.2 src 10.55.0.1",
		"route add 10.82.0.0/16 dev eth2",
		"route add 10.83.0.0/16 dev eth2 src 10.77.2.1",
		"route add 10.84.0.0/16 via 192.0.2.1 dev eth1 onlink",
		"route add 10.85.0.0/16 via inet6 fd77:1::2 dev eth0",
		"route add 10.86.0.0/16 dev lo",
		"route add 10.87.0.0/16 via 10.77.2.2 metric 10",
		"route add 10.87.0.0/16 via 10.77.1.2 metric 20",
		"route add prohibit 10.90.0.0/16",
		"route add unreachable 10.91.0.0/16",
		"route add blackhole 10.92.0.0/16",
		"route add throw 10.93.0.0/16",
		"-6 route add fd80::/64 via fd77:1::2",
		"-6 route add fd81::/64 via fd77:5::2",
		"-6 route add prohibit fd90::/64",
		"-6 route add unreachable fd91::/64",
		"-6 route add blackhole fd92::/64",
		"-6 route add throw fd93::/64",
		"rule add fwmark 13 prohibit",
		"rule add fwmark 7 lookup 100",
		"-6 rule add fwmark 7 lookup 100",
		"-6 route add default via fd77:5::2 table 100",
		"rule add from 10.66.0.1 lookup 100",
		"route add default via 10.66.0.9 table 100",
	} {
		ip(n, words)
	}
	t.Cleanup(func() {
		for _, words := range []string{
			"rule del from 10.66.0.1", "rule del fwmark 7", "-6 rule del fwmark 7", "rule del fwmark 13",
		} {
			ip(n, words)
		}
	})
	return uplink, internal, bare, second
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func TestLookup(t *testing.T) {
	uplink, internal, bare, second := office(t)
	via := func(l *kernelnet.Link, mtu int, source, nextHop string) route.Route {
		return route.Route{
			Interface: l.A.Interface, Index: l.A.Index, MTU: mtu, MAC: l.A.MAC,
			Source: addr(source), NextHop: addr(nextHop),
		}
	}
	tests := []struct {
		name, dst string
		options   route.Options
		want      route.Route
	}{
		{"on the link", "10.77.1.2", route.Options{},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"on another link", "10.77.2.9", route.Options{},
			via(internal, 1400, "10.77.2.1", "10.77.2.9")},
		{"in a further subnet of the link", "10.66.3.3", route.Options{},
			via(internal, 1400, "10.66.0.1", "10.66.3.3")},
		{"by default", "10.99.0.1", route.Options{},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"by a gateway", "10.80.0.1", route.Options{},
			via(internal, 1400, "10.77.2.1", "10.77.2.2")},
		{"by the more specific route", "10.80.7.1", route.Options{},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"by the most specific route", "10.80.7.7", route.Options{},
			via(internal, 1400, "10.66.0.1", "10.66.0.2")},
		{"by the lower metric", "10.87.0.1", route.Options{},
			via(internal, 1400, "10.77.2.1", "10.77.2.2")},
		{"from the route's source", "10.81.0.1", route.Options{},
			via(uplink, 1500, "10.55.0.1", "10.77.1.2")},
		{"from the source asked for, not the route's", "10.81.0.1", route.Options{Source: addr("10.77.1.1")},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"from a secondary address", "10.99.0.1", route.Options{Source: addr("10.77.1.50")},
			via(uplink, 1500, "10.77.1.50", "10.77.1.2")},
		{"from another interface's address", "10.99.0.1", route.Options{Source: addr("10.77.2.1")},
			via(uplink, 1500, "10.77.2.1", "10.77.1.2")},
		{"from an address of lo", "10.99.0.1", route.Options{Source: addr("10.55.0.1")},
			via(uplink, 1500, "10.55.0.1", "10.77.1.2")},
		{"from an address that a rule is about", "10.99.0.1", route.Options{Source: addr("10.66.0.1")},
			via(internal, 1400, "10.66.0.1", "10.66.0.9")},
		{"through the interface of the route", "10.99.0.1", route.Options{Interface: "eth0"},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"through the interface of the higher metric", "10.87.0.1", route.Options{Interface: "eth0"},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"through an interface without a route, taken for on the link", "10.99.0.1", route.Options{Interface: "eth1"},
			via(internal, 1400, "10.77.2.1", "10.99.0.1")},
		{"through an interface, from another's address", "10.80.0.1", route.Options{Interface: "eth1", Source: addr("10.77.1.1")},
			via(internal, 1400, "10.77.1.1", "10.77.2.2")},
		{"through an interface without an address, from one of lo", "10.82.0.1", route.Options{},
			via(bare, 1500, "10.55.0.1", "10.82.0.1")},
		{"through an interface without an address, from the route's source", "10.83.0.1", route.Options{},
			via(bare, 1500, "10.77.2.1", "10.83.0.1")},
		{"through an interface without an address, from another's", "10.82.0.1", route.Options{Interface: "eth2", Source: addr("10.77.1.1")},
			via(bare, 1500, "10.77.1.1", "10.82.0.1")},
		{"by a gateway of another subnet", "10.84.0.1", route.Options{},
			via(internal, 1400, "10.77.2.1", "192.0.2.1")},
		{"by an IPv6 gateway", "10.85.0.1", route.Options{},
			via(uplink, 1500, "10.77.1.1", "fd77:1::2")},
		{"from an address and with a mark", "10.99.0.1", route.Options{Mark: 7, Source: addr("10.77.2.1")},
			via(internal, 1400, "10.77.2.1", "10.66.0.9")},
		{"with a mark that a rule is about", "10.99.0.1", route.Options{Mark: 7},
			via(internal, 1400, "10.66.0.1", "10.66.0.9")},
		{"with a mark that none is about", "10.99.0.1", route.Options{Mark: 8},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
		{"on the link in IPv6", "fd77:1::2", route.Options{},
			via(uplink, 1500, "fd77:1::1", "fd77:1::2")},
		{"by an IPv6 gateway of IPv6", "fd80::1", route.Options{},
			via(uplink, 1500, "fd77:1::1", "fd77:1::2")},
		{"by another link in IPv6", "fd81::1", route.Options{},
			via(second, 1500, "fd77:5::1", "fd77:5::2")},
		{"from another interface's address in IPv6", "fd81::1", route.Options{Source: addr("fd77:1::1")},
			via(second, 1500, "fd77:1::1", "fd77:5::2")},
		{"with a mark in IPv6", "fd80:0:0:1::1", route.Options{Mark: 7},
			via(second, 1500, "fd77:5::1", "fd77:5::2")},
		{"by default, since the link's interface is down", "10.77.4.2", route.Options{},
			via(uplink, 1500, "10.77.1.1", "10.77.1.2")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := route.Lookup(addr(tt.dst), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookupRefusals(t *testing.T) {
	tests := []struct {
		name, dst string
		options   route.Options
		want      error
		text      string // that the error says besides
	}{
		{"a prohibit route", "10.90.0.1", route.Options{}, route.ErrNoRoute, "10.90.0.1"},
		{"an unreachable route", "10.91.0.1", route.Options{}, route.ErrNoRoute, "10.91.0.1"},
		{"a blackhole route", "10.92.0.1", route.Options{}, route.ErrNoRoute, "10.92.0.1"},
		{"a throw route", "10.93.0.1", route.Options{}, route.ErrNoRoute, "10.93.0.1"},
		{"no route", "10.99.0.1", route.Options{}, route.ErrNoRoute, "10.99.0.1"},
		{"no route for the source", "10.99.0.1", route.Options{Source: addr("10.77.1.1")}, route.ErrNoRoute, "10.99.0.1"},
		{"another interface's broadcast", "10.77.1.255", route.Options{Interface: "eth1"}, route.ErrBroadcast, "10.77.1.255"},
		{"unspecified", "0.0.0.0", route.Options{}, route.ErrLocal, "0.0.0.0"},
		{"unspecified in IPv6", "::", route.Options{}, route.ErrLocal, "::"},
		{"IPv6 multicast", "ff02::1", route.Options{Interface: "eth0"}, route.ErrBroadcast, "ff02::1"},
		{"an IPv6 prohibit route", "fd90::1", route.Options{}, route.ErrNoRoute, "fd90::1"},
		{"an IPv6 unreachable route", "fd91::1", route.Options{}, route.ErrNoRoute, "fd91::1"},
		{"an IPv6 blackhole route", "fd92::1", route.Options{}, route.ErrNoRoute, "fd92::1"},
		{"an IPv6 throw route", "fd93::1", route.Options{}, route.ErrNoRoute, "fd93::1"},
		{"no IPv6 route", "2001:db8::1", route.Options{}, route.ErrNoRoute, "2001:db8::1"},
		{"interface without an IPv6 address", "fd80::1", route.Options{Interface: "eth1"}, route.ErrNoAddress, "eth1"},
		{"an IPv6 source of nobody", "fd80::1", route.Options{Source: addr("fd77:1::9")}, route.ErrSource, "fd77:1::9"},
		{"link-local without a zone", "fe80::99", route.Options{}, route.ErrZone, "fe80::99"},
		{"a zone that is no interface", "fe80::99%nosuch0", route.Options{}, route.ErrInterface, "nosuch0"},
		{"a zone that is down", "fe80::99%eth3", route.Options{}, route.ErrDown, "eth3"},
		{"a zone other than the interface", "fe80::99%eth0", route.Options{Interface: "eth4"}, route.ErrNoRoute, "eth4"},
		{"a mark that a rule refuses", "10.77.1.2", route.Options{Mark: 13}, route.ErrNoRoute, "10.77.1.2"},
		{"the subnet's broadcast", "10.77.1.255", route.Options{}, route.ErrBroadcast, "10.77.1.255"},
		{"broadcast", "255.255.255.255", route.Options{Interface: "eth0"}, route.ErrBroadcast, "255.255.255.255"},
		{"multicast", "224.0.0.1", route.Options{Interface: "eth0"}, route.ErrBroadcast, "224.0.0.1"},
		{"unknown interface", "10.80.0.1", route.Options{Interface: "nosuch0"}, route.ErrInterface, "nosuch0"},
		{"a name that no interface can have", "10.80.0.1", route.Options{Interface: "a name too long for one"}, route.ErrInterface, "a name too long for one"},
		{"interface down", "10.77.4.2", route.Options{Interface: "eth3"}, route.ErrDown, "eth3"},
		{"interface without an address", "10.82.0.1", route.Options{Interface: "eth2"}, route.ErrNoAddress, "eth2"},
		{"not an address of this host", "10.80.0.1", route.Options{Source: addr("10.77.1.2")}, route.ErrSource, "10.77.1.2"},
		{"a source of the other family", "10.80.0.1", route.Options{Source: addr("fd77:1::1")}, route.ErrSource, "fd77:1::1"},
		{"not an Ethernet", "10.86.0.1", route.Options{}, route.ErrLink, "lo"},
		{"not an Ethernet, asked for", "10.80.0.1", route.Options{Interface: "lo"}, route.ErrLink, "lo"},
	}
	uplink, _, _, _ := office(t)
	uplink.A.Node.Run("ip", "route", "del", "default")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := route.Lookup(addr(tt.dst), tt.options)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%+v, error %v; want %v", got, err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "route: ") || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; want it to name %s", err, tt.text)
			}
			if diff := cmp.Diff(route.Route{}, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("a route besides (-want +got):\n%s", diff)
			}
		})
	}
}

// A host where no interface has an address has nothing to send from.
func TestLookupWithoutAnyAddress(t *testing.T) {
	n := kernelnet.New(t)
	n.Link(n.Host(), n.Router("r1"))
	ip(n, "route add default dev eth0")
	_, err := route.Lookup(addr("10.99.0.1"), route.Options{})
	if !errors.Is(err, route.ErrNoAddress) || !strings.Contains(err.Error(), "eth0") {
		t.Error(err)
	}
}
