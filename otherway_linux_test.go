package tracewire_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/path"
)

// otherWay is a host whose probes leave by eth0, and what answers them comes back by
// eth1, whatever address of the host it is for:
//
//	host – r1 – r3 – far
//	host – r2 – r3
func otherWay(t *testing.T) (n *kernelnet.Network, second *kernelnet.Link) {
	t.Helper()
	n = kernelnet.New(t)
	host, r1, r2, r3, far := n.Host(), n.Router("r1"), n.Router("r2"), n.Router("r3"), n.Router("far")
	n.Link(host, r1, "10.77.1.0/24", "fd77:1::/64")
	second = n.Link(host, r2, "10.77.2.0/24", "fd77:2::/64")
	n.Link(r1, r3, "10.78.1.0/24", "fd78:1::/64")
	n.Link(r2, r3, "10.78.2.0/24", "fd78:2::/64")
	n.Link(r3, far, "10.79.1.0/24", "fd79:1::/64")
	far.Address("10.99.0.1", "fd99::1")
	host.Address("10.55.0.1", "fd55::1")
	for _, mine := range []string{"10.77.1.1", "10.77.2.1", "10.55.0.1", "fd77:1::1", "fd77:2::1", "fd55::1"} {
		v4 := netip.MustParseAddr(mine).Is4()
		via := func(four, six string) string {
			if v4 {
				return four
			}
			return six
		}
		far.Route(mine, via("10.79.1.1", "fd79:1::1"))
		r3.Route(mine, via("10.78.2.1", "fd78:2::1"))
		r1.Route(mine, via("10.78.1.2", "fd78:1::2"))
		if mine != "10.77.2.1" && mine != "fd77:2::1" {
			r2.Route(mine, via("10.77.2.1", "fd77:2::1"))
		}
	}
	for _, r := range []*kernelnet.Node{r1, r2} {
		at := "1"
		if r == r2 {
			at = "2"
		}
		r.Route("10.99.0.1", "10.78."+at+".2")
		r.Route("10.79.1.2", "10.78."+at+".2")
		r.Route("fd99::1", "fd78:"+at+"::2")
	}
	r3.Route("10.99.0.1", "10.79.1.2")
	r3.Route("fd99::1", "fd79:1::2")
	host.Route("10.99.0.0/16", "10.77.1.2")
	host.Route("fd99::/16", "fd77:1::2")
	return n, second
}

// secondUplink gives the host of otherWay a route by eth1, as a second uplink has.
func secondUplink(n *kernelnet.Network) {
	n.Host().Route("10.0.0.0/8", "10.77.2.2")
	n.Host().Route("fd00::/8", "fd77:2::2")
}

// Replies are seen whichever interface they come in by: every hop that traceroute
// sees, and the replay sees them too.
func TestKernelRepliesByAnotherInterface(t *testing.T) {
	for _, tt := range []struct {
		name, source, target string
		uplink               bool
	}{
		{"two uplinks", "", "10.99.0.1", true},
		{"two uplinks, IPv6", "", "fd99::1", true},
		{"an address of lo", "10.55.0.1", "10.99.0.1", false},
		{"an address of lo, IPv6", "fd55::1", "fd99::1", false},
		{"an address of the other interface", "10.77.2.1", "10.99.0.1", false},
		{"an address of the other interface, IPv6", "fd77:2::1", "fd99::1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, _ := otherWay(t)
			if tt.uplink {
				secondUplink(n)
			}
			for _, protocol := range []layers.IPProtocol{layers.IPProtocolUDP, layers.IPProtocolICMPv4, layers.IPProtocolTCP} {
				o := tracewire.Options{Protocol: protocol, Queries: 1}
				if tt.source != "" {
					o.Source = netip.MustParseAddr(tt.source)
				}
				p := mustTraceTo(t, netip.MustParseAddr(tt.target), o)
				if d := cmp.Diff([]string{"eth1"}, p.Source.Also); d != "" || p.Source.Interface != "eth0" {
					t.Errorf("%v: captured on %s and (-want +got):\n%s", protocol, p.Source.Interface, d)
				}
				if len(p.Hops()) != 3 || !p.Reached() || slices.Contains(responders(p), "*") {
					t.Errorf("%v: %v, %+v", protocol, addrs(p), p.Counters)
				}
				if p.Counters.Duplicate > 0 || len(p.Gaps) > 0 {
					t.Errorf("%v: %+v, %+v", protocol, p.Counters, p.Gaps)
				}
				for _, probe := range p.Probes {
					if probe.Reply != nil && (probe.SentClock != path.Kernel || probe.Reply.RTT <= 0) {
						t.Errorf("%v: %+v", protocol, probe)
					}
				}
				if protocol == layers.IPProtocolUDP {
					asTraceroute(t, n, p, tt.source, tt.target)
				}
			}
		})
	}
}

