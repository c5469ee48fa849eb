package simulate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"
)

const (
	ip4Header = 20 // RFC 791 section 3.1, without options
	ip6Header = 40 // RFC 8200 section 3
	udpHeader = 8
	tcpHeader = 20
)

// packet is an IP packet on its way from the host. All of its lengths and
// checksums were right when it left.
type packet struct {
	b        []byte // from the IP header to its end; the packet's own
	v6       bool
	src, dst netip.Addr
	upper    int               // where the upper-layer header begins
	proto    layers.IPProtocol // of the upper-layer header

	fragment bool // it is one of several
	later    bool // and not the first, and so has no upper-layer header
	detour   bool // dst is not its last, which its checksum covers

	sent     uint8 // the TTL it left the host with
	received uint8 // the TTL it came to the present spot with

	at   time.Duration // when it came to the present spot
	to   target
	spot spot
	way  []crossing    // how it came there
	nats []translation // what became of its source on the way
}

// crossing is a link that a packet took, and where it leads.
type crossing struct {
	link *link
	node *node
}

// parse takes a packet from what the host sends. The error says why there is
// none: a header that is cut, a length or a checksum that is wrong.
func (p *packet) parse(data []byte) error {
	if len(data) == 0 {
		return errors.New("no IP header")
	}
	*p = packet{b: p.b[:0], way: p.way[:0], nats: p.nats[:0]}
	var err error
	switch data[0] >> 4 {
	case 4:
		err = p.parse4(data)
	case 6:
		err = p.parse6(data)
	default:
		err = fmt.Errorf("IP version %d", data[0]>>4)
	}
	if err != nil {
		return err
	}
	p.sent = p.ttl()
	if p.fragment {
		return nil
	}
	return p.checkUpper()
}

// parse4 reads an IPv4 header (RFC 791 section 3.1).
func (p *packet) parse4(data []byte) error {
	if len(data) < ip4Header {
		return errors.New("no IPv4 header")
	}
	header, total := int(data[0]&0x0f)*4, int(binary.BigEndian.Uint16(data[2:]))
	if header < ip4Header || total < header || total > len(data) {
		return fmt.Errorf("IPv4 header of %d bytes, total length %d, in %d bytes", header, total, len(data))
	}
	if checksum(data[:header], 0) != 0 {
		return errors.New("wrong IPv4 header checksum")
	}
	p.b = append(p.b, data[:total]...)
	p.src, p.dst = netip.AddrFrom4([4]byte(data[12:16])), netip.AddrFrom4([4]byte(data[16:20]))
	p.upper, p.proto = header, layers.IPProtocol(data[9])
	flags := binary.BigEndian.Uint16(data[6:])
	p.later, p.fragment = flags&0x1fff != 0, flags&0x3fff != 0
	return nil
}

// parse6 reads an IPv6 header and what extends it (RFC 8200 sections 3 and 4).
func (p *packet) parse6(data []byte) error {
	if len(data) < ip6Header {
		return errors.New("no IPv6 header")
	}
	total := ip6Header + int(binary.BigEndian.Uint16(data[4:]))
	if total > len(data) {
		return fmt.Errorf("IPv6 payload length %d in %d bytes", total-ip6Header, len(data)-ip6Header)
	}
	p.v6 = true
	p.b = append(p.b, data[:total]...)
	p.src, p.dst = netip.AddrFrom16([16]byte(data[8:24])), netip.AddrFrom16([16]byte(data[24:40]))
	p.upper, p.proto = ip6Header, layers.IPProtocol(data[6])
	for !p.later {
		n := extensionLength(p.proto, p.b[p.upper:])
		if n == 0 {
			return nil
		}
		if n > len(p.b)-p.upper {
			return fmt.Errorf("IPv6 extension header %d is cut", uint8(p.proto))
		}
		p.extension(p.b[p.upper:])
		p.upper += n
	}
	return nil
}

// extension takes from an IPv6 extension header what follows it, and whether
// the packet is a fragment, or takes a detour (RFC 8200 sections 4.4 and 4.5).
func (p *packet) extension(header []byte) {
	switch p.proto {
	case layers.IPProtocolIPv6Routing:
		p.detour = header[3] != 0
	case layers.IPProtocolIPv6Fragment:
		flags := binary.BigEndian.Uint16(header[2:])
		p.later, p.fragment = flags&0xfff8 != 0, flags&0xfff9 != 0
	}
	p.proto = layers.IPProtocol(header[0])
}

// extensionLength is that of an IPv6 extension header (RFC 8200 section 4,
// RFC 4302 section 2.2): 0 if there is none, more than there is if it is cut.
func extensionLength(proto layers.IPProtocol, data []byte) int {
	switch proto {
	case layers.IPProtocolIPv6Fragment:
		return 8
	case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination, layers.IPProtocolAH:
	default:
		return 0
	}
	switch {
	case len(data) < 8:
		return 8
	case proto == layers.IPProtocolAH:
		return max(4*(int(data[1])+2), 8)
	}
	return 8 * (int(data[1]) + 1)
}

