package craft

import "encoding/binary"

// onesSum adds b up as big-endian 16-bit words, not folded (RFC 1071).
func onesSum(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		sum += words(binary.BigEndian.Uint64(b))
	}
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// words adds up the four 16-bit words of w.
func words(w uint64) uint64 { return w>>48 + w>>32&0xffff + w>>16&0xffff + w&0xffff }

// fold reduces a sum of 16-bit words to one, in ones' complement.
func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
