package craft_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// A segment with SYN and ACK opens nothing if it resets or ends the connection.
func TestSYNACKIsNothingElse(t *testing.T) {
	const fin, syn, rst, ack = 1, 2, 4, 16
	for flags, want := range map[byte]craft.Answer{
		syn | ack: craft.SYNACK, syn | ack | rst: craft.RST, rst | ack: craft.RST, rst: craft.RST,
		syn | ack | fin: 0, syn: 0, ack: 0, fin | ack: 0,
	} {
		b := make([]byte, 40)
		b[0], b[3], b[9] = 0x45, 40, 6
		b[32], b[33] = 5<<4, flags
		p, err := craft.ParsePacket(b)
		if err != nil {
			t.Fatal(err)
		}
		var of craft.Key
		if a, _, err := p.Answer(&of); a != want || (err == nil) != (want != 0) {
			t.Errorf("flags %#02x: %v, %v; want %v", flags, a, err, want)
		}
	}
}

// A UDP checksum that comes out as 0 is sent as 0xffff (RFC 768), also by the adapter
// that completes the sum of the pseudo-header.
func TestACompletedChecksumOfZero(t *testing.T) {
	b := make([]byte, 30)
	b[0], b[3], b[8], b[9] = 0x45, 30, 1, 17
	copy(b[12:], []byte{192, 0, 2, 1, 198, 51, 100, 7})
	u := b[20:]
	binary.BigEndian.PutUint16(u, 40000)
	binary.BigEndian.PutUint16(u[2:], 33434)
	binary.BigEndian.PutUint16(u[4:], 10)
	pseudo := wordsOf(b[12:20]) + 17 + 10
	stated := pseudo&0xffff + pseudo>>16
	binary.BigEndian.PutUint16(u[6:], uint16(stated))
	rest := stated + 40000 + 33434 + 10
	for rest > 0xffff {
		rest = rest&0xffff + rest>>16
	}
	binary.BigEndian.PutUint16(u[8:], uint16(0xffff-rest)) // so that all comes to 0xffff
	p, err := craft.ParsePacket(b)
	if err != nil {
		t.Fatal(err)
	}
	if sum, known := p.WireChecksum(); sum != 0xffff || !known {
		t.Errorf("%#04x, known %v", sum, known)
	}
}

func wordsOf(b []byte) (sum uint32) {
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// Unshift undoes what Shift finds, for every checksum that a probe can have.
func TestShiftAndBack(t *testing.T) {
	for _, protocol := range []layers.IPProtocol{layers.IPProtocolUDP, layers.IPProtocolTCP} {
		for token := uint32(1); token < 0xffff; token += 7 {
			for _, by := range []uint32{0, 1, 0xa4f6, 0xfffe} {
				probe := craft.Key{Protocol: protocol, Token: token}
				quote := probe
				if quote.Token = token + by; protocol == layers.IPProtocolUDP {
					quote.Token = quote.Token&0xffff + quote.Token>>16
				}
				shift, ok := probe.Shift(&quote)
				if quote.Unshift(shift); !ok || shift != by || quote.Token != token {
					t.Fatalf("%v: %#x shifted by %#x is shifted by %#x, and back %#x", protocol, token, by, shift, quote.Token)
				}
			}
		}
	}
	echo := craft.Key{Protocol: layers.IPProtocolICMPv4, Token: 7}
	if shift, ok := echo.Shift(&craft.Key{Protocol: layers.IPProtocolICMPv4, Token: 8}); ok {
		t.Errorf("sequence numbers of echoes are shifted by %d", shift)
	}
	if _, ok := echo.Shift(&craft.Key{Protocol: layers.IPProtocolICMPv4, Short: true}); ok {
		t.Error("what is not visible is shifted")
	}
}
