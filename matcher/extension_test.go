package matcher_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
)

// extHex decodes hexadecimal with spaces in it.
func extHex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// extStructure is an extension structure (RFC 4884 section 7) with a right
// checksum.
func extStructure(objects string) []byte {
	b := append([]byte{0x20, 0, 0, 0}, extHex(objects)...)
	extSum(b)
	return b
}

// extSum sets the checksum of a structure.
func extSum(b []byte) {
	b[2], b[3] = 0, 0
	sum := 0
	for i, c := range b {
		sum += int(c) << (8 - i%2*8)
	}
	sum = sum%0xffff ^ 0xffff // the ones' complement sum is the remainder
	binary.BigEndian.PutUint16(b[2:], uint16(sum))
}

// extError is an ICMP error: its Length field, and at its byte of the quote,
// which is of 0x55s, the structure.
type extError struct {
	v6        bool
	typ       byte // 0: time exceeded
	length    byte
	at        int
	structure []byte
}

func (e extError) message() (layers.IPProtocol, []byte) {
	protocol, field, typ := layers.IPProtocolICMPv4, 5, byte(layers.ICMPv4TypeTimeExceeded)
	if e.v6 {
		protocol, field, typ = layers.IPProtocolICMPv6, 4, layers.ICMPv6TypeTimeExceeded
	}
	if e.typ != 0 {
		typ = e.typ
	}
	b := append(make([]byte, 8), bytes.Repeat([]byte{0x55}, e.at)...)
	b[0], b[field] = typ, e.length
	return protocol, append(b, e.structure...)
}

// extLabel is the stack of extLabels.
const extLabel = "0008 0101 05dc1afd"

var (
	extLabels = []matcher.ExtensionObject{{
		Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{Label: 24001, TC: 5, TTL: 253}},
	}}
	extStack = extStructure(extLabel)
)

