package kernelnet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if script := os.Getenv(scriptVariable); script != "" {
		os.Exit(Wrap(scripted(script)).Run())
	}
	os.Exit(Wrap(m).Run())
}

// hop is a line of traceroute -n -q1 or -q3.
type hop struct {
	addrs []string
	rtts  []time.Duration
	notes []string // !X and the like
}

// traceroute runs Debian's traceroute on the host.
func traceroute(t *testing.T, n *Network, args ...string) []hop {
	t.Helper()
	Require(t, "traceroute")
	// A single -w: by default it gives up on what takes ten times as long as a neighbour.
	out := n.Host().Run(append([]string{"traceroute", "-n", "-w5"}, args...)...)
	var hops []hop
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "traceroute") {
			continue
		}
		var h hop
		for i, f := range fields[1:] {
			switch {
			case f == "ms":
				ms, err := strconv.ParseFloat(fields[i], 64)
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				h.rtts = append(h.rtts, time.Duration(ms*float64(time.Millisecond)))
			case f == "*" || f[0] == '!':
				h.notes = append(h.notes, f)
			default:
				if _, err := netip.ParseAddr(f); err == nil {
					h.addrs = append(h.addrs, f)
				}
			}
		}
		hops = append(hops, h)
	}
	return hops
}

func addrsOf(hops []hop) [][]string {
	var addrs [][]string
	for _, h := range hops {
		addrs = append(addrs, h.addrs)
	}
	return addrs
}