// responders are who answered at each hop, or a star.
func responders(p *path.Path) (all []string) {
	for _, h := range p.Hops() {
		one := "*"
		for _, probe := range h.Probes {
			if probe.Reply != nil {
				one = probe.Reply.From.String()
			}
		}
		all = append(all, one)
	}
	return all
}

// asTraceroute compares a path with the hops that traceroute sees.
func asTraceroute(t *testing.T, n *kernelnet.Network, p *path.Path, source, target string) {
	t.Helper()
	kernelnet.RequirePrograms(t, "traceroute")
	args := []string{"traceroute", "-n", "-q", "1"}
	if source != "" {
		args = append(args, "-s", source)
	}
	out := n.Host().Run(append(args, target)...)
	var theirs []string
	for _, m := range regexp.MustCompile(`(?m)^ *\d+ +(\S+)`).FindAllStringSubmatch(out, -1) {
		theirs = append(theirs, m[1])
	}
	if d := cmp.Diff(theirs, responders(p)); d != "" {
		t.Errorf("-traceroute +tracewire:\n%s%s", d, out)
	}
}

// Where replies can come by one interface only, one pair of handles is open.
func TestKernelOneInterfaceNeedsOnePairOfHandles(t *testing.T) {
	n, _ := otherWay(t)
	extra := n.Router("extra") // a link without a way on, as a host has to its containers
	n.Link(n.Host(), extra, "10.88.0.0/24", "fd88::/64")
	for _, tt := range []struct {
		source, target string
		want           int
	}{
		{"", "10.77.1.2", 2},
		{"", "fd77:1::2", 2},
		{"10.77.2.1", "10.77.1.2", 2 + 2},
	} {
		o := tracewire.Options{Queries: 1, MaxTTL: 1, Wait: path.Wait{Max: 20 * time.Millisecond}}
		if tt.source != "" {
			o.Source = netip.MustParseAddr(tt.source)
		}
		open := 0
		err := tracewire.Run(t.Context(), slices.Values([]netip.Addr{netip.MustParseAddr(tt.target)}), &o, func(e tracewire.Event) {
			if e.Kind == path.Started {
				open = packetSockets(t)
			}
		})
		if err != nil || open != tt.want {
			t.Errorf("from %q to %s: %d packet sockets, want %d (%v)", tt.source, tt.target, open, tt.want, err)
		}
	}
	if left := packetSockets(t); left != 0 {
		t.Errorf("%d packet sockets are left", left)
	}
}

