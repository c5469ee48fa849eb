package capturetest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

const defaultTTL = 64

// ICMPError is an ICMP error message (RFC 792) as a router, or somebody who
// pretends to be one, sends it: for Conn.Deliver, by way of Conn.Inbound.
type ICMPError struct {
	From, To   netip.Addr // outer, IPv4
	TOS, TTL   uint8      // outer, as it arrives; TTL 0 is 64
	ID         uint16     // outer
	Type, Code uint8

	// Datagram is what the error is about, from its IP header on, just as it
	// is to be quoted (see WithTTL); Length is how much of it.
	Datagram []byte
	Length   QuoteLength

	// Edit, when not nil, returns what to send instead of the ICMP message,
	// which begins at its type. The message's checksum is computed afterwards;
	// those inside the quote stay as Edit leaves them. It may change the slice
	// or append to it.
	Edit func(message []byte) []byte
}

// Packet returns the IPv4 datagram.
func (e ICMPError) Packet() ([]byte, error) {
	buf := gopacket.NewSerializeBuffer()
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(e.Type, e.Code)}
	quote := gopacket.Payload(e.Length.cut(e.Datagram))
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{}, icmp, quote); err != nil {
		return nil, fmt.Errorf("capturetest: ICMP message: %w", err)
	}
	message := buf.Bytes()
	if e.Edit != nil {
		message = e.Edit(message)
	}
	if len(message) >= 4 {
		binary.BigEndian.PutUint16(message[2:], 0)
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	ip := ipv4(e.From, e.To, e.TTL)
	ip.TOS, ip.Id, ip.Protocol = e.TOS, e.ID, layers.IPProtocolICMPv4
	return serialize(ip, gopacket.Payload(message))
}

// UDP is a UDP datagram (RFC 768): a direct answer, or a probe.
type UDP struct {
	From, To netip.AddrPort // IPv4
	TTL      uint8          // 0 is 64
	ID       uint16         // of the IP header
	Payload  []byte
}

// Packet returns the IPv4 datagram, its checksums right.
func (u UDP) Packet() ([]byte, error) {
	ip := ipv4(u.From.Addr(), u.To.Addr(), u.TTL)
	ip.Id, ip.Flags, ip.Protocol = u.ID, layers.IPv4DontFragment, layers.IPProtocolUDP
	udp := &layers.UDP{SrcPort: layers.UDPPort(u.From.Port()), DstPort: layers.UDPPort(u.To.Port())}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, fmt.Errorf("capturetest: UDP: %w", err)
	}
	packet, err := serialize(ip, udp, gopacket.Payload(u.Payload))
	if err != nil {
		return nil, err
	}
	// A sum of zero is sent as its other representation (RFC 768); gopacket
	// leaves it, which would mean that there is no checksum.
	if sum := packet[ipHeaderLength+6 : ipHeaderLength+8]; sum[0] == 0 && sum[1] == 0 {
		sum[0], sum[1] = 0xff, 0xff
	}
	return packet, nil
}

func ipv4(from, to netip.Addr, ttl uint8) *layers.IPv4 {
	if ttl == 0 {
		ttl = defaultTTL
	}
	return &layers.IPv4{Version: 4, TTL: ttl, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
}

func serialize(l ...gopacket.SerializableLayer) ([]byte, error) {
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, l...); err != nil {
		return nil, fmt.Errorf("capturetest: IPv4: %w", err)
	}
	if n := len(buf.Bytes()); n > 0xffff {
		return nil, fmt.Errorf("capturetest: %d bytes do not fit in an IPv4 datagram", n)
	}
	return buf.Bytes(), nil
}
