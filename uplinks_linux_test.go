package tracewire_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// uplinks is a host that hashes flows over two uplinks, each of which leads to the
// target 10.99.0.1.
func uplinks(t *testing.T) (host *kernelnet.Node, target netip.Addr) {
	t.Helper()
	kernelnet.RequirePrograms(t, "ip")
	n := kernelnet.New(t)
	far := n.Router("far")
	far.Address("10.99.0.1")
	far.Sysctl("net.ipv4.conf.all.rp_filter", "0")
	for i := 1; i <= 2; i++ {
		r := n.Router(fmt.Sprint("r", i))
		n.Link(n.Host(), r, fmt.Sprintf("10.77.%d.0/24", i))
		n.Link(r, far, fmt.Sprintf("10.78.%d.0/24", i))
		r.Route("10.99.0.1", fmt.Sprintf("10.78.%d.2", i))
		far.Route(fmt.Sprintf("10.77.%d.0/24", i), fmt.Sprintf("10.78.%d.1", i))
	}
	n.Host().Sysctl("net.ipv4.fib_multipath_hash_policy", "1")
	n.Host().Run("ip", "route", "add", "10.99.0.1", "nexthop", "via", "10.77.1.2", "nexthop", "via", "10.77.2.2")
	return n.Host(), netip.MustParseAddr("10.99.0.1")
}

// uplinkOf is the interface that the kernel chooses for a probe from a port.
func uplinkOf(host *kernelnet.Node, port uint16) string {
	text := host.Run("ip", "route", "get", "10.99.0.1", "ipproto", "udp", "sport", fmt.Sprint(port), "dport", "33434")
	_, after, _ := strings.Cut(text, " dev ")
	return strings.Fields(after)[0]
}

// A trace leaves by the uplink that the kernel hashes its flow to: --sport chooses,
// and a random port that is taken gives way to another with its own route.
func TestKernelTraceLeavesByTheUplinkOfItsFlow(t *testing.T) {
	host, target := uplinks(t)
	seen := map[string]int{}
	for port := 40000; port < 40008; port++ {
		p, err := tracewire.Trace(t.Context(), target.String(), &tracewire.Options{SrcPort: port, Queries: 1, MaxTTL: 4})
		if err != nil {
			t.Fatal(err)
		}
		want := uplinkOf(host, uint16(port))
		if p.Source.Interface != want || len(p.Hops()) != 2 || !p.Reached() {
			t.Errorf("from port %d by %s, want %s: %d hops", port, p.Source.Interface, want, len(p.Hops()))
		}
		seen[want]++
	}
	if len(seen) != 2 {
		t.Errorf("%v, want both uplinks", seen)
	}
}

func TestKernelPortThatIsTakenGivesWayToAnotherRoute(t *testing.T) {
	host, target := uplinks(t)
	moved := false
	for seed := uint64(1); !moved && seed < 50; seed++ {
		o := tracewire.Options{Seed: seed, Queries: 1, MaxTTL: 4}
		first, err := tracewire.Trace(t.Context(), target.String(), &o)
		if err != nil {
			t.Fatal(err)
		}
		taken := net.UDPAddrFromAddrPort(netip.AddrPortFrom(first.Source.Addr, first.Parameters.SrcPort))
		holder, err := net.ListenUDP("udp4", taken)
		if err != nil {
			t.Fatal(err)
		}
		second, err := tracewire.Trace(t.Context(), target.String(), &o)
		holder.Close()
		if err != nil {
			t.Fatal(err)
		}
		port := second.Parameters.SrcPort
		if want := uplinkOf(host, port); port == first.Parameters.SrcPort || second.Source.Interface != want || !second.Reached() {
			t.Errorf("seed %d: from port %d, after %d was taken, by %s, want %s", seed, port, first.Parameters.SrcPort, second.Source.Interface, want)
		}
		moved = second.Source.Interface != first.Source.Interface
	}
	if !moved {
		t.Error("no two ports in a row have two uplinks")
	}
}
