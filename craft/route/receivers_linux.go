package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Receivers returns the names of the interfaces, besides Device, by which replies to
// Source can arrive: those of another uplink, or of the interface that has the
// address. Frames that Device sees too are not looked for twice: a bridge and its
// ports, a VLAN and the interface under it count as one.
//
// It returns none if Source is an address of the outgoing interface, and no other
// interface has a route beyond its own subnets, or a subnet with Source. It names at
// most 16 interfaces, those with routes first.
func (r Route) Receivers() ([]string, error) {
	if r.Kind == Local || isLinkLocal6(r.Source) {
		return nil, nil
	}
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("route: interfaces: %w", err)
	}
	all := devicesOf(links)
	outgoing := r.Index
	if at := slices.IndexFunc(all, func(d device) bool { return d.name == r.Device() }); at >= 0 {
		outgoing = all[at].index
	}
	if !slices.ContainsFunc(all, func(d device) bool { return d.usable && d.index != outgoing && d.index != r.Index }) {
		return nil, nil // as on most hosts: there is no other
	}
	if err := addPrefixes(all, familyOf(r.Source)); err != nil {
		return nil, err
	}
	if err := addRoutes(all, links, outgoing, familyOf(r.Source)); err != nil {
		return nil, err
	}
	return receivers(all, outgoing, r.Source), nil
}

func devicesOf(links []netlink.Link) (all []device) {
	vrfs := map[int]bool{} // they see only what those in them see
	for _, link := range links {
		vrfs[link.Attrs().Index] = link.Type() == "vrf"
	}
	for _, link := range links {
		a := link.Attrs()
		d := device{
			index: a.Index, name: a.Name,
			usable: a.Flags&net.FlagUp != 0 && a.Flags&net.FlagLoopback == 0 && a.RawFlags&unix.IFF_LOWER_UP != 0 &&
				(a.EncapType == "ether" || slices.Contains(rawLinks, a.EncapType)) && !vrfs[a.Index],
		}
		if !vrfs[a.MasterIndex] {
			d.master = a.MasterIndex
		}
		// Of other types the parent is what carries a tunnel, or the other end of a
		// pair; one of another namespace has an index there.
		if slices.Contains([]string{"vlan", "macvlan", "macvtap", "ipvlan"}, link.Type()) && a.NetNsID < 0 {
			d.parent = a.ParentIndex
		}
		all = append(all, d)
	}
	return all
}

// addPrefixes adds the addresses of a family that other hosts can send to.
func addPrefixes(all []device, family int) error {
	list, err := netlink.AddrList(nil, family)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("route: addresses: %w", err)
	}
	for _, a := range list {
		addr := addrOf(a.IP)
		at := slices.IndexFunc(all, func(d device) bool { return d.index == a.LinkIndex })
		if at < 0 || a.IPNet == nil || isLinkLocal6(addr) {
			continue
		}
		length, _ := a.Mask.Size()
		if p, err := addr.Prefix(length); err == nil {
			all[at].prefixes = append(all[at].prefixes, netip.PrefixFrom(addr, p.Bits()))
		}
	}
	return nil
}

// addRoutes notes which of the interfaces have routes of a family to more than their
// own subnets. It reads no more of the tables than it needs: they can be long.
func addRoutes(all []device, links []netlink.Link, outgoing, family int) error {
	open := map[int]*device{} // those that no such route is known of
	raw := map[int]bool{}
	for i := range all {
		if d := &all[i]; d.usable && d.index != outgoing {
			open[d.index] = d
			raw[d.index] = links[i].Attrs().EncapType != "ether"
		}
	}
	note := func(index int, leadsOn bool) {
		if d := open[index]; d != nil && leadsOn {
			d.leadsOn = true
			delete(open, index)
		}
	}
	everyTable := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	err := netlink.RouteListFilteredIter(family, everyTable, netlink.RT_FILTER_TABLE, func(found netlink.Route) bool {
		if found.Type == unix.RTN_UNICAST {
			// A link without neighbours needs no gateway, but the kernel itself makes
			// routes to its subnets only.
			note(found.LinkIndex, gatewayOf(&found).IsValid() || raw[found.LinkIndex] && found.Protocol != unix.RTPROT_KERNEL)
			for _, hop := range found.MultiPath {
				via := netlink.Route{Gw: hop.Gw, Via: hop.Via}
				note(hop.LinkIndex, gatewayOf(&via).IsValid() || raw[hop.LinkIndex])
			}
		}
		return len(open) > 0
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("route: routes: %w", err)
	}
	return nil
}