// Traces that leave by different uplinks at the same time see all their replies, in
// one recording too, where each frame stands once.
func TestKernelTracesAtOnceByTwoUplinks(t *testing.T) {
	n, _ := otherWay(t)
	secondUplink(n)
	n.Host().Route("10.99.0.1", "10.77.1.2")
	targets := []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.79.1.2"), netip.MustParseAddr("fd99::1")}
	o := tracewire.Options{Queries: 2}
	r := record(t, &o)
	tracer, err := tracewire.NewTracer(&o)
	if err != nil {
		t.Fatal(err)
	}
	told := make([][]path.Event, len(targets))
	var wait sync.WaitGroup
	for i, dst := range targets {
		wait.Go(func() {
			err := tracer.Trace(context.WithoutCancel(t.Context()), tracewire.Target{Addr: dst, Number: i + 1}, func(e path.Event) {
				told[i] = append(told[i], e)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var outgoing []string
	for i, events := range told {
		p := events[len(events)-1].Path
		if !p.Reached() || len(p.Hops()) != 3 || p.Counters.Duplicate > 0 {
			t.Errorf("to %v by %s: %v, %+v", targets[i], p.Source.Interface, addrs(p), p.Counters)
		}
		outgoing = append(outgoing, p.Source.Interface)
		r.events = append(r.events, events...)
	}
	if got := strings.Join(outgoing, " "); got != "eth0 eth1 eth0" {
		t.Errorf("left by %s", got)
	}
	r.replays(t)
}

// What is prepared for restricted traces captures replies by the other interface too.
func TestKernelPreparedTracerCapturesTheOtherWay(t *testing.T) {
	n, _ := otherWay(t)
	secondUplink(n)
	n.Host().Route("10.99.0.1", "10.77.1.2")
	tracer := prepared(t, tracewire.Options{Queries: 1}, "10.99.0.1", "fd99::1", "10.79.1.2")
	opened := packetSockets(t)
	for dst, by := range map[string]string{"10.99.0.1": "eth0", "fd99::1": "eth0", "10.79.1.2": "eth1"} {
		p, err := pathTo(t, tracer, dst)
		if err != nil || !p.Reached() || p.Source.Interface != by {
			t.Errorf("%s: %+v, %v", dst, p, err)
		}
	}
	if now := packetSockets(t); now != opened || now != 3+3 {
		t.Errorf("%d packet sockets are open, and %d when it was prepared", now, opened)
	}
}

// provoke makes a router send an ICMP error about what is no probe.
func provoke(t *testing.T, router string) {
	t.Helper()
	c, err := net.Dial("udp", net.JoinHostPort(router, "9"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatal(err)
	}
}

// Interfaces of a recording may be renamed: what was captured on them is known by what
// is written beside it, foreign frames too.
func TestKernelRepliesByAnotherInterfaceRenamed(t *testing.T) {
	n, _ := otherWay(t)
	secondUplink(n)
	n.Host().Route("10.99.0.1", "10.77.1.2")
	o := tracewire.Options{}
	r := record(t, &o)
	var p *path.Path
	emit := func(e path.Event) {
		if e.Kind == path.Started {
			provoke(t, "10.77.2.2") // over eth1, before anything of the trace
		}
		r.tell(e)
		p = e.Path
	}
	if err := tracewire.Run(t.Context(), slices.Values([]netip.Addr{netip.MustParseAddr("10.99.0.1")}), &o, emit); err != nil {
		t.Fatal(err)
	}
	if p.Counters.Foreign == 0 || len(p.Source.Also) != 1 {
		t.Fatalf("%+v, captured on %v too", p.Counters, p.Source.Also)
	}
	r.replays(t)
	for old, name := range map[string]string{"eth0": "anon", "eth1": "xxxx"} {
		option := func(name string) []byte { return append([]byte{2, 0, 4, 0}, name...) } // if_name
		renamed := bytes.ReplaceAll(r.file.Bytes(), option(old), option(name))
		if bytes.Equal(renamed, r.file.Bytes()) {
			t.Fatalf("the file does not name %s", old)
		}
		again, err := replayed(t, renamed, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.tells(t, again)
		r.file.Reset()
		r.file.Write(renamed) // both have other names in the end
	}
}

// Replies that come in by an interface upon another are seen there too, and are captured
// once.
func TestKernelRepliesByAnInterfaceUponAnother(t *testing.T) {
	n, second := otherWay(t)
	n.MACVLAN(second, "10.77.9.0/24", "fd77:9::/64")
	for _, tt := range []struct{ source, target, far, near, back string }{
		{"10.77.1.1", "10.99.0.1", "10.0.0.0/8", "10.77.9.2", "10.77.9.1"},
		{"fd77:1::1", "fd99::1", "fd00::/8", "fd77:9::2", "fd77:9::1"},
	} {
		n.Host().Route(tt.far, tt.near)
		second.B.Node.Route(tt.source, tt.back)
		p := mustTraceTo(t, netip.MustParseAddr(tt.target), tracewire.Options{})
		if d := cmp.Diff([]string{"eth1"}, p.Source.Also); d != "" {
			t.Errorf("to %s captured on (-want +got):\n%s", tt.target, d)
		}
		if !p.Reached() || len(p.Hops()) != 3 || slices.Contains(responders(p), "*") || p.Counters.Duplicate > 0 {
			t.Errorf("to %s: %v, %+v", tt.target, addrs(p), p.Counters)
		}
	}
}
