package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// The addresses on the wire. The far interface has neither, so that its
// kernel takes no frame for its own.
var (
	hostMAC    = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x02}
	gatewayMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}
)

// The header of Ethernet, and the types of what follows it (IEEE 802.3, IANA).
const (
	ethernetLen = 14

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

func appendEthernet(b []byte, dst, src net.HardwareAddr, ethertype uint16) []byte {
	b = append(append(b, dst...), src...)
	return binary.BigEndian.AppendUint16(b, ethertype)
}

// arpReply answers an ARP request (RFC 826) for one of the addresses, or
// returns nil. A frame is complete, from its Ethernet header.
func arpReply(frame []byte, resolve map[netip.Addr]bool) []byte {
	arp := frame[ethernetLen:]
	ethernetIPv4 := []byte{0, 1, 8, 0, 6, 4}
	if len(arp) < 28 || !bytes.Equal(arp[:6], ethernetIPv4) || binary.BigEndian.Uint16(arp[6:]) != 1 {
		return nil
	}
	target := arp[24:28]
	if !resolve[netip.AddrFrom4([4]byte(target))] {
		return nil
	}
	reply := appendEthernet(nil, arp[8:14], gatewayMAC, typeARP)
	reply = append(append(reply, ethernetIPv4...), 0, 2)
	reply = append(append(reply, gatewayMAC...), target...)
	return append(reply, arp[8:18]...)
}

// The parts of neighbour discovery (RFC 4861, sections 4.3 and 4.4).
const (
	icmpv6               = 58
	neighborSolicit      = 135
	neighborAdvert       = 136
	flagRouter           = 0x80
	flagSolicited        = 0x40
	flagOverride         = 0x20
	optionTargetLinkAddr = 2
)

// isNeighborSolicit tells a solicitation from other IPv6 packets.
func isNeighborSolicit(ip []byte) bool {
	return len(ip) >= 40+24 && ip[6] == icmpv6 && ip[7] == 255 && ip[40] == neighborSolicit
}

// advert answers a neighbour solicitation for one of the addresses, or returns
// nil. A frame is complete, from its Ethernet header.
func advert(frame []byte, resolve map[netip.Addr]bool) []byte {
	ip := frame[ethernetLen:]
	src, target := netip.AddrFrom16([16]byte(ip[8:24])), ip[48:64]
	if src.IsUnspecified() || !resolve[netip.AddrFrom16([16]byte(target))] {
		return nil
	}
	const length = 24 + 8
	reply := appendEthernet(nil, frame[6:12], gatewayMAC, typeIPv6)
	reply = append(reply, 0x60, 0, 0, 0, 0, length, icmpv6, 255)
	reply = append(append(reply, target...), ip[8:24]...)
	reply = append(reply, neighborAdvert, 0, 0, 0, flagRouter|flagSolicited|flagOverride, 0, 0, 0)
	reply = append(append(reply, target...), optionTargetLinkAddr, 1)
	reply = append(reply, gatewayMAC...)
	message := reply[ethernetLen+40:]
	binary.BigEndian.PutUint16(message[2:], checksumICMPv6(reply[ethernetLen:], message))
	return reply
}

// checksumICMPv6 is that of a message in a packet with the header (RFC 4443,
// section 2.3).
func checksumICMPv6(header, message []byte) uint16 {
	sum := uint32(len(message)) + icmpv6
	for _, b := range [][]byte{header[8:40], message} {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
