package kernelnet

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Link joins two nodes.
type Link struct {
	A, B End

	inner []End // of a wire: the two ends between A and B
}

// End is a link's interface in one node.
type End struct {
	Node      *Node
	Interface string // eth0, eth1, … in the order of the node's links
	Index     int
	MAC       net.HardwareAddr
	Addrs     []netip.Addr // one per subnet of the link
}

// Addr is the end's address in the link's first subnet.
func (e *End) Addr() netip.Addr { return e.Addrs[0] }

// Link joins a and b by a veth pair, which is ready for packets on return. In
// each subnet, such as 10.77.1.0/24 or fd77:1::/64, a has the first address
// and b the second. Neighbours are resolved as on any Ethernet. IPv6, link-
// local addresses included, is enabled where a subnet asks for it.
func (n *Network) Link(a, b *Node, subnets ...string) *Link {
	n.t.Helper()
	l := &Link{}
	l.A, l.B = n.pair(a, b)
	l.number(subnets)
	return l
}

// SetMTU sets the MTU of the link, in bytes, at both ends.
func (l *Link) SetMTU(mtu int) {
	l.A.Node.net.t.Helper()
	for _, e := range append([]End{l.A, l.B}, l.inner...) {
		if err := e.Node.kernel.LinkSetMTU(e.link(), mtu); err != nil {
			e.fatal("set the MTU", err)
		}
	}
}

// pair makes a veth pair and waits until both ends are up.
func (n *Network) pair(a, b *Node) (End, End) {
	n.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.nextInterface()
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: b.nextInterface(), PeerNamespace: netlink.NsFd(b.ns)}
	if err := a.kernel.LinkAdd(veth); err != nil {
		a.fatal("link to "+b.Name, err)
	}
	endA, endB := a.end(attrs.Name), b.end(veth.PeerName)
	for _, e := range []End{endA, endB} {
		if err := e.Node.kernel.LinkSetUp(e.link()); err != nil {
			e.fatal("set up", err)
		}
	}
	for _, e := range []End{endA, endB} {
		e.Node.await(e.Interface+" up", e.up)
	}
	return endA, endB
}

func (n *Node) nextInterface() string {
	name := fmt.Sprintf("eth%d", n.interfaces)
	n.interfaces++
	return name
}

func (n *Node) end(name string) End {
	n.net.t.Helper()
	link, err := n.kernel.LinkByName(name)
	if err != nil {
		n.fatal("look up "+name, err)
	}
	return End{Node: n, Interface: name, Index: link.Attrs().Index, MAC: link.Attrs().HardwareAddr}
}

// number gives both ends their addresses in the subnets.
func (l *Link) number(subnets []string) {
	l.A.Node.net.t.Helper()
	for _, s := range subnets {
		subnet, err := netip.ParsePrefix(s)
		if err != nil {
			l.A.fatal("subnet", err)
		}
		first := subnet.Masked().Addr().Next()
		l.A.number(netip.PrefixFrom(first, subnet.Bits()))
		l.B.number(netip.PrefixFrom(first.Next(), subnet.Bits()))
	}
}

// Number gives the end further addresses, such as 10.77.1.1/24.
func (e *End) Number(addresses ...string) {
	e.Node.net.t.Helper()
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a)
		if err != nil {
			e.fatal("address", err)
		}
		e.number(prefix)
	}
}

func (e *End) number(prefix netip.Prefix) {
	e.Node.net.t.Helper()
	if prefix.Addr().Is6() {
		err := e.Node.Do(func() error {
			return writeSysctl("net.ipv6.conf."+e.Interface+".disable_ipv6", "0")
		})
		if err != nil {
			e.fatal("enable IPv6", err)
		}
	}
	e.Node.address(e.link(), prefix)
	e.Addrs = append(e.Addrs, prefix.Addr())
}

// up tells whether the kernel would send on the interface. A veth end with
// carrier still drops what it is given until it is in this state. Tunnels never
// say that they are.
func (e *End) up() (bool, error) {
	link, err := e.Node.kernel.LinkByIndex(e.Index)
	if err != nil {
		return false, err
	}
	state := link.Attrs().OperState
	return state == netlink.OperUp || state == netlink.OperUnknown && len(e.MAC) == 0, nil
}

func (e *End) link() netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: e.Interface, Index: e.Index}}
}

func (e *End) fatal(what string, err error) {
	e.Node.net.t.Helper()
	e.Node.fatal(e.Interface+": "+what, err)
}
