package route

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Lookup asks the kernel for the route to dst, a unicast address of either
// family. An IPv6 link-local address has the name or index of its interface for
// its zone, or o says the interface.
func Lookup(dst netip.Addr, o Options) (Route, error) {
	r, err := lookUp(dst, o)
	return r, because(err, openNetlink)
}

func lookUp(dst netip.Addr, o Options) (Route, error) {
	l := lookup{dst: dst.Unmap().WithZone(""), options: o}
	if err := l.choose(dst.Zone()); err != nil {
		return Route{}, err
	}
	if err := l.checkSource(); err != nil {
		return Route{}, err
	}
	found, err := l.get()
	if err != nil {
		return Route{}, l.refusal(err)
	}
	way := l.special(found)
	var r Route
	switch way.Type {
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST:
		return Route{}, fmt.Errorf("route: %v: %w", l.dst, ErrBroadcast)
	case unix.RTN_LOCAL, unix.RTN_ANYCAST:
		r, err = l.local(way)
	default:
		r, err = l.remote(way)
	}
	if err == nil && o.NextHopMAC != nil && r.Kind != Ethernet {
		return Route{}, fmt.Errorf("route: %s: %w", r.Interface, ErrNoMAC)
	}
	return r, err
}

// lookup is one call of Lookup.
type lookup struct {
	dst     netip.Addr
	options Options
	link    netlink.Link // the interface asked for, or the bridge that it is a port of; or nil
	port    netlink.Link // the interface asked for, if it is a port
}

// choose finds the interface that the options or the zone of dst name, if they
// do.
func (l *lookup) choose(zone string) error {
	name := l.options.Interface
	switch {
	case l.dst.IsUnspecified() || !l.dst.IsValid():
		return fmt.Errorf("route: %v: %w", l.dst, ErrLocal)
	case zone == "" && name == "":
		if isLinkLocal6(l.dst) {
			return fmt.Errorf("route: %v: %w", l.dst, ErrZone)
		}
		return nil
	}
	link, err := linkByName(cmp.Or(name, zone))
	if err != nil {
		return err
	}
	if err := l.chooseLink(link); err != nil || zone == "" {
		return err
	}
	for _, link := range []netlink.Link{l.link, l.port} {
		if link != nil && (zone == link.Attrs().Name || zone == strconv.Itoa(link.Attrs().Index)) {
			return nil
		}
	}
	return fmt.Errorf("route: %v%%%s through %s: %w", l.dst, zone, name, ErrNoRoute)
}

// linkByName is the interface of that name or, as zones may have it, index.
func linkByName(name string) (netlink.Link, error) {
	if link, err := netlink.LinkByName(name); err == nil {
		return link, nil
	}
	if index, err := strconv.Atoi(name); err == nil {
		if link, err := netlink.LinkByIndex(index); err == nil {
			return link, nil
		}
	}
	return nil, fmt.Errorf("route: %s: %w", name, ErrInterface)
}

// chooseLink makes link the interface asked for.
func (l *lookup) chooseLink(link netlink.Link) error {
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("route: %s: %w", link.Attrs().Name, ErrDown)
	}
	l.link = link
	if master := masterOf(link); master != nil {
		l.link, l.port = master, link
	}
	return nil
}

// masterOf is what has the addresses and routes in the place of its port link,
// or nil.
func masterOf(link netlink.Link) netlink.Link {
	if link.Attrs().MasterIndex == 0 {
		return nil
	}
	master, err := netlink.LinkByIndex(link.Attrs().MasterIndex)
	if err == nil && slices.Contains([]string{"bridge", "bond", "team"}, master.Type()) {
		return master
	}
	return nil
}

// checkSource refuses what the kernel would let pass: a source that is not an
// address of this host, or one borrowed from another interface than the chosen.
func (l *lookup) checkSource() error {
	source := l.options.Source.WithZone("")
	if !source.IsValid() && l.link == nil {
		return nil
	}
	of := l.link
	if source.IsValid() {
		of = nil // any interface
	}
	list, err := netlink.AddrList(of, familyOf(l.dst))
	if err != nil {
		return fmt.Errorf("route: addresses: %w", err)
	}
	if !source.IsValid() {
		if len(list) == 0 {
			return l.noAddress(l.link.Attrs().Name)
		}
		return nil
	}
	for _, a := range list {
		if addrOf(a.IP) == source {
			return nil
		}
	}
	return fmt.Errorf("route: source %v: %w", source, ErrSource)
}

func (l *lookup) noAddress(name string) error {
	return fmt.Errorf("route: %s: %w of the family of %v", name, ErrNoAddress, l.dst)
}

