package kernelnet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Node is one network namespace: the host or a router.
type Node struct {
	Name string

	net        *Network
	ns         netns.NsHandle
	kernel     *netlink.Handle
	interfaces int // made so far

	enter []string // what runs its programs as a user; nil if they run as root
}

// fatal ends the test with what this node could not do.
func (n *Node) fatal(what string, err error) {
	n.net.t.Helper()
	n.net.t.Fatalf("kernelnet: %s: %s: %v", n.Name, what, err)
}

// Do calls f with the calling goroutine locked to a thread inside the node,
// and returns f's error. A socket opened in f stays in the node; a goroutine
// started in f is not in it. f may end the test, and may call Do of another
// node. Any goroutine may call Do.
func (n *Node) Do(f func() error) error {
	return inNamespace(n.ns, f)
}

// Address gives lo further addresses, such as 10.99.0.1, 10.99.0.0/24 or
// fd99::1; without a length it stands alone. The node answers on them like on
// those of its links; making them reachable takes routes elsewhere.
func (n *Node) Address(addresses ...string) {
	n.net.t.Helper()
	for _, a := range addresses {
		prefix, err := parsePrefix(a)
		if err != nil {
			n.fatal("address", err)
		}
		n.address(loopback, prefix)
	}
}

// address adds the address to the interface and waits until the node answers
// on it.
func (n *Node) address(link netlink.Link, prefix netip.Prefix) {
	n.net.t.Helper()
	what := link.Attrs().Name + " address " + prefix.String()
	if err := n.kernel.AddrAdd(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		n.fatal(what, err)
	}
	if prefix.Addr().Is6() {
		n.await(what, func() (bool, error) { return n.answersIPv6(link) })
	}
}

// answersIPv6 tells whether packets for all IPv6 addresses of the interface
// are for this node. A worker of the kernel sees to it after the address is
// there: it joins the group that neighbours ask, then adds the local route.
func (n *Node) answersIPv6(link netlink.Link) (bool, error) {
	addresses, err := n.kernel.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return false, err
	}
	routes, err := n.kernel.RouteListFiltered(netlink.FAMILY_V6,
		&netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil {
		return false, err
	}
	// Without a link-local address of its own a link cannot ask for neighbours,
	// if it has any: lo and tunnels have not.
	device, err := n.kernel.LinkByIndex(link.Attrs().Index)
	if err != nil {
		return false, err
	}
	linkLocal := link == netlink.Link(loopback) || device.Attrs().RawFlags&unix.IFF_NOARP != 0
	for _, a := range addresses {
		linkLocal = linkLocal || a.IP.IsLinkLocalUnicast()
		if !slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Dst.IP.Equal(a.IP) }) {
			return false, nil
		}
	}
	return linkLocal, nil
}

// await polls until ready says yes, and ends the test when it does not in time.
func (n *Node) await(what string, ready func() (bool, error)) {
	n.net.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ok, err := ready()
		if err != nil {
			n.fatal(what, err)
		}
		if ok {
			return
		}
		if time.Now().After(deadline) {
			n.fatal(what, fmt.Errorf("not after %v", patience))
		}
	}
}

// Route sends packets for dst (a prefix, an address or "default") by way of
// a neighbour's address, or of several, chosen among by a hash of each packet's
// addresses, protocol and ports. The same network built again chooses the same
// way, and its nodes choose independently, from Linux 6.11 on. It replaces the
// route to the same dst.
func (n *Node) Route(dst string, via ...string) {
	n.net.t.Helper()
	if err := n.route(dst, via); err != nil {
		n.fatal("route "+dst+" via "+strings.Join(via, ", "), err)
	}
}

func (n *Node) route(dst string, via []string) error {
	hops := make([]*netlink.NexthopInfo, len(via))
	for i, v := range via {
		gateway, err := netip.ParseAddr(v)
		if err != nil {
			return err
		}
		hops[i] = &netlink.NexthopInfo{Gw: gateway.AsSlice()}
		if dst == "default" {
			dst = netip.PrefixFrom(gateway, 0).Masked().String()
		}
	}
	prefix, err := parsePrefix(dst)
	if err != nil {
		return err
	}
	route := &netlink.Route{Dst: ipNet(prefix.Masked())}
	switch len(hops) {
	case 0:
		return fmt.Errorf("no neighbour given")
	case 1:
		route.Gw = hops[0].Gw
	default:
		route.MultiPath = hops
	}
	return n.kernel.RouteReplace(route)
}

// Prohibit rejects packets for dst (a prefix or an address) with
// "communication administratively prohibited", !X in traceroute. It replaces
// the route to the same dst.
func (n *Node) Prohibit(dst string) {
	n.net.t.Helper()
	prefix, err := parsePrefix(dst)
	if err == nil {
		err = n.kernel.RouteReplace(&netlink.Route{Dst: ipNet(prefix.Masked()), Type: unix.RTN_PROHIBIT})
	}
	if err != nil {
		n.fatal("prohibit "+dst, err)
	}
}

// Sysctl sets a kernel setting of the node by its dotted name, such as
// net.ipv4.icmp_ratelimit. It has its old value again when the test ends.
func (n *Node) Sysctl(name, value string) {
	n.net.t.Helper()
	var old string
	err := n.Do(func() (err error) {
		if old, err = readSysctl(name); err != nil {
			return err
		}
		return writeSysctl(name, value)
	})
	if err != nil {
		n.fatal("sysctl "+name, err)
	}
	n.net.t.Cleanup(func() {
		if err := n.Do(func() error { return writeSysctl(name, old) }); err != nil {
			n.net.t.Errorf("kernelnet: %s: restore sysctl %s: %v", n.Name, name, err)
		}
	})
}

// Nft feeds an nftables script to nft -f. It skips or fails the test as
// Require does when nft is not installed. The node has no rules when the test
// ends.
func (n *Node) Nft(script string) {
	n.net.t.Helper()
	n.run(script, "nft", "-f", "-")
	n.net.t.Cleanup(func() { n.run("flush ruleset", "nft", "-f", "-") })
}

// parsePrefix accepts a bare address too, as a prefix of its full length.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
