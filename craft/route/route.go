// Package route says how a packet to a destination leaves this host: through
// which interface, from which address, and to which next hop.
//
// It asks the kernel, whose tables these are, and lets the kernel resolve the
// next hop's hardware address: it speaks neither ARP nor NDP itself.
package route

import (
	"errors"
	"net"
	"net/netip"
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
	ErrLocal       = errors.New("address of this host")
	ErrLink        = errors.New("not an Ethernet interface")
)

// Options narrow the choice of a route. The zero Options leave it to the kernel.
type Options struct {
	Source    netip.Addr // an address of this host
	Interface string     // the interface to leave by
}

// Route is how packets to a destination leave this host.
type Route struct {
	Interface string
	Index     int // of the interface
	MTU       int // of the interface: the longest IP packet, in bytes
	MAC       net.HardwareAddr
	Source    netip.Addr
	NextHop   netip.Addr // the gateway, or the destination itself if it is on the link
}
