package matcher_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
)

// FuzzExtensions: whatever is in a message, nothing is read that is not in it.
// What was read, written anew as an extension, is read as the same. And the
// memory it takes is in proportion to the message.
func FuzzExtensions(f *testing.F) {
	for _, m := range extCaptured(f) {
		f.Add(m.protocol == layers.IPProtocolICMPv6, m.cut, false, m.icmp)
	}
	for _, objects := range []string{
		extLabel, "0020 020f 00000203 00010000 0a030006 0c 65742d302f302f332e3000 00002328",
		"0018 02c4 00020000 20010db8000000000000000000000006", "0006 0301 0102", "0030 0101 00010101", "0008 0202 08 787878",
	} {
		for _, e := range []extError{{at: 128, structure: extStructure(objects)}, {v6: true, length: 20, at: 160, structure: extStructure(objects)}} {
			_, b := e.message()
			f.Add(e.v6, false, true, b)
		}
	}
	f.Fuzz(func(t *testing.T, v6, cut, repair bool, icmp []byte) {
		protocol := layers.IPProtocolICMPv4
		if v6 {
			protocol = layers.IPProtocolICMPv6
		}
		if at := 8 + 128; repair && len(icmp) >= at+4 {
			icmp = bytes.Clone(icmp)
			icmp[at] = 0x20
			extSum(icmp[at:])
		}
		got, err := matcher.ParseExtensions(protocol, icmp, cut)
		extCheck(t, got, err, icmp)
		if len(got.Objects) == 0 {
			return
		}
		structure := []byte{0x20, 0, 0, 0}
		for i := range got.Objects {
			structure = append(structure, extEncode(&got.Objects[i])...)
		}
		extSum(structure)
		_, b := extError{at: 128, structure: structure}.message()
		again, _ := matcher.ParseExtensions(layers.IPProtocolICMPv4, b, false)
		if d := cmp.Diff(got.Objects, again.Objects, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Fatalf("written anew as %x (-first +second):\n%s", structure, d)
		}
	})
}

// extCheck checks what was read of a message.
func extCheck(t *testing.T, e matcher.Extensions, err error, icmp []byte) {
	t.Helper()
	if e.IsZero() {
		if err != nil || e.Objects != nil || e.Stated != 0 || e.Verified {
			t.Fatalf("%+v, error %v", e, err)
		}
		return
	}
	if e.Offset != 128 && e.Offset != e.Stated || icmp[8+e.Offset]>>4 != 2 {
		t.Fatalf("an extension at %d, stated %d", e.Offset, e.Stated)
	}
	held, malformed := 0, false
	for i := range e.Objects {
		o := &e.Objects[i]
		held += len(o.Payload) + 4*len(o.Labels)
		malformed = malformed || o.Malformed
		if o.Interface != nil {
			held += len(o.Interface.Name)
		}
	}
	if room := len(icmp) - 8 - e.Offset; len(e.Objects) > 32 || held > 2*room {
		t.Fatalf("%d objects and %d bytes from %d", len(e.Objects), held, room)
	}
	if malformed && err == nil {
		t.Fatalf("not a word about %+v", e)
	}
	for _, c := range []byte(e.String()) {
		if c < ' ' || c == 0x7f {
			t.Fatalf("raw byte %#x in %q", c, e.String())
		}
	}
}

// extEncode writes an object (RFC 4884 section 8).
func extEncode(o *matcher.ExtensionObject) []byte {
	b := []byte{0, 0, o.Class, o.Type}
	binary.BigEndian.PutUint16(b, uint16(o.Length))
	switch {
	case o.Payload != nil:
		b = append(b, o.Payload...)
	case o.Labels != nil:
		for _, l := range o.Labels {
			entry := l.Label<<12 | uint32(l.TC)<<9 | uint32(l.TTL)
			if l.Bottom {
				entry |= 1 << 8
			}
			b = binary.BigEndian.AppendUint32(b, entry)
		}
	default:
		b = append(b, extEncodeInterface(o)...)
	}
	return b
}

// extEncodeInterface writes interface information (RFC 5837 section 4). The
// name is padded to what the object's length leaves for it.
func extEncodeInterface(o *matcher.ExtensionObject) []byte {
	var before, name, mtu []byte
	i := o.Interface
	if o.Type&8 != 0 {
		before = binary.BigEndian.AppendUint32(before, i.Index)
	}
	if o.Type&4 != 0 {
		family := byte(1)
		if i.Address.Is6() {
			family = 2
		}
		before = append(append(before, 0, family, 0, 0), i.Address.AsSlice()...)
	}
	if o.Type&1 != 0 {
		mtu = binary.BigEndian.AppendUint32(mtu, i.MTU)
	}
	if o.Type&2 != 0 {
		name = make([]byte, o.Length-4-len(before)-len(mtu))
		name[0] = byte(len(name))
		copy(name[1:], i.Name)
	}
	return slices.Concat(before, name, mtu)
}
