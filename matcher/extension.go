package matcher

import (
	"encoding/binary"
	"errors"

	"github.com/google/gopacket/layers"
)

// What may be wrong with the extension of an ICMP error.
var (
	// ErrExtension: an object, or a part of one, can't be read. What can be
	// read is there.
	ErrExtension = errors.New("matcher: malformed ICMP extension")

	// ErrExtensionCut: the capture ended before the frame did, so that objects
	// may be missing and the checksum can't be verified. What was captured is
	// there, with nothing to vouch for it.
	ErrExtensionCut = errors.New("matcher: ICMP extension cut by the capture")

	// ErrExtensionChecksum: the checksum is wrong. No objects are shown, since
	// what made it wrong may have changed any of them.
	ErrExtensionChecksum = errors.New("matcher: wrong checksum of an ICMP extension")
)

// Extensions is the extension structure of an ICMP error (RFC 4884 section 7).
// The zero value is none. It holds no memory of the frame it was read from.
type Extensions struct {
	// Objects are in the order of the message: at most 32.
	Objects []ExtensionObject

	// Offset is how many bytes precede the structure, from the first of the
	// quote on: the quote is no longer than that, and may be padded to it. It
	// is 0 only where there is no extension.
	Offset int

	// Stated is what the message's Length field says that Offset is, in bytes;
	// 0 where the field is not set. See ParseExtensions for when they differ.
	Stated int

	// Verified says that the structure has a checksum, and that it is right.
	// Otherwise there is none (it is sent as 0), or it could not be checked.
	Verified bool
}

// IsZero reports whether there is no extension, not even a broken one.
func (e Extensions) IsZero() bool { return e.Offset == 0 }

// Labels are the labels of all label stacks, the top first. A nil Extensions has
// none.
func (e *Extensions) Labels() (all []Label) {
	if e == nil {
		return nil
	}
	for _, o := range e.Objects {
		all = append(all, o.Labels...)
	}
	return all
}

const (
	// beforeQuote is how much of an ICMP error precedes its quote.
	beforeQuote = 8

	// paddedQuote is how long a quote with an extension behind it is: at least,
	// with a Length field (RFC 4884 section 3), and exactly, in messages of
	// those who send extensions without one (section 5.5).
	paddedQuote = 128

	// extensionHeader is version (4 bits), reserved (12 bits), checksum (2
	// bytes); extensionVersion is the one version there is (RFC 4884 section 7).
	extensionHeader  = 4
	extensionVersion = 2
)

// ParseExtensions reads the extension structure of an ICMP or ICMPv6 error, as
// the protocol says. The message is given from its own header to the end of
// what was captured. Cut says that the capture ended before the frame did.
//
// Only the messages that may carry an extension are looked at (RFC 4884
// section 4): destination unreachable, time exceeded and ICMPv4's parameter
// problem. What other messages hold is never taken for one.
//
// Many routers say something else in the Length field than where the structure
// is: 0, as before RFC 4884 (its section 5.5), 17 words, or anything. So the
// structure is looked for where Length says and at byte 128 of the quote, and
// the one that inspires more trust is taken, the former where both are alike.
// Its version must be 2. A right checksum makes it an extension. Without that
// the reserved bits must be 0, lest the quote's data be taken for one; then it
// is an extension if its checksum is 0, which means that there is none.
//
// Where no extension is found, Extensions and error are zero, and nothing was
// allocated; that includes a message too short for one. With an error, which is
// one of ErrExtension, ErrExtensionCut and ErrExtensionChecksum, Extensions is
// what could be read. Any number of goroutines may call it.
func ParseExtensions(protocol layers.IPProtocol, icmp []byte, cut bool) (Extensions, error) {
	stated, extensible := statedLength(protocol, icmp)
	if !extensible {
		return Extensions{}, nil
	}
	quote := icmp[beforeQuote:]
	offset, best := 0, noStructure
	for _, at := range [...]int{stated, paddedQuote} {
		if at == 0 || at > len(quote) {
			continue
		}
		if t := trustIn(quote[at:], cut); t > best {
			offset, best = at, t
		}
	}
	if best == noStructure {
		return Extensions{}, nil
	}
	e := Extensions{Offset: offset, Stated: stated, Verified: best == rightChecksum}
	if best == wrongChecksum {
		return e, ErrExtensionChecksum
	}
	var err error
	e.Objects, err = parseObjects(quote[offset+extensionHeader:])
	if best == unfinished {
		err = ErrExtensionCut
	}
	return e, err
}

// statedLength is how long the Length field of a message says that its quote
// is, in bytes, and whether the message has one (RFC 4884 sections 4.1 to 4.5):
// ICMPv4 counts words of 32 bits in byte 5, ICMPv6 words of 64 bits in byte 4.
func statedLength(protocol layers.IPProtocol, icmp []byte) (length int, extensible bool) {
	if len(icmp) < beforeQuote {
		return 0, false
	}
	switch protocol {
	case layers.IPProtocolICMPv4:
		switch icmp[0] {
		case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem:
			return int(icmp[5]) * 4, true
		}
	case layers.IPProtocolICMPv6:
		switch icmp[0] {
		case layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6TypeTimeExceeded:
			return int(icmp[4]) * 8, true
		}
	}
	return 0, false
}

// trust is how much speaks for bytes being an extension structure.
type trust uint8

// The kinds of trust, the least first.
const (
	noStructure trust = iota
	wrongChecksum
	unfinished // cut before the end that its checksum covers
	noChecksum
	rightChecksum
)

func trustIn(b []byte, cut bool) trust {
	if len(b) < extensionHeader || b[0]>>4 != extensionVersion {
		return noStructure
	}
	reserved, checksum := binary.BigEndian.Uint16(b)&0xfff, binary.BigEndian.Uint16(b[2:])
	switch {
	case checksum != 0 && onesSum(b) == 0xffff:
		return rightChecksum
	case reserved != 0:
		return noStructure
	case cut:
		return unfinished
	case checksum != 0:
		return wrongChecksum
	}
	return noChecksum
}

// onesSum is the ones' complement sum of b (RFC 1071): 0xffff where b holds a
// right checksum.
func onesSum(b []byte) uint16 {
	var sum uint64
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
