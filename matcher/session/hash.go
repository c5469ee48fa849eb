package session

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addr is an IP address in two numbers, which are quicker to compare and to hash
// than a netip.Addr. One of IPv4 is the same as if it were mapped to IPv6.
type addr struct{ high, low uint64 }

func addrOf(a netip.Addr) addr {
	if a.Is4() {
		b := a.As4()
		return addr{0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return addr{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// netip is the address of a packet of IPv6, or of IPv4.
func (a addr) netip(is6 bool) netip.Addr {
	if !is6 && a.high == 0 && a.low>>32 == 0xffff {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(a.low))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], a.high)
	binary.BigEndian.PutUint64(b[8:], a.low)
	return netip.AddrFrom16(b)
}

// hash goes on from the hash of something else.
func (a addr) hash(h uint64) uint64 { return mix(a.high^h, a.low) }

// hashBytes is not secret, and good enough to tell a few neighbours apart. It
// goes on from the hash of something else.
func hashBytes(b []byte, h uint64) uint64 {
	h ^= uint64(len(b)) << 56
	for ; len(b) >= 16; b = b[16:] {
		h = mix(h^binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
	}
	if len(b) >= 8 {
		return mix(h^binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[len(b)-8:]))
	}
	for _, c := range b {
		h = mix(h^uint64(c), uint64(c))
	}
	return h
}

// mix spreads every bit of x and y over all.
func mix(x, y uint64) uint64 {
	high, low := bits.Mul64(x^0xe7037ed1a0b428db, y^0x8ebc6af09c88c6e3)
	return high ^ low
}
