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

// Packet is what can be seen of an IP packet: its header's fields, and the
// bytes behind the header. It serves for whole packets and for the quote in an
// ICMP error, which may end anywhere (RFC 792 promises 8 bytes behind the IP
// header, RFC 1812 more, RFC 4443 as much as fits).
type Packet struct {
	Src, Dst netip.Addr
	Protocol layers.IPProtocol // of the transport header
	TTL      uint8             // time to live, or hop limit
	TOS      uint8             // type of service: DSCP in the upper six bits, ECN in the lower two
	ID       uint16            // IPv4 identification
	DF       bool              // the IPv4 don't-fragment flag
	Fragment bool              // a part of a larger packet, but not its first
	Length   int               // the whole packet in bytes, as its header states it

	// Header is the IP header, options included. Payload is everything behind
	// it that was captured: it may be shorter than Length says, or longer
	// (Ethernet's padding; a header that states too little).
	Header, Payload []byte
}

// ParsePacket reads the IP header that b begins with (RFC 791, section 3.1).
// The result refers to b. It fails with ErrMalformed, or with ErrNotProbe for
// a version of IP that it doesn't read.
func ParsePacket(b []byte) (Packet, error) {
	if len(b) < 20 {
		return Packet{}, ErrMalformed
	}
	if b[0]>>4 != 4 {
		return Packet{}, ErrNotProbe
	}
	header := int(b[0]&0x0f) * 4
	if header < 20 || header > len(b) {
		return Packet{}, ErrMalformed
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	return Packet{
		Src:      netip.AddrFrom4([4]byte(b[12:16])),
		Dst:      netip.AddrFrom4([4]byte(b[16:20])),
		Protocol: layers.IPProtocol(b[9]),
		TTL:      b[8],
		TOS:      b[1],
		ID:       binary.BigEndian.Uint16(b[4:]),
		DF:       fragment&0x4000 != 0,
		Fragment: fragment&0x1fff != 0,
		Length:   int(binary.BigEndian.Uint16(b[2:])),
		Header:   b[:header],
		Payload:  b[header:],
	}, nil
}

// UDPChecksum returns the checksum field of a UDP packet, and whether enough
// of it is visible.
func (p *Packet) UDPChecksum() (uint16, bool) {
	if p.Protocol != layers.IPProtocolUDP || p.Fragment || len(p.Payload) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint16(p.Payload[6:]), true
}
