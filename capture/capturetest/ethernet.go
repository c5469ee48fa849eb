package capturetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/gopacket/layers"
)

// ethernet puts IEEE 802.3's header before an IP packet (before anything else
// that of IPv4). gopacket's pads short frames, which a capture on veth never
// shows.
func ethernet(from, to net.HardwareAddr, packet []byte) []byte {
	typ := layers.EthernetTypeIPv4
	if version(packet) == 6 {
		typ = layers.EthernetTypeIPv6
	}
	data := slices.Concat(to, from, []byte{byte(typ >> 8), byte(typ)})
	return append(data, packet...)
}

func version(packet []byte) byte {
	if len(packet) == 0 {
		return 0
	}
	return packet[0] >> 4
}

// unwrap takes from an injected frame the IP packet that the host gives the
// gateway; the error says why there is none.
func (h *Host) unwrap(data []byte) ([]byte, error) {
	if !bytes.Equal(data[:6], h.GatewayMAC) || !bytes.Equal(data[6:12], h.MAC) {
		return nil, fmt.Errorf("from MAC %x to %x, want from %v to %v", data[6:12], data[:6], h.MAC, h.GatewayMAC)
	}
	typ, ip := layers.EthernetType(binary.BigEndian.Uint16(data[12:])), data[etherHeaderLength:]
	v := byte(4)
	switch typ {
	case layers.EthernetTypeIPv4:
	case layers.EthernetTypeIPv6:
		v = 6
	default:
		return nil, fmt.Errorf("EtherType %#04x is not IP", uint16(typ))
	}
	from, ok := source(ip)
	if !ok || version(ip) != v {
		return nil, fmt.Errorf("no IPv%d header", v)
	}
	if from != h.Addr && from != h.Addr6 {
		return nil, fmt.Errorf("source address %v is not the host's", from)
	}
	return ip, nil
}

// source is where an IP packet is from, if it has so much of a header.
func source(ip []byte) (netip.Addr, bool) {
	switch {
	case version(ip) == 4 && len(ip) >= ipHeaderLength:
		return netip.AddrFrom4([4]byte(ip[12:16])), true
	case version(ip) == 6 && len(ip) >= 24:
		return netip.AddrFrom16([16]byte(ip[8:24])), true
	}
	return netip.Addr{}, false
}