// The forms of design.md section 6, and what resembles them.
func TestWhereAnExtensionIsFound(t *testing.T) {
	none := matcher.Extensions{}
	found := func(offset, stated int) matcher.Extensions {
		return matcher.Extensions{Objects: extLabels, Offset: offset, Stated: stated, Verified: true}
	}
	unverified := found(128, 0)
	unverified.Verified = false
	bent := bytes.Clone(extStack)
	bent[11]++
	noSum := bytes.Clone(extStack)
	noSum[2], noSum[3] = 0, 0
	version := func(first byte, checksum bool) []byte {
		b := bytes.Clone(noSum)
		b[0] = first
		if checksum {
			extSum(b)
		}
		return b
	}
	lured := extError{length: 17, at: 68, structure: append(append(bytes.Clone(bent), make([]byte, 48)...), extStack...)}
	// Both are right: the one at byte 128 is a part of the other, and sums to 0.
	inner := extStructure("0004 f800")
	twice := extError{length: 17, at: 68, structure: extStructure(
		extLabel + "0034 f700" + strings.Repeat("00", 44) + hex.EncodeToString(inner))}
	withBoth := found(68, 68)
	withBoth.Objects = append(slices.Clone(extLabels),
		matcher.ExtensionObject{Class: 247, Length: 52, Payload: append(make([]byte, 44), inner[:4]...)},
		matcher.ExtensionObject{Class: 248, Length: 4, Payload: []byte{}})
	tests := []struct {
		name string
		extError
		cut  bool
		want matcher.Extensions
		err  error
	}{
		{"RFC 4884 section 4.2, Length in words of 32 bits", extError{length: 32, at: 128, structure: extStack}, false, found(128, 128), nil},
		{"RFC 4884 section 4.2, a longer quote", extError{length: 50, at: 200, structure: extStack}, false, found(200, 200), nil},
		{"RFC 4884 section 4.2, the longest quote", extError{length: 255, at: 1020, structure: extStack}, false, found(1020, 1020), nil},
		{"RFC 4884 section 4.5, Length in words of 64 bits", extError{v6: true, length: 16, at: 128, structure: extStack}, false, found(128, 128), nil},
		{"RFC 4884 section 4.5, a longer quote", extError{v6: true, length: 25, at: 200, structure: extStack}, false, found(200, 200), nil},
		{"RFC 4884 section 4.1, unreachable", extError{typ: 3, length: 32, at: 128, structure: extStack}, false, found(128, 128), nil},
		{"RFC 4884 section 4.3, parameter problem", extError{typ: 12, length: 32, at: 128, structure: extStack}, false, found(128, 128), nil},
		{"RFC 4884 section 4.4, unreachable", extError{v6: true, typ: 1, length: 16, at: 128, structure: extStack}, false, found(128, 128), nil},
		{"Length below the minimum but right", extError{length: 17, at: 68, structure: extStack}, false, found(68, 68), nil},

		{"Length of 17 words, structure at 128", extError{length: 17, at: 128, structure: extStack}, false, found(128, 68), nil},
		{"Length of 17 words, structure at 128, IPv6", extError{v6: true, length: 17, at: 128, structure: extStack}, false, found(128, 136), nil},
		{"RFC 4884 section 5.5, Length 0", extError{at: 128, structure: extStack}, false, found(128, 0), nil},
		{"RFC 4884 section 5.5, Length 0, IPv6", extError{v6: true, at: 128, structure: extStack}, false, found(128, 0), nil},
		{"garbage Length of 93", extError{length: 93, at: 128, structure: extStack}, false, found(128, 372), nil},
		{"garbage Length of 94", extError{length: 94, at: 128, structure: extStack}, false, found(128, 376), nil},
		{"garbage Length of 95, IPv6", extError{v6: true, length: 95, at: 128, structure: extStack}, false, found(128, 760), nil},
		{"a structure at Length and one at 128", twice, false, withBoth, nil},
		{"a wrong checksum at Length, a right one at 128", lured, false, found(128, 68), nil},

		{"Length set and no extension", extError{length: 32, at: 128}, false, none, nil},
		{"Length set and only quote there", extError{length: 17, at: 500}, false, none, nil},
		{"Length set and more quote behind", extError{length: 32, at: 300}, false, none, nil},
		{"Length 0 and no extension", extError{at: 548}, false, none, nil},
		{"structure elsewhere", extError{at: 132, structure: extStack}, false, none, nil},
		{"nothing but a header", extError{}, false, none, nil},

		{"no checksum, RFC 4884 section 7", extError{at: 128, structure: noSum}, false, unverified, nil},
		{"no checksum and reserved bits set", extError{at: 128, structure: version(0x21, false)}, false, none, nil},
		{"checksum and reserved bits set", extError{at: 128, structure: version(0x21, true)}, false, found(128, 0), nil},
		{"version 1", extError{length: 32, at: 128, structure: version(0x10, true)}, false, none, nil},
		{"version 3", extError{length: 32, at: 128, structure: version(0x30, true)}, false, none, nil},
		{"wrong checksum", extError{at: 128, structure: bent}, false, matcher.Extensions{Offset: 128}, matcher.ErrExtensionChecksum},
		{"wrong checksum at Length", extError{length: 40, at: 160, structure: bent}, false, matcher.Extensions{Offset: 160, Stated: 160}, matcher.ErrExtensionChecksum},
		{"header only", extError{at: 128, structure: extStructure("")}, false, matcher.Extensions{Offset: 128, Verified: true}, matcher.ErrExtension},
		{"padding behind", extError{at: 128, structure: append(bytes.Clone(extStack), 0, 0, 0, 0, 0)}, false, found(128, 0), nil},

		{"cut behind the objects", extError{at: 128, structure: extStructure(extLabel + "0008 0101 00000101")[:12]}, true, unverified, matcher.ErrExtensionCut},
		{"cut with nothing missing", extError{at: 128, structure: extStack}, true, found(128, 0), nil},
		{"cut with reserved bits set", extError{at: 128, structure: version(0x21, true)[:11]}, true, none, nil},
		{"cut in the header", extError{at: 128, structure: extStack[:3]}, true, none, nil},

		{"source quench", extError{typ: 4, at: 128, structure: extStack}, false, none, nil},
		{"redirect", extError{typ: 5, at: 128, structure: extStack}, false, none, nil},
		{"echo reply", extError{typ: 0xff, at: 128, structure: extStack}, false, none, nil},
		{"ICMPv6 packet too big", extError{v6: true, typ: 2, at: 128, structure: extStack}, false, none, nil},
		{"ICMPv6 parameter problem", extError{v6: true, typ: 4, at: 128, structure: extStack}, false, none, nil},
		{"time exceeded of the other family", extError{v6: true, typ: 11, at: 128, structure: extStack}, false, none, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			protocol, b := test.message()
			got, err := matcher.ParseExtensions(protocol, b, test.cut)
			if d := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if got.IsZero() != (test.want.Offset == 0) {
				t.Errorf("IsZero is %v", got.IsZero())
			}
		})
	}
}

