package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// The host's link to a router, and what is behind that.
const (
	linkSubnet, linkSubnet6 = "10.78.1.0/24", "fd78:1::/64"
	linkRouter, linkRouter6 = "10.78.1.2", "fd78:1::2"
)

// Over every kind of link the path is found by every kind of probe, over both
// families, as traceroute finds it; and the recording is what was printed.
func TestPathsOverEveryLink(t *testing.T) {
	kernelnet.Require(t, "traceroute", "tcpdump")
	tests := map[string]struct {
		build func(*kernelnet.Network, *kernelnet.Node) // joins the host and the router
		wire  string                                    // what tcpdump tells of each packet on the link below, if there is one
	}{
		"VLAN": {func(n *kernelnet.Network, r *kernelnet.Node) {
			n.VLAN(n.Link(n.Host(), r), 5, linkSubnet, linkSubnet6)
		}, "vlan 5,"},
		"WireGuard": {func(n *kernelnet.Network, r *kernelnet.Node) {
			n.WireGuard(n.Link(n.Host(), r, "10.77.1.0/24"), linkSubnet, linkSubnet6)
		}, ".51820: UDP,"},
		"tun": {func(n *kernelnet.Network, r *kernelnet.Node) {
			n.Tunnel(kernelnet.Tun, n.Host(), r, linkSubnet, linkSubnet6)
		}, ""},
		"PPP": {func(n *kernelnet.Network, r *kernelnet.Node) {
			n.Tunnel(kernelnet.PPP, n.Host(), r, linkSubnet, linkSubnet6)
		}, ""},
		"MACVLAN": {func(n *kernelnet.Network, r *kernelnet.Node) {
			n.MACVLAN(n.Link(n.Host(), r), linkSubnet, linkSubnet6)
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := kernelnet.New(t)
			r := n.Router("r")
			test.build(n, r)
			behind(n, r)
			var wire *kernelnet.Process
			if test.wire != "" {
				wire = n.Host().Start("tcpdump", "-Z", "root", "-i", "eth0", "-l", "-n", "-e", "--immediate-mode", "not arp and not icmp6[0] > 130")
				wire.Await("listening on")
			}
			var wait sync.WaitGroup
			for _, kind := range []string{"", "-I", "-T"} {
				for _, hops := range [][]string{{linkRouter, "10.99.0.1"}, {linkRouter6, "fd99::1"}} {
					want := " 1  " + hops[0] + "  T  T  T\n 2  " + hops[1] + "  T  T  T"
					args := append(strings.Fields(kind), "-n", "-w", "2", hops[1])
					wait.Go(func() { besideTraceroute(t, want, args) })
				}
			}
			wait.Wait()
			if wire != nil {
				wire.Await(test.wire)
				onlySuch(t, wire.Stop(), test.wire)
			}
		})
	}
}

// behind joins a destination to a router, and routes to it.
func behind(n *kernelnet.Network, r *kernelnet.Node) {
	far := n.Router("far")
	n.Link(r, far, "10.79.1.0/24", "fd79:1::/64")
	far.Address("10.99.0.1", "fd99::1")
	for _, via := range []string{"10.79.1.1", "fd79:1::1"} {
		far.Route("default", via)
	}
	r.Route("10.99.0.1", "10.79.1.2")
	r.Route("fd99::1", "fd79:1::2")
	for _, via := range []string{linkRouter, linkRouter6} {
		n.Host().Route("default", via)
	}
}

// onlySuch checks what tcpdump has seen.
func onlySuch(t *testing.T, lines, want string) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		if !strings.Contains(line, want) {
			t.Errorf("on the wire: %s", line)
		}
	}
}
