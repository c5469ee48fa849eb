package craft

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Route is a loose source route: the gateways that an IPv4 packet is to pass on
// its way (RFC 791, section 3.1). The zero Route is none. Routes are equal if
// their gateways are.
type Route struct {
	gateways string // four bytes for each
}

// MaxGateways is how many gateways a Route may have: the destination and all
// but the first gateway must fit into the 40 bytes of an IPv4 header's options.
const MaxGateways = 9

// ErrRoute is wrapped by the errors of NewRoute.
var ErrRoute = errors.New("craft: bad source route")

// NewRoute is the Route through gateways, of which the first is passed first.
func NewRoute(gateways ...netip.Addr) (Route, error) {
	if len(gateways) > MaxGateways {
		return Route{}, fmt.Errorf("%w: %d gateways, of at most %d", ErrRoute, len(gateways), MaxGateways)
	}
	var b []byte
	for _, g := range gateways {
		if !g.Is4() {
			return Route{}, fmt.Errorf("%w: %v is not an IPv4 address", ErrRoute, g)
		}
		b = append(b, g.AsSlice()...)
	}
	return Route{string(b)}, nil
}

// First is the address that packets to dst are sent to: that of the first
// gateway; dst, if there is none.
func (r Route) First(dst netip.Addr) netip.Addr {
	if r.gateways == "" {
		return dst
	}
	return netip.AddrFrom4([4]byte([]byte(r.gateways[:4])))
}

// The options of an IPv4 header (RFC 791, section 3.1).
const (
	optionEnd         = 0
	optionNop         = 1
	optionLooseRoute  = 131
	optionStrictRoute = 137

	routeHeader = 3 // type, length, pointer
)

// options are the IPv4 options of a packet to dst that takes the route. A
// no-operation aligns the addresses.
func (r Route) options(dst netip.Addr) []layers.IPv4Option {
	if r.gateways == "" {
		return nil
	}
	const pointer = routeHeader + 1 // to the first address; the first byte of the option is 1
	data := append([]byte{pointer}, r.gateways[4:]...)
	data = append(data, dst.AsSlice()...)
	return []layers.IPv4Option{
		{OptionType: optionNop, OptionLength: 1},
		{OptionType: optionLooseRoute, OptionLength: uint8(2 + len(data)), OptionData: data},
	}
}

// optionsLength is how long the options are in bytes.
func (r Route) optionsLength() int {
	if r.gateways == "" {
		return 0
	}
	return 1 + routeHeader + len(r.gateways)
}

// final is where the packet goes in the end. While it follows a source route
// that is not at its end, Dst is the next gateway, and the last address of the
// route is the destination.
func (p *Packet) final() netip.Addr {
	if len(p.Header) == ipv4Header || p.Is6() {
		return p.Dst
	}
	for b := p.Header[ipv4Header:]; len(b) > 0 && b[0] != optionEnd; {
		length := 1
		if b[0] != optionNop {
			if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
				break
			}
			length = int(b[1])
		}
		if to, ok := routeEnd(b[:length]); ok {
			return to
		}
		b = b[length:]
	}
	return p.Dst
}

// routeEnd is the last address of a source route, loose or strict, and whether
// the option is one that still has addresses to go to.
func routeEnd(option []byte) (netip.Addr, bool) {
	n := len(option)
	if option[0] != optionLooseRoute && option[0] != optionStrictRoute || n < routeHeader+4 || int(option[2]) > n {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(option[n-4:])), true
}
