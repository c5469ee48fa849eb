package simulate

import (
	"encoding/binary"
	"net/netip"
)

// isV6 tells the version of a packet that has a header.
func isV6(b []byte) bool { return b[0]>>4 == 6 }

func ttlOffset(v6 bool) int {
	if v6 {
		return 7
	}
	return 8
}

// setTTL sets the TTL or Hop Limit of a packet.
func setTTL(b []byte, v uint8) {
	if isV6(b) {
		b[7] = v
		return
	}
	set16(b, 8, uint16(v)<<8|uint16(b[9]), b[10:12])
}

// tos is the type of service or the Traffic Class of a packet.
func tos(b []byte) uint8 {
	if isV6(b) {
		return b[0]<<4 | b[1]>>4
	}
	return b[1]
}

func setTOS(b []byte, v uint8) {
	if isV6(b) {
		b[0], b[1] = 6<<4|v>>4, v<<4|b[1]&0x0f
		return
	}
	set16(b, 0, uint16(b[0])<<8|uint16(v), b[10:12])
}

// set16 sets the word at an even offset and updates the checksum that covers
// it (RFC 1624 section 3).
func set16(b []byte, at int, v uint16, check []byte) {
	word := b[at : at+2]
	update(check, binary.BigEndian.Uint16(word), v)
	binary.BigEndian.PutUint16(word, v)
}

// update changes a checksum as the change of a word it covers demands
// (RFC 1624 section 3, equation 3).
func update(check []byte, before, after uint16) {
	s := uint32(^binary.BigEndian.Uint16(check)) + uint32(^before) + uint32(after)
	binary.BigEndian.PutUint16(check, ^fold(s))
}

// checksum is the Internet checksum (RFC 1071) of data and of what start is
// the sum of: what to put into a field that is zero, or 0 if it is right.
func checksum(data []byte, start uint32) uint16 { return ^fold(sum(data, start)) }

// sum adds up the words of data, not more than 65535 bytes of it.
func sum(data []byte, start uint32) uint32 {
	s := uint64(start)
	for ; len(data) >= 8; data = data[8:] {
		v := binary.BigEndian.Uint64(data)
		s += v>>32 + v&0xffffffff
	}
	for ; len(data) >= 2; data = data[2:] {
		s += uint64(binary.BigEndian.Uint16(data))
	}
	if len(data) == 1 {
		s += uint64(data[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint32(s)
}

func fold(s uint32) uint16 {
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}

// number is an address as two words, the low one alone for IPv4.
func number(a netip.Addr) (high, low uint64) {
	if a.Is4() {
		b := a.As4()
		return 0, uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
}
