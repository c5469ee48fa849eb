package session_test

import (
	"net/netip"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
)

// packet is a made-up IP packet: a UDP datagram, a TCP segment or an ICMP echo
// (of which sport is the identifier).
type packet struct {
	src, dst     netip.Addr
	protocol     layers.IPProtocol
	ttl          uint8
	id           uint16
	sport, dport uint16
	seq, ack     uint32
	flags        string // of TCP: some of "SAFR"
	reply        bool   // of an echo
	df           bool   // of IPv4
	payload      []byte
	offload      bool // the checksum is the sum of the pseudo-header
}

// where packets come from and go to.
var (
	host    = netip.MustParseAddr("192.0.2.10")
	server  = netip.MustParseAddr("198.51.100.80")
	host6   = netip.MustParseAddr("2001:db8::10")
	server6 = netip.MustParseAddr("2001:db8:3::80")
)

// router is a router on the way.
func router(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

func router6(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 0, 1, 14: byte(n >> 8), 15: byte(n)})
}

// bytes is the packet as it is on the wire.
func (p packet) bytes() []byte {
	ip, network := p.header()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	stack := []gopacket.SerializableLayer{ip}
	switch p.protocol {
	case layers.IPProtocolUDP:
		l := &layers.UDP{SrcPort: layers.UDPPort(p.sport), DstPort: layers.UDPPort(p.dport)}
		l.SetNetworkLayerForChecksum(network)
		stack = append(stack, l)
	case layers.IPProtocolTCP:
		l := &layers.TCP{SrcPort: layers.TCPPort(p.sport), DstPort: layers.TCPPort(p.dport), Seq: p.seq, Ack: p.ack, Window: 1024}
		for _, f := range p.flags {
			switch f {
			case 'S':
				l.SYN = true
			case 'A':
				l.ACK = true
			case 'F':
				l.FIN = true
			case 'R':
				l.RST = true
			}
		}
		l.SetNetworkLayerForChecksum(network)
		stack = append(stack, l)
	case layers.IPProtocolICMPv4:
		typ := uint8(layers.ICMPv4TypeEchoRequest)
		if p.reply {
			typ = layers.ICMPv4TypeEchoReply
		}
		stack = append(stack, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, 0), Id: p.sport, Seq: uint16(p.seq)})
	case layers.IPProtocolICMPv6:
		typ := uint8(layers.ICMPv6TypeEchoRequest)
		if p.reply {
			typ = layers.ICMPv6TypeEchoReply
		}
		l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, 0)}
		l.SetNetworkLayerForChecksum(network)
		stack = append(stack, l, &layers.ICMPv6Echo{Identifier: p.sport, SeqNumber: uint16(p.seq)})
	}
	b := serialize(options, append(stack, gopacket.Payload(p.payload))...)
	if p.offload {
		p.leaveChecksum(b)
	}
	return b
}

// header is the IP header, as a layer and as what checksums are of.
func (p packet) header() (gopacket.SerializableLayer, gopacket.NetworkLayer) {
	if p.src.Is6() {
		l := &layers.IPv6{Version: 6, HopLimit: p.ttl, NextHeader: p.protocol, SrcIP: p.src.AsSlice(), DstIP: p.dst.AsSlice()}
		return l, l
	}
	var flags layers.IPv4Flag
	if p.df {
		flags = layers.IPv4DontFragment
	}
	l := &layers.IPv4{Version: 4, Flags: flags, TTL: p.ttl, Protocol: p.protocol, Id: p.id, SrcIP: p.src.AsSlice(), DstIP: p.dst.AsSlice()}
	return l, l
}