// special is the route to dst if it is this host itself, or not one host; else it
// is found. Asked for an interface, the kernel doesn't look whether dst is special
// on another.
func (l *lookup) special(found *netlink.Route) *netlink.Route {
	if l.link == nil || found.Type != unix.RTN_UNICAST || isLinkLocal6(l.dst) {
		return found
	}
	any, err := netlink.RouteGet(l.dst.AsSlice())
	if err != nil || len(any) == 0 || any[0].Type == unix.RTN_UNICAST {
		return found
	}
	return &any[0]
}

// refusal says what the kernel's refusal of a look-up means.
func (l *lookup) refusal(err error) error {
	switch {
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EINVAL):
		// Also what a route of type unreachable, prohibit or blackhole says.
		if l.link != nil {
			return fmt.Errorf("route: %v through %s: %w", l.dst, l.link.Attrs().Name, ErrNoRoute)
		}
		return fmt.Errorf("route: %v: %w", l.dst, ErrNoRoute)
	}
	return fmt.Errorf("route: %v: %w", l.dst, err)
}

// local is the route to this host itself, whichever interface has the address.
func (l *lookup) local(found *netlink.Route) (Route, error) {
	lo, err := netlink.LinkByIndex(loopback)
	if err != nil {
		return Route{}, fmt.Errorf("route: %v: interface %d: %w", l.dst, loopback, err)
	}
	if lo.Attrs().Flags&net.FlagUp == 0 {
		return Route{}, fmt.Errorf("route: %s: %w", lo.Attrs().Name, ErrDown)
	}
	r := Route{Kind: Local, Interface: lo.Attrs().Name, Index: loopback, MTU: mtuOf(lo), Source: l.source(found)}
	if !r.Source.IsValid() {
		r.Source = l.dst
	}
	if l.link != nil { // nothing is link-local on lo
		lo = l.link
	}
	r.Zone = l.zone(&r, lo)
	return r, nil
}

// zone is the route's Zone, if there is something link-local about it.
func (l *lookup) zone(r *Route, link netlink.Link) string {
	if isLinkLocal6(l.dst) || isLinkLocal6(r.Source) || isLinkLocal6(r.NextHop) {
		return strconv.Itoa(link.Attrs().Index)
	}
	return ""
}

// remote makes a Route of what the kernel answered.
func (l *lookup) remote(found *netlink.Route) (Route, error) {
	link := l.link
	if link == nil || link.Attrs().Index != found.LinkIndex {
		var err error
		if link, err = netlink.LinkByIndex(found.LinkIndex); err != nil {
			return Route{}, fmt.Errorf("route: %v: interface %d: %w", l.dst, found.LinkIndex, err)
		}
	}
	r := Route{Interface: link.Attrs().Name, Index: link.Attrs().Index, MTU: mtuOf(link), Source: l.source(found)}
	if !r.Source.IsValid() || r.Source.IsLoopback() {
		return Route{}, l.noAddress(r.Interface)
	}
	if l.port != nil {
		r.Port, r.MTU = l.port.Attrs().Name, min(r.MTU, mtuOf(l.port))
	}
	r.NextHop = gatewayOf(found)
	switch kind := link.Attrs().EncapType; {
	case kind == "ether" && len(link.Attrs().HardwareAddr) == 6:
		r.MAC, r.NextHopMAC = link.Attrs().HardwareAddr, l.options.NextHopMAC
		if !r.NextHop.IsValid() {
			r.NextHop = l.dst
		}
	case slices.Contains(rawLinks, kind):
		r.Kind = Raw
	default:
		return Route{}, fmt.Errorf("route: %s (%s): %w", r.Interface, kind, ErrLink)
	}
	r.Zone = l.zone(&r, link)
	return r, nil
}

// rawLinks are the kinds of interfaces whose frames are IP packets, as ip link
// calls them.
var rawLinks = []string{"none", "ppp", "rawip", "ipip", "sit", "gre", "tunnel6", "gre6"}

// loopback is the index of lo in every namespace.
const loopback = 1

// source is the address that packets come from; none if there is none.
func (l *lookup) source(found *netlink.Route) netip.Addr {
	if l.options.Source.IsValid() {
		return l.options.Source.WithZone("")
	}
	if a := addrOf(found.Src); a.IsValid() && !a.IsUnspecified() {
		return a
	}
	return netip.Addr{}
}

// gatewayOf is the route's gateway, of either family; none if there is none.
func gatewayOf(found *netlink.Route) netip.Addr {
	if gateway := addrOf(found.Gw); gateway.IsValid() {
		return gateway
	}
	if via, ok := found.Via.(*netlink.Via); ok {
		return addrOf(via.Addr)
	}
	return netip.Addr{}
}

// mtuOf is the MTU of the interface, as far as IP packets can be as long: that
// of lo is longer.
func mtuOf(link netlink.Link) int { return min(link.Attrs().MTU, math.MaxUint16) }

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
