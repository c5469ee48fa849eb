package kernelnet

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// MACVLAN joins the nodes of a link by a further one over the same wire: at each
// end a sub-interface with a MAC address of its own.
func (n *Network) MACVLAN(link *Link, subnets ...string) *Link {
	n.t.Helper()
	return n.upon(link, subnets, func(e *End) netlink.Link {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = e.Interface+"-mac", e.Index
		return &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
	})
}

// upon makes an interface upon each end of a link.
func (n *Network) upon(link *Link, subnets []string, device func(*End) netlink.Link) *Link {
	n.t.Helper()
	var ends [2]End
	for i, e := range []End{link.A, link.B} {
		ends[i] = e.Node.device(device(&e))
	}
	for _, e := range ends {
		e.Node.await(e.Interface+" up", e.up)
	}
	upper := &Link{A: ends[0], B: ends[1]}
	upper.number(subnets)
	return upper
}

// device adds an interface to the node and sets it up. Where the kernel has none of
// the kind it skips or fails the test as Require does.
func (n *Node) device(d netlink.Link) End {
	n.net.t.Helper()
	err := n.kernel.LinkAdd(d)
	if errors.Is(err, unix.EOPNOTSUPP) {
		Lacking(n.net.t, "this kernel has no interfaces of type %s", d.Type())
	}
	if err == nil {
		err = n.kernel.LinkSetUp(d)
	}
	if err != nil {
		n.fatal(d.Type()+" "+d.Attrs().Name, err)
	}
	return n.end(d.Attrs().Name)
}

// Bridge makes a bridge in the node of these ends, whose ports they become, and
// gives it the addresses, such as 10.77.1.1/24. It is ready when returned.
func (n *Network) Bridge(name string, ports []End, addresses ...string) End {
	n.t.Helper()
	node := ports[0].Node
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	off := false
	bridge := node.device(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off})
	for _, p := range ports {
		if err := node.kernel.LinkSetMasterByIndex(p.link(), bridge.Index); err != nil {
			p.fatal("make it a port", err)
		}
	}
	node.await(name+" up", bridge.up)
	bridge.Number(addresses...)
	return node.settled(bridge)
}

// settled is the end with the MAC address that it has by now.
func (n *Node) settled(e End) End {
	n.net.t.Helper()
	now := n.end(e.Interface)
	now.Addrs = e.Addrs
	return now
}
