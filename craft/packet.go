package craft

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Errors of ParsePacket and KeyOf. A caller tells "this is no probe" from
// "this is broken" with errors.Is.
var (
	// ErrMalformed: the bytes contradict themselves, or end before the fixed
	// part of the IP header does.
	ErrMalformed = errors.New("craft: malformed packet")

	// ErrNotProbe: a well-formed packet that no tracer identifies its probes
	// by: another protocol, a later fragment, too little of its transport
	// header.
	ErrNotProbe = errors.New("craft: not a probe")
)

// Packet is what can be seen of an IP packet, of either version: its header's
// fields, and the bytes behind the header. It serves for whole packets and for
// the quote in an ICMP error, which may end anywhere (RFC 792 promises 8 bytes
// behind the IP header, RFC 1812 more, RFC 4443 as much as fits).
type Packet struct {
	Src, Dst  netip.Addr
	Protocol  layers.IPProtocol // of the transport header
	TTL       uint8             // time to live, or hop limit
	TOS       uint8             // type of service or traffic class: DSCP in the upper six bits, ECN in the lower two
	ID        uint16            // IPv4 identification; IPv6 has none
	DF        bool              // the IPv4 don't-fragment flag
	Fragment  bool              // a part of a larger packet, but not its first
	FlowLabel uint32            // of IPv6: 20 bits
	Length    int               // the whole packet in bytes, as its header states it

	// Header is the IP header, options or extension headers included. Payload
	// is everything behind it that was captured: it may be shorter than Length
	// says, or longer (Ethernet's padding; a header that states too little).
	Header, Payload []byte
}

// ParsePacket reads the IP header that b begins with (RFC 791, section 3.1;
// RFC 8200, section 3). The result refers to b. It fails with ErrMalformed, or
// with ErrNotProbe for another version of IP.
func ParsePacket(b []byte) (Packet, error) {
	var p Packet
	err := p.Parse(b)
	return p, err
}

// Parse is ParsePacket into a Packet that is there already. After an error its
// fields mean nothing.
func (p *Packet) Parse(b []byte) error {
	switch {
	case len(b) == 0:
		return ErrMalformed
	case b[0]>>4 == 4:
		return p.parse4(b)
	case b[0]>>4 == 6:
		return p.parse6(b)
	case len(b) < ipv4Header:
		return ErrMalformed
	}
	return ErrNotProbe
}

// The fixed parts of the headers.
const (
	ipv4Header = 20
	ipv6Header = 40
)

func (p *Packet) parse4(b []byte) error {
	if len(b) < ipv4Header {
		return ErrMalformed
	}
	header := int(b[0]&0x0f) * 4
	if header < ipv4Header || header > len(b) {
		return ErrMalformed
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	p.Src = netip.AddrFrom4([4]byte(b[12:16]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	p.Protocol = layers.IPProtocol(b[9])
	p.TTL = b[8]
	p.TOS = b[1]
	p.ID = binary.BigEndian.Uint16(b[4:])
	p.DF = fragment&0x4000 != 0
	p.Fragment = fragment&0x1fff != 0
	p.FlowLabel = 0
	p.Length = int(binary.BigEndian.Uint16(b[2:]))
	p.Header, p.Payload = b[:header], b[header:]
	return nil
}

func (p *Packet) parse6(b []byte) error {
	if len(b) < ipv6Header {
		return ErrMalformed
	}
	p.Src = netip.AddrFrom16([16]byte(b[8:24]))
	p.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	p.Protocol = layers.IPProtocol(b[6])
	p.TTL = b[7]
	p.TOS = b[0]<<4 | b[1]>>4
	p.ID, p.DF, p.Fragment = 0, false, false
	p.FlowLabel = binary.BigEndian.Uint32(b) & 0xfffff
	p.Length = ipv6Header + int(binary.BigEndian.Uint16(b[4:]))
	p.skipExtensions(b)
	return nil
}

// skipExtensions finds the transport header behind IPv6 extension headers (RFC
// 8200, section 4). If they end before it comes, Protocol is the header that is
// missing and Payload is what there is of it.
func (p *Packet) skipExtensions(b []byte) {
	at := ipv6Header
	for {
		length := 0
		switch rest := b[at:]; p.Protocol {
		case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination:
			if len(rest) >= 2 {
				length = 8 + 8*int(rest[1])
			}
		case layers.IPProtocolIPv6Fragment:
			if length = 8; len(rest) >= length && binary.BigEndian.Uint16(rest[2:])&^7 != 0 {
				p.Fragment = true
			}
		case layers.IPProtocolAH: // RFC 4302, section 2.2
			if len(rest) >= 2 {
				length = 8 + 4*int(rest[1])
			}
		}
		if length == 0 || length > len(b)-at {
			break
		}
		p.Protocol = layers.IPProtocol(b[at])
		at += length
	}
	p.Header, p.Payload = b[:at], b[at:]
}

// Is6 reports whether p is a packet of IPv6.
func (p *Packet) Is6() bool { return p.Src.Is6() }

// Checksum returns the checksum field of the transport header, and whether
// enough of that is visible. The protocols are those that Key knows.
func (p *Packet) Checksum() (sum uint16, visible bool) {
	known := ProtocolOf(p.Protocol)
	if known == nil || p.Fragment || len(p.Payload) < known.checksum+2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(p.Payload[known.checksum:]), true
}

// WireChecksum is the transport checksum that the packet has on the wire, and
// whether it is known. A packet that was captured on the host that sends it may
// show the sum of the pseudo-header alone, for the adapter to complete: then,
// where the whole packet is there, it is computed.
func (p *Packet) WireChecksum() (sum uint16, known bool) {
	stated, visible := p.Checksum()
	if !visible {
		return 0, false
	}
	return p.wireChecksum(ProtocolOf(p.Protocol), stated), true
}

// wireChecksum is WireChecksum where a checksum is visible.
func (p *Packet) wireChecksum(known *Protocol, stated uint16) uint16 {
	length := p.transportLength(known)
	if length == 0 || length > len(p.Payload) {
		return stated
	}
	pseudo := p.pseudoSum(length)
	if fold(pseudo) != stated {
		return stated
	}
	sum := ^fold(pseudo + onesSum(p.Payload[:length]) - uint64(stated))
	if sum == 0 && known.Token == Checksum {
		return 0xffff // RFC 768: 0 means none
	}
	return sum
}

// transportLength is how long the transport packet is, as its headers state it, if
// adapters complete its checksum; 0 for another, as of UDP-Lite.
func (p *Packet) transportLength(known *Protocol) int {
	switch {
	case known.length:
		return max(udpHeader, int(binary.BigEndian.Uint16(p.Payload[4:])))
	case known.Token == Sequence:
		return p.Length - len(p.Header)
	}
	return 0
}

// pseudoSum is the sum of the pseudo-header of a transport packet of a length;
// 0 for ICMPv4, which has none (RFC 792). The pseudo-header has the destination
// in the end, as the one that verifies it sees it (RFC 768; RFC 8200, section
// 8.1).
func (p *Packet) pseudoSum(length int) uint64 {
	if p.Protocol == layers.IPProtocolICMPv4 {
		return 0
	}
	sum := uint64(p.Protocol) + uint64(length)
	if p.Is6() {
		return sum + onesSum(p.Header[8:40])
	}
	if len(p.Header) == ipv4Header {
		return sum + onesSum(p.Header[12:20])
	}
	dst := p.final().As4()
	return sum + onesSum(p.Header[12:16]) + onesSum(dst[:])
}
