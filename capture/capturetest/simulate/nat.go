package simulate

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// translation is what a NAT did to a packet.
type translation struct {
	nat             *topology.NAT
	inside, outside endpoint
	ttl             uint8 // the packet's as it came to the NAT
}

// endpoint is a packet's source. The port of an ICMP echo is its identifier; that
// of a packet without either means nothing.
type endpoint struct {
	addr netip.Addr
	port uint16
}

// translate rewrites the packet's source, and its ID, on its way out of a NAT.
func (n *Network) translate(p *packet, nat *topology.NAT) {
	outside := nat.Address
	if p.v6 {
		outside = nat.Address6
	}
	if !outside.IsValid() {
		return
	}
	u := upperOf(p.b, !p.later)
	t := translation{nat: nat, inside: endpoint{addr: p.src}, outside: endpoint{addr: outside}, ttl: p.received}
	if at := u.sourcePort(p.b); at != nil {
		t.inside.port = binary.BigEndian.Uint16(at)
		t.outside.port = n.mapped(p, nat.Ports, t.inside.port)
	}
	u.readdress(p.b, t.outside.addr, true)
	u.setSourcePort(p.b, t.outside.port, true)
	n.renumber(p, nat.ID)
	p.nats = append(p.nats, t)
	p.src = outside
}

// leastMapped is the lowest port that a NAT chooses (RFC 4787, section 4.2.2).
const leastMapped = 1024

// mapped is the port that a NAT gives to a packet with a source port.
func (n *Network) mapped(p *packet, by topology.PortMapping, port uint16) uint16 {
	h := mix(mix(p.spot.node.seed, uint64(p.proto)), uint64(port))
	switch by {
	case "":
		return port
	case topology.AddressAndPortDependent:
		high, low := number(p.dst)
		h = mix(mix(h, high), low)
		if !p.isICMP() {
			_, dst := p.ports()
			h = mix(h, uint64(dst))
		}
	}
	return uint16(leastMapped + mix(h, 0)%(1<<16-leastMapped))
}

// renumber gives an IPv4 packet another ID. It is never 0, which a host may take
// for "choose one".
func (n *Network) renumber(p *packet, by topology.NATID) {
	if p.v6 || by == "" {
		return
	}
	nd := p.spot.node
	nd.natID = max(nd.natID+1, 1)
	id := nd.natID
	if by == topology.NATIDRandom {
		id = uint16(1 + n.rand.IntN(1<<16-1))
	}
	set16(p.b, 4, id, p.b[10:12])
}

// restore undoes in a quote what the NATs on the way did, the farthest first
// as the answer passes them. The quote may be cut anywhere.
func restore(quote []byte, nats []translation) {
	if len(quote) < ip4Header || isV6(quote) && len(quote) < ip6Header {
		return
	}
	first := isV6(quote) || binary.BigEndian.Uint16(quote[6:])&0x1fff == 0
	for i := len(nats) - 1; i >= 0; i-- {
		t := &nats[i]
		u := upperOf(quote, first)
		repair := !t.nat.KeepQuotedChecksum
		u.readdress(quote, t.inside.addr, repair)
		if !t.nat.KeepQuotedPort {
			u.setSourcePort(quote, t.inside.port, repair)
		}
		switch t.nat.QuotedTTL {
		case topology.TTLReceived:
			setTTL(quote, t.ttl)
		case topology.TTLValue:
			setTTL(quote, t.nat.QuotedTTLValue)
		}
	}
}

// restoreAnswer gives a direct answer, which is built for the host's address, the
// port that the host knows. An ICMP error stays as it is.
func restoreAnswer(ip []byte, nats []translation) {
	if len(nats) == 0 {
		return
	}
	u := upperOf(ip, true)
	at := 2 // the destination port
	switch {
	case u.isICMP(ip) && isEchoReply(ip[u.at]):
		at = 4
	case u.isICMP(ip):
		return
	}
	u.set(ip, u.at+at, nats[0].inside.port, true)
}

func isEchoReply(typ byte) bool {
	return typ == layers.ICMPv4TypeEchoReply || typ == layers.ICMPv6TypeEchoReply
}

