// Package route says how a packet of a flow to a destination leaves this host:
// through which interface, from which address, and to which next hop.
//
// It asks the kernel, whose tables these are, and lets the kernel resolve the
// next hop's hardware address: it speaks neither ARP nor NDP itself.
package route

import (
	"errors"
	"net"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Errors that a caller may want to tell apart. Those returned wrap one of them
// and say which destination, interface or next hop it was.
var (
	ErrUnsupported = errors.New("not supported on this system")
	ErrNoRoute     = errors.New("no route")
	ErrInterface   = errors.New("no such interface")
	ErrDown        = errors.New("interface is down")
	ErrNoAddress   = errors.New("interface has no address")
	ErrSource      = errors.New("not an address of this host")
	ErrNeighbour   = errors.New("next hop does not answer")
	ErrBroadcast   = errors.New("broadcast address")
	ErrLocal       = errors.New("unspecified address, of this host") // 0.0.0.0 and ::
	ErrNoMAC       = errors.New("no MAC addresses on this link")
	ErrZone        = errors.New("a link-local address needs its link's name, as in fe80::1%eth0")
	ErrLink        = errors.New("no link to other hosts, or not a kind that is supported")
)

// Options narrow the choice of a route. The zero Options leave it to the kernel.
type Options struct {
	Source netip.Addr // an address of this host

	// Interface is the interface to leave by. It may be a port of a bridge,
	// bond or team: then the route is the bridge's, and frames cross that port
	// whatever the bridge would have chosen.
	Interface string

	// NextHopMAC is the next hop's, for Route.Neighbour to return without
	// asking; nil to ask.
	NextHopMAC net.HardwareAddr

	// Mark is what the kernel's rules may look at: ip rule's fwmark. 0 is none.
	Mark uint32

	// Flow is what the packets have besides addresses.
	Flow Flow
}

// Flow is what the kernel's rules, and its choice of one route of several, may look
// at besides addresses. The zero Flow is like that of ip route get, which names
// none of it.
type Flow struct {
	Protocol         layers.IPProtocol
	SrcPort, DstPort uint16 // of UDP and TCP; 0 is none
	TOS              uint8
	FlowLabel        uint32 // of IPv6
}

// Kind is what packets go to the next hop in.
type Kind uint8

const (
	// Ethernet: in frames from Route.MAC to the next hop's.
	Ethernet Kind = iota
	// Raw: in nothing. The interface (tun, WireGuard, PPP, a tunnel) has no
	// link-layer addresses, and no neighbours to tell apart.
	Raw
	// Local: in nothing, through lo; the destination is this host itself.
	Local
)

// Route is how packets to a destination leave this host. Its addresses have no
// zones, as packets have none; see Scoped.
type Route struct {
	Kind      Kind
	Interface string
	Index     int              // of the interface
	Port      string           // of Interface, a bridge, to use alone; else empty
	MTU       int              // of the interface, or its port: the longest IP packet, in bytes
	MAC       net.HardwareAddr // of the interface; nil unless Kind is Ethernet
	Source    netip.Addr
	Zone      string // of those of the addresses that are IPv6 link-local: an interface's index

	// NextHop is the gateway, or the destination itself if it is on the link.
	// On a Raw link, whatever comes out at its other end, it is the gateway
	// that the route names, if it does; to this host itself there is none.
	NextHop    netip.Addr
	NextHopMAC net.HardwareAddr // if the options say it; see Neighbour
}

// Device is the name of the interface that frames cross: Port, or Interface.
func (r Route) Device() string {
	if r.Port != "" {
		return r.Port
	}
	return r.Interface
}

// Scoped is a, with Zone if it is an IPv6 link-local address, as sockets want
// it. The zone is no name, since that may be another interface's in another
// network namespace, and package net remembers names for a minute.
func (r Route) Scoped(a netip.Addr) netip.Addr {
	if isLinkLocal6(a) {
		return a.WithZone(r.Zone)
	}
	return a
}

func isLinkLocal6(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
