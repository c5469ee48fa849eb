package kernelnet

import (
	"os"
	"testing"

	"github.com/vishvananda/netns"
)

func TestLinksUponLinks(t *testing.T) {
	const subnet, subnet6 = "10.78.1.0/24", "fd78:1::/64"
	tests := map[string]func(n *Network, r *Node) *Link{
		"VLAN": func(n *Network, r *Node) *Link {
			return n.VLAN(n.Link(n.Host(), r), 5, subnet, subnet6)
		},
		"MACVLAN": func(n *Network, r *Node) *Link {
			return n.MACVLAN(n.Link(n.Host(), r), subnet, subnet6)
		},
		"tun": func(n *Network, r *Node) *Link {
			return n.Tunnel(Tun, n.Host(), r, subnet, subnet6)
		},
		"PPP": func(n *Network, r *Node) *Link {
			return n.Tunnel(PPP, n.Host(), r, subnet, subnet6)
		},
		"WireGuard": func(n *Network, r *Node) *Link {
			return n.WireGuard(n.Link(n.Host(), r, "10.77.1.0/24"), subnet, subnet6)
		},
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			n := New(t)
			link := build(n, n.Router("r"))
			for _, to := range link.B.Addrs {
				n.Host().exchange(t, to)
			}
		})
	}
}

func TestBridgeForwardsBetweenItsPorts(t *testing.T) {
	n := New(t)
	r1, r2 := n.Router("r1"), n.Router("r2")
	one, other := n.Link(n.Host(), r1), n.Link(n.Host(), r2)
	n.Bridge("br0", []End{one.A, other.A}, "10.77.1.1/24", "fd77:1::1/64")
	one.B.Number("10.77.1.2/24")
	other.B.Number("10.77.1.3/24", "fd77:1::3/64")
	n.Host().exchange(t, one.B.Addrs[0])
	n.Host().exchange(t, other.B.Addrs[0])
	n.Host().exchange(t, other.B.Addrs[1])
	r1.exchange(t, other.B.Addrs[0])
}

func TestPublishedNamespaceIsTheNodes(t *testing.T) {
	t.Run("published", func(t *testing.T) {
		n := New(t)
		r := n.Router("r")
		r.Publish("office")
		named, err := netns.GetFromName("office")
		if err != nil {
			t.Fatal(err)
		}
		defer named.Close()
		if !named.Equal(r.ns) {
			t.Errorf("%v, want %v", named, r.ns)
		}
	})
	if _, err := os.Stat(namesDir + "/office"); !os.IsNotExist(err) {
		t.Errorf("after the test: %v", err)
	}
}