// upper is the upper-layer header of a packet that may be cut. The zero value is
// none.
type upper struct {
	at    int // where it begins
	proto layers.IPProtocol
}

// upperOf finds the upper-layer header of a packet that has one.
func upperOf(b []byte, has bool) upper {
	switch {
	case !has:
		return upper{}
	case !isV6(b):
		return upper{int(b[0]&0x0f) * 4, layers.IPProtocol(b[9])}
	}
	u := upper{ip6Header, layers.IPProtocol(b[6])}
	for u.at < len(b) {
		n := extensionLength(u.proto, b[u.at:])
		if n == 0 {
			break
		}
		u.proto = layers.IPProtocol(b[u.at])
		u.at += n
	}
	return u
}

// isICMP reports whether the header is ICMP of the packet's own IP version.
func (u upper) isICMP(b []byte) bool {
	if isV6(b) {
		return u.proto == layers.IPProtocolICMPv6
	}
	return u.proto == layers.IPProtocolICMPv4
}

// word is two bytes of the header: nil if they are cut off.
func (u upper) word(b []byte, at int) []byte {
	if u.at == 0 || len(b) < u.at+at+2 {
		return nil
	}
	return b[u.at+at : u.at+at+2]
}

// sourcePort is the source port or the ICMP identifier: nil if there is none, or
// it is cut off.
func (u upper) sourcePort(b []byte) []byte {
	switch {
	case hasPorts(u.proto):
		return u.word(b, 0)
	case u.at != 0 && u.isICMP(b):
		return u.word(b, 4)
	}
	return nil
}

// setSourcePort sets the source port or the ICMP identifier, if it is not cut
// off, and repairs the checksum if that is wanted.
func (u upper) setSourcePort(b []byte, port uint16, repair bool) {
	if field := u.sourcePort(b); field != nil {
		at := u.at
		if u.isICMP(b) {
			at += 4
		}
		u.set(b, at, port, repair)
	}
}

// set sets the word at an offset, and repairs the checksum that covers it if that
// is wanted.
func (u upper) set(b []byte, at int, v uint16, repair bool) {
	check := u.checksum(b)
	if repair && check != nil {
		update(check, binary.BigEndian.Uint16(b[at:]), v)
		u.neverZero(check)
	}
	binary.BigEndian.PutUint16(b[at:], v)
}

// neverZero makes a checksum of 0 its other representation: UDP's (RFC 768) and
// UDP-Lite's (RFC 3828, section 3.1).
func (u upper) neverZero(check []byte) {
	if (u.proto == layers.IPProtocolUDP || u.proto == layers.IPProtocolUDPLite) && check[0] == 0 && check[1] == 0 {
		check[0], check[1] = 0xff, 0xff
	}
}

// checksum is the checksum field: nil if there is none, it is cut off, or is the
// 0 that says that the sender left it out (RFC 768).
func (u upper) checksum(b []byte) []byte {
	var check []byte
	switch {
	case u.proto == layers.IPProtocolUDP || u.proto == layers.IPProtocolUDPLite:
		check = u.word(b, 6)
	case u.proto == layers.IPProtocolTCP:
		check = u.word(b, 16)
	case u.at != 0 && u.isICMP(b):
		check = u.word(b, 2)
	}
	if u.proto == layers.IPProtocolUDP && check != nil && check[0] == 0 && check[1] == 0 {
		return nil
	}
	return check
}

// readdress sets the source address of the packet, updates the header checksum,
// and repairs the transport checksum if that is wanted.
func (u upper) readdress(b []byte, source netip.Addr, repair bool) {
	var check []byte
	if repair && u.proto != layers.IPProtocolICMPv4 { // which does not cover the addresses
		check = u.checksum(b)
	}
	at, addr := 12, source.AsSlice()
	if isV6(b) {
		at = 8
	}
	for i := 0; i < len(addr); i += 2 {
		before, after := binary.BigEndian.Uint16(b[at+i:]), binary.BigEndian.Uint16(addr[i:])
		if isV6(b) {
			binary.BigEndian.PutUint16(b[at+i:], after)
		} else {
			set16(b, at+i, after, b[10:12])
		}
		if check != nil {
			update(check, before, after)
		}
	}
	if check != nil {
		u.neverZero(check)
	}
}
