package simulate

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// translation is a source address that a NAT replaced.
type translation struct {
	inside, outside netip.Addr
	keepChecksum    bool // not repairing the transport checksum in quotes
}

// translate rewrites the packet's source on its way out of a NAT.
func (p *packet) translate(t translation) {
	p.nats = append(p.nats, t)
	p.src = t.outside
	readdress(p.b, t.outside, !p.later)
}

// restore undoes in a quote what the NATs on the way did, the farthest first
// as the answer passes them.
func restore(quote []byte, nats []translation) {
	if len(quote) < ip4Header || isV6(quote) {
		return
	}
	first := binary.BigEndian.Uint16(quote[6:])&0x1fff == 0
	for i := len(nats) - 1; i >= 0; i-- {
		readdress(quote, nats[i].inside, first && !nats[i].keepChecksum)
	}
}

// readdress sets the source address of an IPv4 packet and updates the header
// checksum; the transport checksum too, if that is asked for and the packet
// is not cut before it.
func readdress(b []byte, source netip.Addr, transport bool) {
	addr := source.As4()
	var check []byte
	if transport {
		check = transportChecksum(b)
	}
	for i := 0; i < 4; i += 2 {
		before, after := binary.BigEndian.Uint16(b[12+i:]), binary.BigEndian.Uint16(addr[i:])
		set16(b, 12+i, after, b[10:12])
		if check != nil {
			update(check, before, after)
		}
	}
	if check != nil && b[9] == byte(layers.IPProtocolUDP) && check[0] == 0 && check[1] == 0 {
		check[0], check[1] = 0xff, 0xff
	}
}

// transportChecksum is the checksum field of an IPv4 packet that covers its
// addresses: nil if there is none, it is cut off, or is the 0 that says that
// the sender left it out (RFC 768).
func transportChecksum(b []byte) []byte {
	at := int(b[0]&0x0f) * 4
	switch layers.IPProtocol(b[9]) {
	case layers.IPProtocolUDP:
		at += 6
	case layers.IPProtocolTCP:
		at += 16
	default:
		return nil
	}
	if len(b) < at+2 {
		return nil
	}
	check := b[at : at+2]
	if b[9] == byte(layers.IPProtocolUDP) && check[0] == 0 && check[1] == 0 {
		return nil
	}
	return check
}
