package simulate

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// mayExtend reports whether a message of a type may carry an extension
// (RFC 4884 section 4.1).
func mayExtend(v6 bool, typ uint8) bool {
	if v6 {
		return typ == layers.ICMPv6TypeDestinationUnreachable || typ == layers.ICMPv6TypeTimeExceeded
	}
	return typ == layers.ICMPv4TypeDestinationUnreachable || typ == layers.ICMPv4TypeTimeExceeded
}

// lengthOffset is where the Length is, counted from behind the checksum, and
// lengthUnit what it counts (RFC 4884 sections 4.1 to 4.5).
func lengthOffset(v6 bool) int {
	if v6 {
		return 0
	}
	return 1
}

func lengthUnit(v6 bool) int {
	if v6 {
		return 8
	}
	return 4
}

// lengthField is what the message says about the length of its quote.
func lengthField(m *topology.MPLS, v6 bool, length int) uint8 {
	switch form(m) {
	case topology.Length17At128:
		return 17
	case topology.Length0At128:
		return 0
	case topology.LengthGarbageAt128:
		return 93
	}
	return uint8(length / lengthUnit(v6))
}

func form(m *topology.MPLS) topology.ExtensionForm {
	if m == nil {
		return ""
	}
	return m.Form
}

// pad cuts or pads a quote to where the extension begins: at byte 128, or
// farther behind where that is told and the quote is to have a length of its
// own.
func pad(quote []byte, a *topology.Answer, v6 bool) []byte {
	size := paddedQuote
	if form(a.MPLS) == "" && a.Quote.Length != 0 && len(quote) > size {
		unit := lengthUnit(v6)
		size = min(len(quote)/unit, 255) * unit
	}
	if len(quote) >= size {
		return quote[:size]
	}
	return append(quote, make([]byte, size-len(quote))...)
}

// The classes of objects (RFC 4950 section 3, RFC 5837 section 4).
const (
	classMPLS      = 1
	classInterface = 2
)

// appendExtension appends an extension structure (RFC 4884 section 7).
func appendExtension(to []byte, a *topology.Answer) []byte {
	start := len(to)
	to = append(to, 2<<4, 0, 0, 0)
	if a.MPLS != nil {
		to = appendLabels(to, a.MPLS.Labels)
	}
	if a.Interface != nil {
		to = appendInterface(to, a.Interface)
	}
	binary.BigEndian.PutUint16(to[start+2:], checksum(to[start:], 0))
	return to
}

// appendLabels appends a label stack object (RFC 4950 section 3) of label stack
// entries (RFC 3032 section 2.1).
func appendLabels(to []byte, labels []topology.Label) []byte {
	to = binary.BigEndian.AppendUint16(to, uint16(4+4*len(labels)))
	to = append(to, classMPLS, 1)
	for i, l := range labels {
		entry := l.Label<<12 | uint32(l.TC&7)<<9 | uint32(max(l.TTL, 1))
		if i == len(labels)-1 {
			entry |= 1 << 8
		}
		to = binary.BigEndian.AppendUint32(to, entry)
	}
	return to
}

// What an interface information object holds (RFC 5837 section 4.1). Its role,
// the two highest bits, is 0: the interface that the packet came in by.
const (
	hasIndex   = 1 << 3
	hasAddress = 1 << 2
	hasName    = 1 << 1
	hasMTU     = 1
)

// longestName leaves room for its own length in the 64 bytes there are
// (RFC 5837 section 4.3).
const longestName = 63

// appendInterface appends an interface information object (RFC 5837 section 4).
func appendInterface(to []byte, i *topology.Interface) []byte {
	start := len(to)
	to = append(to, 0, 0, classInterface, 0)
	has := func(what byte) { to[start+3] |= what }
	if i.Index != 0 {
		has(hasIndex)
		to = binary.BigEndian.AppendUint32(to, i.Index)
	}
	if i.Address.IsValid() {
		has(hasAddress)
		to = appendAddress(to, i.Address)
	}
	if i.Name != "" {
		has(hasName)
		to = appendName(to, i.Name[:min(len(i.Name), longestName)])
	}
	if i.MTU != 0 {
		has(hasMTU)
		to = binary.BigEndian.AppendUint32(to, i.MTU)
	}
	binary.BigEndian.PutUint16(to[start:], uint16(len(to)-start))
	return to
}

// appendAddress appends an IP address sub-object (RFC 5837 section 4.2).
func appendAddress(to []byte, a netip.Addr) []byte {
	family := uint16(1)
	if a.Is6() {
		family = 2
	}
	to = binary.BigEndian.AppendUint16(to, family)
	return append(append(to, 0, 0), a.AsSlice()...)
}

// appendName appends an interface name sub-object (RFC 5837 section 4.3).
func appendName(to []byte, name string) []byte {
	length := (1 + len(name) + 3) &^ 3
	to = append(append(to, byte(length)), name...)
	return append(to, make([]byte, length-1-len(name))...)
}
