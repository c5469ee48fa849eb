package route

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How interfaces are related is what their types say: the other end of a veth pair,
// and what is in another namespace, only have a number in common.
func TestDevicesOfLinks(t *testing.T) {
	attrs := func(index int, name string, change func(*netlink.LinkAttrs)) netlink.LinkAttrs {
		a := netlink.NewLinkAttrs()
		a.Index, a.Name, a.EncapType, a.Flags, a.RawFlags = index, name, "ether", net.FlagUp, unix.IFF_UP|unix.IFF_LOWER_UP
		if change != nil {
			change(&a)
		}
		return a
	}
	parent := func(a *netlink.LinkAttrs) { a.ParentIndex = 2 }
	master := func(index int) func(*netlink.LinkAttrs) {
		return func(a *netlink.LinkAttrs) { a.MasterIndex = index }
	}
	got := devicesOf([]netlink.Link{
		&netlink.Device{LinkAttrs: attrs(1, "lo", func(a *netlink.LinkAttrs) { a.Flags |= net.FlagLoopback })},
		&netlink.Device{LinkAttrs: attrs(2, "eth0", nil)},
		&netlink.Vlan{LinkAttrs: attrs(3, "eth0.5", parent)},
		&netlink.Macvlan{LinkAttrs: attrs(4, "m", parent)},
		&netlink.Veth{LinkAttrs: attrs(5, "veth", parent)},
		&netlink.Macvlan{LinkAttrs: attrs(6, "inside", func(a *netlink.LinkAttrs) { a.ParentIndex, a.NetNsID = 2, 0 })},
		&netlink.Bridge{LinkAttrs: attrs(7, "br0", nil)},
		&netlink.Device{LinkAttrs: attrs(8, "port", master(7))},
		&netlink.Vrf{LinkAttrs: attrs(9, "blue", nil)},
		&netlink.Device{LinkAttrs: attrs(10, "in-blue", master(9))},
		&netlink.Device{LinkAttrs: attrs(11, "unplugged", func(a *netlink.LinkAttrs) { a.RawFlags = unix.IFF_UP })},
		&netlink.Tuntap{LinkAttrs: attrs(12, "tun0", func(a *netlink.LinkAttrs) { a.EncapType = "none" })},
		&netlink.Device{LinkAttrs: attrs(13, "can0", func(a *netlink.LinkAttrs) { a.EncapType = "can" })},
	})
	want := []device{
		{index: 1, name: "lo"},
		{index: 2, name: "eth0", usable: true},
		{index: 3, name: "eth0.5", usable: true, parent: 2},
		{index: 4, name: "m", usable: true, parent: 2},
		{index: 5, name: "veth", usable: true},
		{index: 6, name: "inside", usable: true},
		{index: 7, name: "br0", usable: true},
		{index: 8, name: "port", usable: true, master: 7},
		{index: 9, name: "blue"},
		{index: 10, name: "in-blue", usable: true},
		{index: 11, name: "unplugged"},
		{index: 12, name: "tun0", usable: true},
		{index: 13, name: "can0"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(device{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
