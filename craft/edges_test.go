package craft_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// packet4 is an IPv4 packet without options whose header states its length.
func packet4(protocol layers.IPProtocol, payload ...byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[3], b[8], b[9] = 0x45, byte(20+len(payload)), 7, byte(protocol)
	copy(b[12:], []byte{192, 0, 2, 1, 198, 51, 100, 7})
	return append(b, payload...)
}

// packet6 is an IPv6 packet whose header states its length.
func packet6(next layers.IPProtocol, payload ...byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[5], b[6], b[7] = 0x60, byte(len(payload)), byte(next), 7
	b[8], b[23], b[24], b[39] = 0x20, 1, 0x20, 2
	return append(b, payload...)
}

// A header alone is a packet; a byte less is none.
func TestPacketsOfAHeaderAlone(t *testing.T) {
	for name, b := range map[string][]byte{"IPv4": packet4(17), "IPv6": packet6(17)} {
		if p, err := craft.ParsePacket(b); err != nil || len(p.Payload) != 0 || p.Length != len(b) {
			t.Errorf("%s: %v, length %d, payload of %d", name, err, p.Length, len(p.Payload))
		}
		if _, err := craft.ParsePacket(b[:len(b)-1]); !errors.Is(err, craft.ErrMalformed) {
			t.Errorf("%s, a byte less: %v", name, err)
		}
	}
}

// Don't fragment is a bit of the IPv4 header.
func TestPacketsThatMayNotBeFragmented(t *testing.T) {
	for flags, want := range map[byte]bool{0: false, 0x40: true, 0x20: false, 0x60: true} {
		b := packet4(17)
		b[6] = flags
		if p, err := craft.ParsePacket(b); err != nil || p.DF != want {
			t.Errorf("flags %#02x: DF %v, %v", flags, p.DF, err)
		}
	}
}

// An extension header that ends with the packet is skipped; of one that doesn't, what
// there is is the payload.
func TestExtensionHeadersAtTheEnd(t *testing.T) {
	extension := func(length byte) []byte { return []byte{17, length, 0, 0, 0, 0, 0, 0} }
	for name, test := range map[string]struct {
		ip       []byte
		protocol layers.IPProtocol
		payload  int
	}{
		"whole":          {packet6(layers.IPProtocolIPv6Destination, extension(0)...), 17, 0},
		"a byte less":    {packet6(layers.IPProtocolIPv6Destination, extension(0)[:7]...), layers.IPProtocolIPv6Destination, 7},
		"states more":    {packet6(layers.IPProtocolIPv6Destination, extension(1)...), layers.IPProtocolIPv6Destination, 8},
		"one behind one": {packet6(layers.IPProtocolIPv6HopByHop, append([]byte{60, 0, 0, 0, 0, 0, 0, 0}, extension(0)...)...), 17, 0},
		"the second is longer than what is left": {
			packet6(layers.IPProtocolIPv6HopByHop, append([]byte{60, 0, 0, 0, 0, 0, 0, 0}, extension(1)...)...), layers.IPProtocolIPv6Destination, 8,
		},
	} {
		if p, err := craft.ParsePacket(test.ip); err != nil || p.Protocol != test.protocol || len(p.Payload) != test.payload {
			t.Errorf("%s: protocol %v, payload of %d, %v", name, p.Protocol, len(p.Payload), err)
		}
	}
}

// A checksum is visible when both its bytes are.
func TestChecksumsAtTheEnd(t *testing.T) {
	for protocol, at := range map[layers.IPProtocol]int{layers.IPProtocolUDP: 6, layers.IPProtocolTCP: 16, layers.IPProtocolICMPv4: 2} {
		payload := make([]byte, at+2)
		payload[at], payload[at+1] = 0x12, 0x34
		for left, want := range map[int]bool{at + 2: true, at + 1: false} {
			p, err := craft.ParsePacket(packet4(protocol, payload[:left]...))
			if err != nil {
				t.Fatal(err)
			}
			if sum, visible := p.Checksum(); visible != want || visible && sum != 0x1234 {
				t.Errorf("%v, %d bytes: %#04x, visible %v", protocol, left, sum, visible)
			}
		}
	}
}

// The Key of an IPv6 probe has the length of what follows the header in place of an ID,
// and that of a TCP segment how much data it carries, however much of that is visible.
func TestLengthsInKeys(t *testing.T) {
	segment := make([]byte, 30)
	segment[12] = 5 << 4
	ip := packet4(layers.IPProtocolTCP, segment...)
	for name, test := range map[string]struct {
		ip   []byte
		data uint16
	}{
		"10 bytes of data": {ip, 10}, "not visible": {ip[:40], 10}, "the header is cut": {ip[:39], 0},
		"the header says 24 bytes": {packet4(layers.IPProtocolTCP, append(append([]byte{}, segment[:12]...), append([]byte{6 << 4}, segment[13:]...)...)...), 6},
	} {
		if k, err := craft.KeyOf(test.ip); err != nil || k.Data != test.data {
			t.Errorf("%s: %d bytes, %v", name, k.Data, err)
		}
	}
	if k, err := craft.KeyOf(packet6(layers.IPProtocolUDP, make([]byte, 33)...)); err != nil || k.ID != 33 {
		t.Errorf("ID %d, %v", k.ID, err)
	}
}