func TestChainIsTracedRouterByRouter(t *testing.T) {
	tests := []struct {
		name   string
		family Family
		want   []string
	}{
		{"IPv4", IPv4, []string{"10.77.1.2", "10.77.2.2", "10.77.3.2", "10.77.4.2", "10.77.5.2", "10.77.6.2", "10.77.7.2", "10.99.0.1"}},
		{"IPv6", IPv6, []string{"fd77:1::2", "fd77:2::2", "fd77:3::2", "fd77:4::2", "fd77:5::2", "fd77:6::2", "fd77:7::2", "fd99::1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewChain(t, 8, &ChainOptions{Families: []Family{IPv4, IPv6}})
			var got, hops []string
			for _, h := range traceroute(t, c.Network, "-q1", tt.family.Destination.String()) {
				got = append(got, h.addrs...)
			}
			for _, a := range c.Hops(tt.family) {
				hops = append(hops, a.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("traceroute (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, hops); diff != "" {
				t.Errorf("Hops (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChainReachesEveryAddress(t *testing.T) {
	c := NewChain(t, 4, &ChainOptions{Families: []Family{IPv4, IPv6}})
	nodes := append([]*Node{c.Host()}, c.Routers...)
	for _, from := range nodes {
		for _, l := range c.Links {
			for _, to := range slices.Concat(l.A.Addrs, l.B.Addrs) {
				from.exchange(t, to)
			}
		}
	}
}

// exchange sends a datagram to addr, where nobody listens, and waits for the
// port-unreachable that only addr sends.
func (n *Node) exchange(t *testing.T, addr netip.Addr) {
	t.Helper()
	err := n.Do(func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write([]byte("?")); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "refused") {
			return fmt.Errorf("read: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s to %v: %v", n.Name, addr, err)
	}
}

func TestChainIsReadyWhenReturned(t *testing.T) {
	for range 20 { // what the kernel leaves to its workers is late only sometimes
		t.Run("chain", func(t *testing.T) {
			c := NewChain(t, 3, &ChainOptions{Families: []Family{IPv4, IPv6}})
			c.Host().exchange(t, IPv4.Destination)
			c.Host().exchange(t, IPv6.Destination)
		})
	}
}

func TestAnswersAreNotRateLimited(t *testing.T) {
	c := NewChain(t, 2, nil)
	for range 100 {
		c.Host().exchange(t, IPv4.Destination)
	}
}

func TestEqualCostRoutesAreChosenByFlow(t *testing.T) {
	n := New(t)
	host, fork, up, down, join := n.Host(), n.Router("fork"), n.Router("up"), n.Router("down"), n.Router("join")
	n.Link(host, fork, "10.77.1.0/24")
	n.Link(fork, up, "10.77.2.0/24")
	n.Link(fork, down, "10.77.3.0/24")
	n.Link(up, join, "10.77.4.0/24")
	n.Link(down, join, "10.77.5.0/24")
	join.Address("10.99.0.1")
	host.Route("default", "10.77.1.2")
	fork.Route("10.99.0.1", "10.77.2.2", "10.77.3.2")
	up.Route("10.99.0.1", "10.77.4.2")
	up.Route("default", "10.77.2.1")
	down.Route("10.99.0.1", "10.77.5.2")
	down.Route("default", "10.77.3.1")
	join.Route("default", "10.77.4.1", "10.77.5.1")

	var seen []string
	for port := range 64 { // all one way with probability 2^-63
		hops := traceroute(t, n, "-q1", "-U", "-p", strconv.Itoa(1000+port), "-f2", "-m2", "10.99.0.1")
		seen = append(seen, hops[0].addrs...)
		if slices.Contains(seen, "10.77.2.2") && slices.Contains(seen, "10.77.3.2") {
			break
		}
	}
	slices.Sort(seen)
	if diff := cmp.Diff([]string{"10.77.2.2", "10.77.3.2"}, slices.Compact(seen)); diff != "" {
		t.Errorf("second hops (-want +got):\n%s", diff)
	}
	again := addrsOf(traceroute(t, n, "-q8", "-U", "-p", "1000", "--sport=4711", "-f2", "-m2", "10.99.0.1"))
	if len(again) != 1 || len(again[0]) != 1 {
		t.Errorf("one flow went by %v, want one address", again)
	}
}

func TestForksChooseIndependently(t *testing.T) {
	n := New(t)
	host, fork := n.Host(), n.Router("fork")
	n.Link(host, fork, "10.77.1.0/24")
	host.Route("default", "10.77.1.2")
	var want, second []string
	for i := range 2 {
		next := n.Router(fmt.Sprintf("second %d", i))
		l := n.Link(fork, next, fmt.Sprintf("10.77.1%d.0/24", i))
		second = append(second, l.B.Addr().String())
		next.Route("default", l.A.Addr().String())
		var third []string
		for j := range 2 {
			last := n.Router(fmt.Sprintf("third %d %d", i, j))
			l := n.Link(next, last, fmt.Sprintf("10.77.2%d%d.0/24", i, j))
			last.Route("default", l.A.Addr().String())
			third = append(third, l.B.Addr().String())
		}
		next.Route("10.99.0.1", third...)
		want = append(want, third...)
	}
	fork.Route("10.99.0.1", second...)

	var seen []string
	for port := range 200 { // one is missed with probability 4*0.75^200
		hops := traceroute(t, n, "-q1", "-U", "-p", strconv.Itoa(1000+port), "-f3", "-m3", "10.99.0.1")
		seen = append(seen, hops[0].addrs...)
		slices.Sort(seen)
		if seen = slices.Compact(seen); len(seen) == len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("third hops (-want +got):\n%s", diff)
	}
}

func TestProhibitRejects(t *testing.T) {
	for _, f := range []Family{IPv4, IPv6} {
		t.Run(f.Destination.String(), func(t *testing.T) {
			c := NewChain(t, 4, &ChainOptions{Families: []Family{f}})
			c.Routers[1].Prohibit(f.Destination.String())
			hops := traceroute(t, c.Network, "-q1", f.Destination.String())
			last := hops[len(hops)-1]
			if len(hops) != 2 || !slices.Equal(last.addrs, []string{c.Hops(f)[1].String()}) || !slices.Contains(last.notes, "!X") {
				t.Errorf("traceroute: %+v, want !X from r2", hops)
			}
		})
	}
}

func TestNftRejectsInForward(t *testing.T) {
	c := NewChain(t, 3, nil)
	c.Routers[1].Nft(`
		table inet filter {
			chain forward {
				type filter hook forward priority 0
				ip daddr 10.99.0.1 reject with icmp admin-prohibited
			}
		}`)
	hops := traceroute(t, c.Network, "-q1", "10.99.0.1")
	// The rule sees the probe that would have reached r3.
	last := hops[len(hops)-1]
	if len(hops) != 3 || !slices.Equal(last.addrs, []string{"10.77.2.2"}) || !slices.Contains(last.notes, "!X") {
		t.Errorf("traceroute: %+v, want !X from r2 at TTL 3", hops)
	}
}

func TestNftOnTheHostEndsWithTheTest(t *testing.T) {
	t.Run("with a rule", func(t *testing.T) {
		New(t).Host().Nft("table inet filter {}")
	})
	if rules := New(t).Host().Run("nft", "list", "ruleset"); rules != "" {
		t.Errorf("rules left: %s", rules)
	}
}

func TestWireDelaysOneRouter(t *testing.T) {
	const delay = 30 * time.Millisecond
	c := NewChain(t, 4, &ChainOptions{Delays: map[int]Delay{2: ICMPFrom("10.77.2.2", delay)}})
	hops := traceroute(t, c.Network, "-q3", "10.99.0.1")
	want := [][]string{{"10.77.1.2"}, {"10.77.2.2"}, {"10.77.3.2"}, {"10.99.0.1"}}
	if diff := cmp.Diff(want, addrsOf(hops)); diff != "" {
		t.Fatalf("traceroute (-want +got):\n%s", diff)
	}
	for i, h := range hops {
		if slow := slices.Min(h.rtts) >= delay; slow != (i == 1) {
			t.Errorf("hop %d: RTTs %v with a delay of %v at hop 2 only", i+1, h.rtts, delay)
		}
	}
}

func TestWireLosesFrames(t *testing.T) {
	c := NewChain(t, 3, &ChainOptions{
		Families: []Family{IPv4, IPv6},
		Delays:   map[int]Delay{2: ICMPFrom("fd77:2::2", -1)},
	})
	hops := traceroute(t, c.Network, "-q1", "-w1", "fd99::1")
	want := [][]string{{"fd77:1::2"}, nil, {"fd99::1"}}
	if diff := cmp.Diff(want, addrsOf(hops)); diff != "" {
		t.Errorf("traceroute (-want +got):\n%s", diff)
	}
}

func TestWireKeepsOrderAndChecksums(t *testing.T) {
	const datagrams = 200
	n := New(t)
	r := n.Router("r")
	n.Wire(n.Host(), r, func(frame []byte) time.Duration {
		if len(frame) == 14+20+8+1 {
			return 3 * time.Millisecond
		}
		return 0
	}, "10.77.1.0/24")

	var server *net.UDPConn
	if err := r.Do(func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(10, 77, 1, 2), Port: 7})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := net.Dial("udp", "10.77.1.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	n.Host().exchange(t, netip.MustParseAddr("10.77.1.2")) // while a neighbour is unknown, only so much is kept for it
	// A wrong checksum would have the kernel drop the datagram.
	server.SetReadDeadline(time.Now().Add(5 * time.Second))
	start := time.Now()
	for i := range datagrams {
		if _, err := client.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 1)
	for i := range datagrams {
		if _, err := server.Read(got); err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
		if got[0] != byte(i) {
			t.Fatalf("datagram %d came in the place of %d", got[0], i)
		}
	}
	if took := time.Since(start); took < 3*time.Millisecond {
		t.Errorf("%d datagrams crossed in %v", datagrams, took)
	}
}

func TestLinkEnds(t *testing.T) {
	n := New(t)
	r := n.Router("r")
	l := n.Link(n.Host(), r, "10.77.1.0/24", "fd77:1::/64")
	l.SetMTU(1400)
	wantA := []netip.Addr{netip.MustParseAddr("10.77.1.1"), netip.MustParseAddr("fd77:1::1")}
	if diff := cmp.Diff(wantA, l.A.Addrs, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("addresses of A (-want +got):\n%s", diff)
	}
	for _, e := range []End{l.A, l.B} {
		err := e.Node.Do(func() error {
			ifi, err := net.InterfaceByName(e.Interface)
			if err != nil {
				return err
			}
			if ifi.Index != e.Index || ifi.HardwareAddr.String() != e.MAC.String() || ifi.MTU != 1400 {
				t.Errorf("%s: interface %+v, end %+v", e.Node.Name, ifi, e)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestProcesses(t *testing.T) {
	c := NewChain(t, 2, nil)
	dump := c.Routers[0].Start("tcpdump", "-Z", "root", "-n", "-l", "-i", "eth1", "udp and dst port 9")
	dump.Await("listening on eth1")
	c.Host().exchange(t, IPv4.Destination)
	dump.Await("10.99.0.1.9: UDP")
	if out := dump.Stop(); !strings.Contains(out, "10.77.1.1.") {
		t.Errorf("tcpdump wrote %q", out)
	}
	if !strings.Contains(dump.Stderr(), "captured") {
		t.Errorf("tcpdump was not interrupted: %q", dump.Stderr())
	}
}

func TestCleanupLeavesNothing(t *testing.T) {
	state := func() string {
		n := New(t)
		host := n.Host()
		ttl := ""
		if err := host.Do(func() (err error) {
			ttl, err = readSysctl("net.ipv4.ip_default_ttl")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join([]string{
			host.Run("ip", "-br", "link"), host.Run("ip", "-br", "addr"),
			host.Run("ip", "-4", "route"), host.Run("ip", "-6", "route"), ttl,
		}, "---\n")
	}
	before := state()
	if !strings.HasPrefix(before, "lo ") || strings.Count(strings.Split(before, "---")[0], "\n") != 1 {
		t.Fatalf("the host has more than lo:\n%s", before)
	}
	goroutines := goleak.IgnoreCurrent()
	t.Run("network", func(t *testing.T) {
		c := NewChain(t, 3, &ChainOptions{
			Families: []Family{IPv4, IPv6},
			Delays:   map[int]Delay{1: func([]byte) time.Duration { return time.Hour }},
		})
		c.Host().Address("10.1.2.3", "fd00::1")
		c.Host().Prohibit("10.98.0.0/16")
		c.Host().Prohibit("fd98::/16")
		c.Host().Sysctl("net.ipv4.ip_default_ttl", "77")
		c.Routers[1].Start("sleep", "1000")
		c.Host().Run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
	})
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("host (-before +after):\n%s", diff)
	}
	if err := goleak.Find(goroutines); err != nil {
		t.Error(err)
	}
}

func TestDoComesBack(t *testing.T) {
	n := New(t)
	r := n.Router("r")
	n.Link(n.Host(), r, "10.77.1.0/24")
	n.Link(r, r, "10.77.2.0/24")
	count := func() int {
		ifis, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		return len(ifis)
	}
	var outer, inner int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Do(func() error {
			outer = count()
			return n.Host().Do(func() error { inner = count(); return nil })
		})
	}()
	<-ended
	got := []int{count(), outer, inner}
	if diff := cmp.Diff([]int{2, 4, 2}, got); diff != "" {
		t.Errorf("interfaces on the host, in Do, in the Do inside (-want +got):\n%s", diff)
	}
}

func TestNewPanicsInParallelTest(t *testing.T) {
	Require(t)
	t.Run("parallel", func(t *testing.T) {
		t.Parallel()
		defer func() {
			if recover() == nil {
				t.Error("New accepted a parallel test")
			}
		}()
		New(t)
	})
}

// scope is a test that ends before its parent.
type scope struct {
	testing.TB
	cleanups []func()
}

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

func BenchmarkChain(b *testing.B) {
	for _, routers := range []int{1, 8, 30} {
		b.Run(strconv.Itoa(routers), func(b *testing.B) {
			var setup time.Duration
			for b.Loop() {
				s := &scope{TB: b}
				start := time.Now()
				NewChain(s, routers, nil)
				setup += time.Since(start)
				s.end()
			}
			b.ReportMetric(float64(setup.Milliseconds())/float64(b.N), "setup-ms/op")
		})
	}
}
