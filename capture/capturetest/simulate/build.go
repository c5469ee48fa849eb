package simulate

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// builder builds answers. Its layers and buffers are reused: first one of the
// methods that say what the answer is, then packet.
type builder struct {
	hostMTU int

	body      []byte // behind the upper-layer header
	extension []byte // of an ICMP error
	payload   gopacket.Payload
	upper     gopacket.SerializableLayer
	proto     layers.IPProtocol

	buf      gopacket.SerializeBuffer
	ip4      layers.IPv4
	ip6      layers.IPv6
	icmp4    layers.ICMPv4
	icmp6    layers.ICMPv6
	datagram layers.UDP
	segment  layers.TCP
	options  [9]layers.TCPOption
	src, dst [16]byte
	stack    [3]gopacket.SerializableLayer
}

func newBuilder(hostMTU int) builder {
	return builder{hostMTU: hostMTU, buf: gopacket.NewSerializeBuffer()}
}

// icmp takes b.body as an ICMP message behind its checksum.
func (b *builder) icmp(v6 bool, typ, code uint8) {
	if v6 {
		b.icmp6 = layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
		b.upper, b.proto, b.payload = &b.icmp6, layers.IPProtocolICMPv6, b.body
		return
	}
	b.icmp4 = layers.ICMPv4{
		TypeCode: layers.CreateICMPv4TypeCode(typ, code),
		Id:       binary.BigEndian.Uint16(b.body), Seq: binary.BigEndian.Uint16(b.body[2:]),
	}
	b.upper, b.proto, b.payload = &b.icmp4, layers.IPProtocolICMPv4, b.body[4:]
}

// udp takes b.body as a datagram's data.
func (b *builder) udp(from, to uint16) {
	b.datagram = layers.UDP{SrcPort: layers.UDPPort(from), DstPort: layers.UDPPort(to)}
	b.upper, b.proto, b.payload = &b.datagram, layers.IPProtocolUDP, b.body
}

// tcp takes a segment without data.
func (b *builder) tcp(segment layers.TCP) {
	b.segment = segment
	b.upper, b.proto, b.payload = &b.segment, layers.IPProtocolTCP, nil
}

// echo takes the answer to an ICMP echo request, if p is one (RFC 792, RFC 4443
// section 4.2).
func (b *builder) echo(p *packet) bool {
	up := p.b[p.upper:]
	request, reply := uint8(layers.ICMPv4TypeEchoRequest), uint8(layers.ICMPv4TypeEchoReply)
	if p.v6 {
		request, reply = layers.ICMPv6TypeEchoRequest, layers.ICMPv6TypeEchoReply
	}
	if up[0] != request || up[1] != 0 {
		return false
	}
	b.body = append(b.body[:0], up[4:]...)
	b.icmp(p.v6, reply, 0)
	return true
}

// packet returns the answer: the caller's to keep.
func (b *builder) packet(h outer, to netip.Addr) []byte {
	b.network(h, to)
	b.stack[1], b.stack[2] = b.upper, &b.payload
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b.buf, opts, b.stack[:]...); err != nil {
		panic(err) // an answer is no longer than the MTU, or than what it answers
	}
	ip := append([]byte(nil), b.buf.Bytes()...)
	if b.proto == layers.IPProtocolUDP {
		// A sum of zero is sent as its other representation (RFC 768), which
		// gopacket leaves to us.
		if check := ip[len(ip)-len(b.payload)-2:]; check[0] == 0 && check[1] == 0 {
			check[0], check[1] = 0xff, 0xff
		}
	}
	return ip
}

// network makes the IP header the first layer, and known to the second, whose
// checksum covers its addresses.
func (b *builder) network(h outer, to netip.Addr) {
	var known gopacket.NetworkLayer
	if to.Is4() {
		src, dst := h.from.As4(), to.As4()
		copy(b.src[:], src[:])
		copy(b.dst[:], dst[:])
		b.ip4 = layers.IPv4{
			Version: 4, TOS: h.tos, Id: h.id, TTL: h.ttl, Protocol: b.proto,
			SrcIP: b.src[:4], DstIP: b.dst[:4],
		}
		if h.dontFragment {
			b.ip4.Flags = layers.IPv4DontFragment
		}
		b.stack[0], known = &b.ip4, &b.ip4
	} else {
		b.src, b.dst = h.from.As16(), to.As16()
		b.ip6 = layers.IPv6{
			Version: 6, TrafficClass: h.tos, HopLimit: h.ttl, NextHeader: b.proto,
			SrcIP: b.src[:], DstIP: b.dst[:],
		}
		b.stack[0], known = &b.ip6, &b.ip6
	}
	var err error
	switch u := b.upper.(type) {
	case *layers.UDP:
		err = u.SetNetworkLayerForChecksum(known)
	case *layers.TCP:
		err = u.SetNetworkLayerForChecksum(known)
	case *layers.ICMPv6:
		err = u.SetNetworkLayerForChecksum(known)
	}
	if err != nil {
		panic(err) // it is IP
	}
}

// shorten makes an ICMP error's IP header state a length that ends 8 bytes
// into the quote.
func shorten(ip []byte) {
	const length = icmpHeader + 8
	if isV6(ip) {
		binary.BigEndian.PutUint16(ip[4:], length)
		return
	}
	set16(ip, 2, ip4Header+length, ip[10:12])
}