// leaveChecksum makes a datagram's checksum one that an adapter has to complete.
func (p packet) leaveChecksum(b []byte) {
	header := 20
	if p.src.Is6() {
		header = 40
	}
	length := len(b) - header
	sum := int(p.protocol) + length
	for _, a := range [][]byte{p.src.AsSlice(), p.dst.AsSlice()} {
		for i := 0; i < len(a); i += 2 {
			sum += int(a[i])<<8 | int(a[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	b[header+6], b[header+7] = byte(sum>>8), byte(sum)
}

func serialize(options gopacket.SerializeOptions, stack ...gopacket.SerializableLayer) []byte {
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, options, stack...); err != nil {
		panic(err) // the test's own mistake
	}
	return buffer.Bytes()
}

// What an ICMP error says.
type kind int

const (
	exceeded kind = iota
	portUnreachable
)

// about is the ICMP error that somebody sends about a packet that arrived with
// TTL 1.
func about(from netip.Addr, says kind, p packet) []byte {
	p.ttl = 1
	quote := p.bytes()
	quote = quote[:min(len(quote), 128)]
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if !p.src.Is6() {
		ip, _ := packet{src: from, dst: p.src, ttl: 60, protocol: layers.IPProtocolICMPv4}.header()
		code := layers.CreateICMPv4TypeCode(layers.ICMPv4TypeTimeExceeded, 0)
		if says == portUnreachable {
			code = layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodePort)
		}
		return serialize(options, ip, &layers.ICMPv4{TypeCode: code}, gopacket.Payload(quote))
	}
	ip, network := packet{src: from, dst: p.src, ttl: 60, protocol: layers.IPProtocolICMPv6}.header()
	code := layers.CreateICMPv6TypeCode(layers.ICMPv6TypeTimeExceeded, 0)
	if says == portUnreachable {
		code = layers.CreateICMPv6TypeCode(layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6CodePortUnreachable)
	}
	l := &layers.ICMPv6{TypeCode: code}
	l.SetNetworkLayerForChecksum(network)
	return serialize(options, ip, l, gopacket.Payload(append(make([]byte, 4), quote...)))
}

// epoch is when made-up captures begin.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tape is a made-up capture.
type tape struct {
	frames []frame.Frame
	now    time.Duration // since epoch
}

// wait lets time pass.
func (c *tape) wait(d time.Duration) { c.now += d }

// raw records an IP packet now, without a link header.
func (c *tape) raw(ip []byte) {
	c.frames = append(c.frames, frame.Frame{Time: epoch.Add(c.now), Data: ip, Length: len(ip), Link: frame.Raw})
}

// send records packets now.
func (c *tape) send(packets ...packet) {
	for _, p := range packets {
		c.raw(p.bytes())
	}
}

// wired records an IP packet now, in a frame from one link address to another.
func (c *tape) wired(from, to byte, ip []byte) {
	header := make([]byte, 14, 14+len(ip))
	header[5], header[11] = to, from
	if header[12], header[13] = 0x08, 0x00; ip[0]>>4 == 6 {
		header[12], header[13] = 0x86, 0xdd
	}
	b := append(header, ip...)
	c.frames = append(c.frames, frame.Frame{Time: epoch.Add(c.now), Data: b, Length: len(b), Link: frame.Ethernet})
}

// zeroes are a payload.
func zeroes(n int) []byte { return make([]byte, n) }

// probe is a UDP probe as mtr sends it, the nth.
func probe(n int, ttl uint8) packet {
	return packet{
		src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: ttl, id: uint16(100 + n),
		sport: 4321, dport: uint16(33000 + n), payload: zeroes(36),
	}
}

// trace records a whole trace of probes: to hops 1 and on, each answered after
// 1 ms by the router there, the last by the target.
func (c *tape) trace(hops int, nth func(n int, ttl uint8) packet) {
	for ttl := 1; ttl <= hops; ttl++ {
		p := nth(ttl, uint8(ttl))
		c.send(p)
		c.wait(time.Millisecond)
		switch p.offload = false; {
		case ttl == hops:
			c.raw(about(p.dst, portUnreachable, p))
		case p.src.Is6():
			c.raw(about(router6(ttl), exceeded, p))
		default:
			c.raw(about(router(ttl), exceeded, p))
		}
		c.wait(9 * time.Millisecond)
	}
}

// quotes changes what ICMP errors over IPv4 quote, which is cut to 28 bytes.
func (c *tape) quotes(change func(n int, quote []byte)) {
	n := 0
	for i := range c.frames {
		f := &c.frames[i]
		if f.Data[0]>>4 == 4 && f.Data[9] == 1 {
			f.Data = f.Data[:56]
			f.Data[2], f.Data[3], f.Length = 0, 56, 56
			change(n, f.Data[28:])
			n++
		}
	}
}
