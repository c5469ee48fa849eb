package main

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// A loose source route leads past the usual way: through right1, right2 and join, where
// the default route leads through left. traceroute sees the same from right2 on, and
// nothing before, though the errors come: until a probe has come to its gateway, its
// destination is the gateway, and that is what routers quote. The kernel hands an error
// to the socket that is connected to the quoted destination, and traceroute's are to the
// target.
func TestSourceRouteBesideTraceroute(t *testing.T) {
	kernelnet.Require(t, "traceroute")
	n := kernelnet.New(t)
	sourceRouted(n)
	const hops = " 1  10.77.1.2  T  T  T\n 2  10.77.3.2  T  T  T\n 3  10.77.5.2  T  T  T\n 4  10.77.6.2  T  T  T\n 5  10.99.0.1  T  T  T"
	const behindGateway = " 1  * * *\n 2  * * *\n 3  10.77.5.2  T  T  T\n 4  10.77.6.2  T  T  T\n 5  10.99.0.1  T  T  T"
	kinds := []string{"", "-I", "-T"}
	var wait sync.WaitGroup
	for _, kind := range kinds {
		args := append(strings.Fields(kind), "-n", "-w", "2", "-g", "10.77.3.2", "10.99.0.1")
		wait.Go(func() {
			if d := cmp.Diff(hops, withoutTimes(traced(t, args...))); d != "" {
				t.Errorf("tracewire %v: -want +got\n%s", args, d)
			}
		})
	}
	wait.Wait()
	before := timesExceeded(t, n.Host())
	for _, kind := range kinds {
		args := append(strings.Fields(kind), "-n", "-w", "2", "-g", "10.77.3.2", "10.99.0.1")
		wait.Go(func() { tracerouteShows(t, behindGateway, args) })
	}
	wait.Wait()
	if came, want := timesExceeded(t, n.Host())-before, len(kinds)*4*3; came < want {
		t.Errorf("%d errors of routers came, of %d", came, want)
	}
	usual := " 1  10.77.1.2  T  T  T\n 2  10.77.2.2  T  T  T\n 3  10.77.6.2  T  T  T\n 4  10.99.0.1  T  T  T"
	besideTraceroute(t, usual, []string{"-n", "-w", "2", "10.99.0.1"})
}

// timesExceeded counts the time-exceeded messages that a node has received.
func timesExceeded(t *testing.T, n *kernelnet.Node) int {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^IcmpMsg: (.*)$`).FindAllStringSubmatch(n.Run("cat", "/proc/net/snmp"), -1)
	if len(lines) != 2 {
		return 0 // it has received none of any type
	}
	at := slices.Index(strings.Fields(lines[0][1]), "InType11")
	if at < 0 {
		return 0
	}
	count, err := strconv.Atoi(strings.Fields(lines[1][1])[at])
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// Both send to the gateway, with the way on from there in the option (RFC 791, section
// 3.1): to the target. traceroute has the target in it twice, once as the last
// gateway, which makes no other way.
func TestSourceRoutesOnTheWire(t *testing.T) {
	kernelnet.Require(t, "traceroute", "tcpdump")
	n := kernelnet.New(t)
	sourceRouted(n)
	const gateway, target = "0a4d0302", "0a630001"
	args := []string{"-n", "-q", "1", "-f", "5", "-m", "5", "-g", "10.77.3.2", "10.99.0.1"}
	tests := map[string]struct {
		run  func()
		want routed
	}{
		"tracewire":  {func() { output(t, args...) }, routed{gateway, "01" + "830704" + target}},
		"traceroute": {func() { n.Host().Run(append([]string{"traceroute"}, args...)...) }, routed{gateway, "01" + "830b04" + target + target}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dump := n.Host().Start("tcpdump", "-Z", "root", "-i", "eth0", "-n", "-x", "-c", "1", "--immediate-mode", "udp and ip[8] == 5")
			dump.Await("listening on")
			test.run()
			dump.Await("1 packet captured")
			if d := cmp.Diff(test.want, routedBy(t, dump.Stop())); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// routed is what an IPv4 header says of the way, in hexadecimal.
type routed struct{ Destination, Options string }

// routedBy reads the header of the packet that tcpdump -x shows.
func routedBy(t *testing.T, shown string) routed {
	t.Helper()
	packet := shownBytes(t, shown)
	header := packet[:4*int(packet[0]&0xf)]
	return routed{Destination: hex.EncodeToString(header[16:20]), Options: hex.EncodeToString(header[20:])}
}

// sourceRouted builds a network whose routers take source routes:
//
//	host ─ fork ─┬─ left ─────────────┬─ join ─ 10.99.0.1
//	             └─ right1 ─ right2 ──┘
//
// All routes there lead through left, but for those of right1 and right2; and all routes
// back through these.
func sourceRouted(n *kernelnet.Network) {
	fork, left, right1, right2 := n.Router("fork"), n.Router("left"), n.Router("right1"), n.Router("right2")
	join, far := n.Router("join"), n.Router("far")
	for _, node := range []*kernelnet.Node{n.Host(), fork, left, right1, right2, join, far} {
		node.Sysctl("net.ipv4.conf.all.accept_source_route", "1")
		node.Sysctl("net.ipv4.conf.default.accept_source_route", "1") // of the interfaces to come
	}
	n.Link(n.Host(), fork, "10.77.1.0/24")
	n.Link(fork, left, "10.77.2.0/24")
	n.Link(fork, right1, "10.77.3.0/24")
	n.Link(left, join, "10.77.4.0/24")
	n.Link(right1, right2, "10.77.5.0/24")
	n.Link(right2, join, "10.77.6.0/24")
	n.Link(join, far, "10.77.7.0/24")
	far.Address("10.99.0.1")
	n.Host().Route("default", "10.77.1.2")
	fork.Route("default", "10.77.2.2")
	left.Route("default", "10.77.4.2")
	right1.Route("default", "10.77.5.2")
	right2.Route("default", "10.77.6.2")
	join.Route("10.99.0.1", "10.77.7.2")
	far.Route("default", "10.77.7.1")
	left.Route("10.77.1.0/24", "10.77.2.1")
	right1.Route("10.77.1.0/24", "10.77.3.1")
	right2.Route("10.77.1.0/24", "10.77.5.1")
	join.Route("default", "10.77.6.1") // also to right1: errors go back by the route that they came
}
