package capturetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Lengths of headers, and where in an IPv4 header (RFC 791 section 3.1) the
// fields are that change on the way or in a quote.
const (
	etherHeaderLength = 14
	ipHeaderLength    = 20
	udpHeaderLength   = 8
	icmpHeaderLength  = 8

	offsetTOS      = 1
	offsetID       = 4
	offsetTTL      = 8
	offsetChecksum = 10
)

// packet is an IPv4 datagram on its way through the network. The length and
// checksums of its headers were right when it was injected.
type packet struct {
	ip      []byte // its own copy, from the header to the total length
	sent    uint8  // the TTL it was injected with
	arrived uint8  // the TTL it came to the present node with
}

func (p *packet) ttl() uint8                  { return p.ip[offsetTTL] }
func (p *packet) tos() uint8                  { return p.ip[offsetTOS] }
func (p *packet) protocol() layers.IPProtocol { return layers.IPProtocol(p.ip[9]) }
func (p *packet) src() netip.Addr             { return netip.AddrFrom4([4]byte(p.ip[12:16])) }
func (p *packet) dst() netip.Addr             { return netip.AddrFrom4([4]byte(p.ip[16:20])) }
func (p *packet) transport() []byte           { return p.ip[headerLength(p.ip):] }

// ports are those of a UDP packet.
func (p *packet) ports() (src, dst uint16) {
	udp := p.transport()
	return binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:])
}

func (p *packet) decrement() {
	p.ip[offsetTTL]--
	fixHeaderChecksum(p.ip)
}

// parse takes the datagram that the gateway would forward; the error says why
// there is none.
func parse(data []byte) (*packet, error) {
	ip, err := parseIPv4(data)
	if err != nil {
		return nil, err
	}
	p := &packet{ip: append([]byte{}, ip...), sent: ip[offsetTTL]}
	if p.protocol() == layers.IPProtocolUDP {
		return p, p.checkUDP()
	}
	return p, nil
}

// parseIPv4 returns the datagram at the start of data, without what pads the frame.
func parseIPv4(data []byte) ([]byte, error) {
	if len(data) < ipHeaderLength || data[0]>>4 != 4 {
		return nil, errors.New("no IPv4 header")
	}
	header, total := headerLength(data), int(binary.BigEndian.Uint16(data[2:]))
	if header < ipHeaderLength || total < header || total > len(data) {
		return nil, fmt.Errorf("IPv4 header of %d bytes, total length %d, in %d bytes", header, total, len(data))
	}
	if checksum(data[:header]) != 0 {
		return nil, errors.New("wrong IPv4 header checksum")
	}
	if binary.BigEndian.Uint16(data[6:])&0x3fff != 0 {
		return nil, errors.New("fragments are not simulated")
	}
	return data[:total], nil
}

func (p *packet) checkUDP() error {
	udp := p.transport()
	if len(udp) < udpHeaderLength || int(binary.BigEndian.Uint16(udp[4:])) != len(udp) {
		return fmt.Errorf("UDP length wrong for the %d bytes there are", len(udp))
	}
	if binary.BigEndian.Uint16(udp[6:]) == 0 {
		return nil
	}
	pseudo := append([]byte{}, p.ip[12:20]...)
	pseudo = append(pseudo, 0, byte(layers.IPProtocolUDP), udp[4], udp[5])
	if checksum(append(pseudo, udp...)) != 0 {
		return errors.New("wrong UDP checksum")
	}
	return nil
}

// headerLength is the length that an IPv4 header says it has.
func headerLength(ip []byte) int {
	if len(ip) == 0 {
		return 0
	}
	return int(ip[0]&0x0f) * 4
}

// checksum is the Internet checksum (RFC 1071): of data whose checksum field
// is zero the value to put there, of data with the right one 0.
func checksum(data []byte) uint16 {
	var sum uint32
	for ; len(data) >= 2; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
	}
	if len(data) == 1 {
		sum += uint32(data[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