func TestOtherProtocolsHaveNoExtensions(t *testing.T) {
	_, b := extError{at: 128, structure: extStack}.message()
	for _, p := range []layers.IPProtocol{0, layers.IPProtocolUDP, layers.IPProtocolTCP} {
		if e, err := matcher.ParseExtensions(p, b, false); !e.IsZero() || err != nil {
			t.Errorf("protocol %d: %v, %v", p, e, err)
		}
	}
}

// A capture may end anywhere. What is shown of the objects then is what was
// there, and never without a word that something is missing.
func TestCutAnywhere(t *testing.T) {
	protocol, b := extError{at: 128, structure: extStructure(extLabel + "0008 0101 00000101" + "0010 020c 00000007 00010000 0a000001")}.message()
	whole, err := matcher.ParseExtensions(protocol, b, true)
	if err != nil || len(whole.Objects) != 3 {
		t.Fatal(whole, err)
	}
	for n := range b {
		got, err := matcher.ParseExtensions(protocol, b[:n:n], true)
		switch {
		case n < 8+128+4:
			if !got.IsZero() || err != nil {
				t.Errorf("%d bytes: %v, %v", n, got, err)
			}
			continue
		case !errors.Is(err, matcher.ErrExtensionCut) || got.Verified:
			t.Errorf("%d bytes: %+v, error %v", n, got, err)
		}
		for i, o := range got.Objects {
			if !o.Malformed && !cmp.Equal(o, whole.Objects[i], cmpopts.EquateComparable(netip.Addr{})) {
				t.Errorf("%d bytes: object %+v", n, o)
			}
		}
	}
}

// Frames are only valid until the next one, extensions for longer.
func TestExtensionsDoNotShareMemory(t *testing.T) {
	protocol, b := extError{at: 128, structure: extStructure(
		extLabel + "000c 0202 08 78652d302f3000" + "0008 0301 01020304" + "0006 0101 0506" + "0000")}.message()
	got, _ := matcher.ParseExtensions(protocol, b, false)
	before := got.String()
	again, _ := matcher.ParseExtensions(protocol, b, false)
	for i := range b {
		b[i] = 0xaa
	}
	if d := cmp.Diff(again.String(), got.String()); d != "" || got.String() != before || len(got.Objects) != 4 {
		t.Errorf("%s became %s", before, got)
	}
	if name := got.Objects[1].Interface.Name; name != "xe-0/0" {
		t.Errorf("name %q", name)
	}
}

func TestNoExtensionCostsNoMemory(t *testing.T) {
	for _, e := range []extError{
		{at: 28}, {at: 548}, {length: 32, at: 128}, {length: 17, at: 548}, {v6: true, at: 1200}, {typ: 5, at: 128, structure: extStack},
	} {
		protocol, b := e.message()
		allocated := testing.AllocsPerRun(100, func() {
			if e, err := matcher.ParseExtensions(protocol, b, false); !e.IsZero() || err != nil {
				t.Fatal(e, err)
			}
		})
		if allocated != 0 {
			t.Errorf("%+v: %v allocations", e, allocated)
		}
	}
}

func BenchmarkParseExtensions(b *testing.B) {
	for _, bench := range []struct {
		name string
		extError
	}{
		{"none, short quote", extError{at: 28}},
		{"none, long quote", extError{at: 548}},
		{"two labels", extError{length: 32, at: 128, structure: extStructure("000c 0101 05dc1afd 00010101")}},
		{"interface", extError{length: 32, at: 128, structure: extStructure("0018 020e 00000007 00010000 0a000001 08 78652d302f3000")}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			protocol, message := bench.message()
			b.ReportAllocs()
			for b.Loop() {
				matcher.ParseExtensions(protocol, message, false)
			}
		})
	}
}
