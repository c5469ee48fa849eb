package route_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft/route"
)

// twoUplinks is a host whose default route goes over eth0 and eth1, by a hash of
// the flow, and whose rules send some flows over eth2 and eth3.
func twoUplinks(t *testing.T) *kernelnet.Network {
	t.Helper()
	kernelnet.RequirePrograms(t, "ip")
	n := kernelnet.New(t)
	for i := range 4 {
		n.Link(n.Host(), n.Router(fmt.Sprint("r", i)), fmt.Sprintf("10.77.%d.0/24", i+1), fmt.Sprintf("fd77:%d::/64", i+1))
	}
	n.Host().Sysctl("net.ipv4.fib_multipath_hash_policy", "1")
	n.Host().Sysctl("net.ipv6.fib_multipath_hash_policy", "1")
	ip(n, "route add default nexthop via 10.77.1.2 nexthop via 10.77.2.2")
	ip(n, "-6 route add default nexthop via fd77:1::2 nexthop via fd77:2::2")
	for family, via := range map[string][2]string{"-4": {"10.77.3.2", "10.77.4.2"}, "-6": {"fd77:3::2", "fd77:4::2"}} {
		ip(n, family+" route add default via "+via[0]+" table 102")
		ip(n, family+" route add default via "+via[1]+" table 103")
		for _, rule := range []string{
			"ipproto udp dport 5000 lookup 102",
			"ipproto tcp lookup 103",
			"sport 7000 lookup 103",
			"tos 0x10 lookup 102",
			"fwmark 7 lookup 103",
		} {
			ip(n, family+" rule add "+rule)
			t.Cleanup(func() { ip(n, family+" rule del "+rule) })
		}
	}
	return n
}

// kernelsChoice is the interface that ip route get names.
func kernelsChoice(t *testing.T, n *kernelnet.Network, words string) string {
	t.Helper()
	text := n.Host().Run(append([]string{"ip", "route", "get"}, strings.Fields(words)...)...)
	fields := strings.Fields(text)
	for i, f := range fields[:len(fields)-1] {
		if f == "dev" {
			return fields[i+1]
		}
	}
	t.Fatalf("no interface in %q", text)
	return ""
}

// gateways are the next hops of the uplinks.
var gateways = map[string][]string{"eth0": {"10.77.1.2", "fd77:1::2"}, "eth1": {"10.77.2.2", "fd77:2::2"}}

var targets = []string{"198.51.100.9", "2001:db8::9"}

// Which uplink a flow takes depends on its ports.
func TestLookupHashesTheFlowAsTheKernelDoes(t *testing.T) {
	n := twoUplinks(t)
	for _, dst := range targets {
		seen := map[string]int{}
		for sport := uint16(40000); sport < 40032; sport++ {
			flow := route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: sport, DstPort: 33434}
			r, err := route.Lookup(addr(dst), route.Options{Flow: flow})
			if err != nil {
				t.Fatal(err)
			}
			want := kernelsChoice(t, n, fmt.Sprintf("%s ipproto udp sport %d dport 33434", dst, sport))
			if r.Interface != want {
				t.Errorf("%s from port %d: %s, want %s", dst, sport, r.Interface, want)
			}
			if gateway := gateways[r.Interface]; !slices.Contains(gateway, r.NextHop.String()) {
				t.Errorf("%s from port %d: %s by %v, want one of %v", dst, sport, r.Interface, r.NextHop, gateway)
			}
			seen[r.Interface]++
		}
		if seen["eth0"] == 0 || seen["eth1"] == 0 {
			t.Errorf("%s: %v, want both uplinks", dst, seen)
		}
	}
}

// Rules may look at the protocol, the ports, the TOS and the mark.
func TestLookupObeysRulesAboutTheFlow(t *testing.T) {
	n := twoUplinks(t)
	icmp := map[string]layers.IPProtocol{targets[0]: layers.IPProtocolICMPv4, targets[1]: layers.IPProtocolICMPv6}
	for _, c := range []struct {
		name, words, want string
		options           route.Options
	}{
		{"destination port", "ipproto udp sport 40000 dport 5000", "eth2",
			route.Options{Flow: route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: 40000, DstPort: 5000}}},
		{"protocol", "ipproto tcp sport 40000 dport 5000", "eth3",
			route.Options{Flow: route.Flow{Protocol: layers.IPProtocolTCP, SrcPort: 40000, DstPort: 5000}}},
		{"source port", "ipproto udp sport 7000 dport 33434", "eth3",
			route.Options{Flow: route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: 7000, DstPort: 33434}}},
		{"TOS", "tos 0x10 ipproto udp sport 40000 dport 33434", "eth2",
			route.Options{Flow: route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: 40000, DstPort: 33434, TOS: 0x10}}},
		{"TOS with ECN", "tos 0x10 ipproto udp sport 40000 dport 33434", "eth2",
			route.Options{Flow: route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: 40000, DstPort: 33434, TOS: 0x12}}},
		{"TOS of ICMP", "tos 0x10 ipproto ICMP", "eth2", route.Options{Flow: route.Flow{TOS: 0x10}}},
		{"mark", "mark 7 ipproto udp sport 40000 dport 33434", "eth3",
			route.Options{Mark: 7, Flow: route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: 40000, DstPort: 33434}}},
		{"mark of ICMP", "mark 7 ipproto ICMP", "eth3", route.Options{Mark: 7}},
		{"an interface that was asked for", "oif eth1 ipproto udp sport 40000 dport 33434", "eth1",
			route.Options{Interface: "eth1", Flow: route.Flow{Protocol: layers.IPProtocolUDP, SrcPort: 40000, DstPort: 33434}}},
	} {
		for _, dst := range targets {
			t.Run(c.name+", "+dst, func(t *testing.T) {
				o, words := c.options, c.words
				if name := map[layers.IPProtocol]string{layers.IPProtocolICMPv4: "icmp", layers.IPProtocolICMPv6: "ipv6-icmp"}[icmp[dst]]; strings.Contains(words, "ICMP") {
					o.Flow.Protocol, words = icmp[dst], strings.ReplaceAll(words, "ICMP", name)
				}
				r, err := route.Lookup(addr(dst), o)
				if err != nil {
					t.Fatal(err)
				}
				if kernels := kernelsChoice(t, n, dst+" "+words); r.Interface != c.want || kernels != c.want {
					t.Errorf("by %s, by ip route get %s, want %s", r.Interface, kernels, c.want)
				}
			})
		}
	}
}