// checkUpper checks the length and checksum of a UDP, UDP-Lite, TCP or ICMP header
// (RFC 768, RFC 3828, RFC 9293, RFC 792, RFC 4443).
func (p *packet) checkUpper() error {
	up := p.b[p.upper:]
	least, name := 0, ""
	switch {
	case p.proto == layers.IPProtocolUDP:
		least, name = udpHeader, "UDP"
	case p.proto == layers.IPProtocolTCP:
		least, name = tcpHeader, "TCP"
	case p.proto == layers.IPProtocolUDPLite:
		least, name = udpHeader, "UDP-Lite"
	case p.isICMP():
		least, name = 8, "ICMP"
	default:
		return nil
	}
	if len(up) < least {
		return fmt.Errorf("%s header in %d bytes", name, len(up))
	}
	if p.proto == layers.IPProtocolTCP && (int(up[12]>>4)*4 < tcpHeader || int(up[12]>>4)*4 > len(up)) {
		return fmt.Errorf("TCP header of %d bytes in %d", int(up[12]>>4)*4, len(up))
	}
	if p.proto == layers.IPProtocolUDP {
		if n := int(binary.BigEndian.Uint16(up[4:])); n != len(up) {
			return fmt.Errorf("UDP length %d, wrong for the %d bytes there are", n, len(up))
		}
		if !p.v6 && up[6] == 0 && up[7] == 0 {
			return nil
		}
	}
	covered := up
	if p.proto == layers.IPProtocolUDPLite {
		n := int(binary.BigEndian.Uint16(up[4:]))
		if n != 0 && n < udpHeader || n > len(up) {
			return fmt.Errorf("UDP-Lite coverage of %d bytes in %d", n, len(up))
		}
		if n != 0 {
			covered = up[:n]
		}
	}
	if !p.detour && checksum(covered, p.pseudo(len(up))) != 0 {
		return fmt.Errorf("wrong %s checksum", name)
	}
	return nil
}

// isICMP reports whether the packet is ICMP of its own IP version.
func (p *packet) isICMP() bool {
	if p.v6 {
		return p.proto == layers.IPProtocolICMPv6
	}
	return p.proto == layers.IPProtocolICMPv4
}

// pseudo is the sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200
// section 8.1): none for ICMPv4.
func (p *packet) pseudo(length int) uint32 {
	switch {
	case p.proto == layers.IPProtocolICMPv4:
		return 0
	case p.v6:
		return sum(p.b[8:40], 0) + uint32(p.proto) + uint32(length)
	}
	return sum(p.b[12:20], 0) + uint32(p.proto) + uint32(length)
}

// hasPorts reports whether the header begins with two ports.
func hasPorts(proto layers.IPProtocol) bool {
	return proto == layers.IPProtocolUDP || proto == layers.IPProtocolTCP || proto == layers.IPProtocolUDPLite
}

// ports are those of a UDP, UDP-Lite or TCP packet.
func (p *packet) ports() (src, dst uint16) {
	up := p.b[p.upper:]
	if len(up) < 4 {
		return 0, 0
	}
	return binary.BigEndian.Uint16(up), binary.BigEndian.Uint16(up[2:])
}

// mayDrawErrors reports whether ICMP errors may be about this packet: not if
// it is an ICMP error itself, a fragment other than the first, or from or to
// more than one host (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
func (p *packet) mayDrawErrors() bool {
	if p.later || !p.src.IsGlobalUnicast() {
		return false
	}
	if !p.isICMP() || len(p.b) == p.upper {
		return true
	}
	typ := p.b[p.upper]
	if p.v6 {
		return typ >= 128 && typ != layers.ICMPv6TypeRedirect
	}
	switch typ {
	case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeSourceQuench, layers.ICMPv4TypeRedirect,
		layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem:
		return false
	}
	return true
}

// dontFragment reports whether the packet may not be fragmented on the way.
func (p *packet) dontFragment() bool { return p.v6 || p.b[6]&0x40 != 0 }

func (p *packet) ttl() uint8     { return p.b[ttlOffset(p.v6)] }
func (p *packet) setTTL(v uint8) { setTTL(p.b, v) }
func (p *packet) tos() uint8     { return tos(p.b) }
func (p *packet) setTOS(v uint8) { setTOS(p.b, v) }

// duplicate returns a copy that shares no bytes with p.
func (p *packet) duplicate() *packet {
	d := *p
	d.b = append([]byte(nil), p.b...)
	d.way = append([]crossing(nil), p.way...)
	d.nats = append([]translation(nil), p.nats...)
	return &d
}