// The checksum that an adapter is to complete is computed for a whole TCP segment only.
func TestACompletedChecksumOfTCP(t *testing.T) {
	segment := make([]byte, 23)
	segment[12] = 5 << 4
	copy(segment[20:], "abc")
	ip := packet4(layers.IPProtocolTCP, segment...)
	pseudo := wordsOf(ip[12:20]) + 6 + 23
	stated := uint16(pseudo&0xffff + pseudo>>16)
	binary.BigEndian.PutUint16(ip[36:], stated)
	p, err := craft.ParsePacket(ip)
	if err != nil {
		t.Fatal(err)
	}
	rest := uint32(stated) + 5<<12 + 'a'<<8 + 'b' + 'c'<<8
	for rest > 0xffff {
		rest = rest&0xffff + rest>>16
	}
	if sum, known := p.WireChecksum(); sum != ^uint16(rest) || !known {
		t.Errorf("%#04x, %v; want %#04x", sum, known, ^uint16(rest))
	}
	if p, err = craft.ParsePacket(ip[:len(ip)-1]); err != nil {
		t.Fatal(err)
	}
	if sum, _ := p.WireChecksum(); sum != stated {
		t.Errorf("of a segment that is cut: %#04x", sum)
	}
}

// Padding behind a datagram is no payload, not even behind one without any; a length
// that no datagram has bounds nothing.
func TestPayloadsAreAsLongAsStated(t *testing.T) {
	for stated, want := range map[byte]bool{8: false, 17: false, 22: true, 7: true} {
		udp := make([]byte, 8+14)
		udp[5] = stated
		copy(udp[8:], "..cookies, all")
		if k, err := craft.KeyOf(packet4(layers.IPProtocolUDP, udp...)); err != nil || k.HasCookie != want {
			t.Errorf("length %d: a cookie %v, %v", stated, k.HasCookie, err)
		}
	}
}

// Swapped bytes are those of an IPv4 ID: over IPv6 there is a length in its place.
func TestSwappedIDsAreIPv4s(t *testing.T) {
	for addr, want := range map[string]bool{"198.51.100.7": true, "2001:db8::7": false} {
		k := craft.Key{Dst: netip.MustParseAddr(addr), ID: 0x1234}
		if got := k.SameID(&craft.Key{ID: 0x3412}); got != want {
			t.Errorf("%s: %v", addr, got)
		}
		if !k.SameID(&craft.Key{ID: 0x1234}) || k.SameID(&craft.Key{ID: 0x1235}) {
			t.Errorf("%s: an ID is that ID, and no other", addr)
		}
	}
}

// Behind a source route's gateways comes the target, in the last address of an option of
// which nothing is missing.
func TestSourceRoutesAtTheEnd(t *testing.T) {
	const gateway, end = "198.51.100.7", "203.0.113.9"
	for name, test := range map[string]struct {
		options []byte
		want    string
	}{
		"loose":                           {[]byte{131, 7, 4, 203, 0, 113, 9, 0}, end},
		"strict":                          {[]byte{137, 7, 4, 203, 0, 113, 9, 0}, end},
		"followed to its end":             {[]byte{131, 7, 8, 203, 0, 113, 9, 0}, gateway},
		"its last address comes next":     {[]byte{131, 11, 8, 10, 0, 0, 1, 203, 0, 113, 9, 0}, end},
		"points at its last byte":         {[]byte{131, 7, 7, 203, 0, 113, 9, 0}, end},
		"without an address":              {[]byte{131, 3, 4, 0}, gateway},
		"too short for an address":        {[]byte{131, 6, 4, 203, 0, 113, 1, 1}, gateway},
		"behind another option":           {[]byte{148, 4, 0, 0, 131, 7, 4, 203, 0, 113, 9, 0}, end},
		"behind an option of two bytes":   {[]byte{30, 2, 1, 1, 1, 131, 7, 4, 203, 0, 113, 9}, end},
		"ends with the header":            {[]byte{1, 131, 7, 4, 203, 0, 113, 9}, end},
		"longer than the header":          {[]byte{1, 131, 8, 4, 203, 0, 113, 9}, gateway},
		"behind one that states no bytes": {[]byte{30, 0, 131, 7, 4, 203, 0, 113, 9, 0, 0, 0}, gateway},
		"one byte of an option":           {[]byte{1, 1, 1, 131}, gateway},
	} {
		b := packet4(layers.IPProtocolUDP, append(test.options, make([]byte, 8)...)...)
		b[0] = 0x40 | byte(5+len(test.options)/4)
		if k, err := craft.KeyOf(b); err != nil || k.Dst.String() != test.want {
			t.Errorf("%s: to %v, %v", name, k.Dst, err)
		}
	}
}

// The ports of flows that wrap begin with the first dynamic one.
func TestPortsWrapToTheFirstDynamicOne(t *testing.T) {
	s := craft.Series{Probe: craft.Probe{SrcPort: 65535}}
	for flow, want := range map[uint16]uint16{0: 65535, 1: 49152, 2: 49153, 16384: 65535, 16385: 49152} {
		if got := s.SourcePort(flow); got != want {
			t.Errorf("flow %d: port %d, want %d", flow, got, want)
		}
	}
}

// The first IDs of flows that follow each other are 40503 apart, and no ID is 0.
func TestIDsOfFlows(t *testing.T) {
	s := craft.Series{ID: 1, FirstTTL: 1, MaxTTL: 3}
	for flow, want := range map[uint16]uint16{0: 1, 1: 40504, 2: 15472, 3: 55975} {
		if got := s.At(flow, 1, 1).ID; got != want {
			t.Errorf("flow %d begins with %d, want %d", flow, got, want)
		}
	}
	s.ID = 65535
	if got := s.At(0, 2, 1).ID; got != 1 {
		t.Errorf("behind the last comes %d", got)
	}
}
