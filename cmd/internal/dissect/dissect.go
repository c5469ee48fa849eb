// Package dissect takes frames apart for people: into headers and fields, each
// with its place in the frame, its value and what that means in words.
//
// It reads whole frames and what ICMP errors quote of them, which may end
// anywhere: a field that is not all there is left out, never guessed. Headers are
// tables; a protocol or a family is one more of them.
package dissect

import (
	"encoding/binary"
	"slices"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
)

// Header is a part of a frame: a protocol's header, or what is behind the last.
type Header struct {
	Name   string // "IPv4"
	At     int    // where it begins in the frame, in bytes
	Length int    // in bytes, as far as it is there
	Fields []Field
}

// Field is a field of a header.
type Field struct {
	Name  string
	Bit   int    // where it begins, counted from the first bit of the frame
	Bits  int    // how long it is
	Bytes []byte // the bytes of the frame that it is in, which it may share
	Value uint64 // of a field of up to 64 bits
	Note  string // of a checksum: whether it is right, where enough is there to tell
	show  func(value uint64, b []byte) string
}

// Text is the value, for people. It has nothing that moves a cursor.
func (f *Field) Text() string { return f.show(f.Value, f.Bytes) }

// At is the byte of the frame that the field begins in.
func (f *Field) At() int { return f.Bit / 8 }

// Field returns the field with a name; nil if it is not there.
func (h *Header) Field(name string) *Field {
	for i := range h.Fields {
		if h.Fields[i].Name == name {
			return &h.Fields[i]
		}
	}
	return nil
}

// The names of the headers that others look for.
const (
	Payload = "payload"
	Padding = "padding"
)

// Unfinished is the Note of a checksum of the pseudo-header alone, which the
// adapter of the host that sends the packet is to complete.
const Unfinished = "for the adapter to complete"

// Right is the Note of a right checksum.
const Right = "right"

// Frame takes a captured frame apart, from its link header on. Ours says that
// it may be a probe of this program's, whose payload has parts: it is one if
// what it is filled with is there. Of a frame that carries no IP packet it knows
// only that it has bytes.
func Frame(f *frame.Frame, ours bool) []Header { return new(Dissector).Frame(f, ours) }

// Quote takes an IP packet apart that an ICMP error quotes, whatever is left of
// it. Ours says that it is a probe of this program's.
func Quote(ip []byte, ours bool) []Header { return new(Dissector).Quote(ip, ours) }

// Dissector takes many frames apart in the same memory. The zero Dissector is ready
// for use.
type Dissector struct {
	dissector
}

// Frame is like the function Frame. What it returns is valid until the next call.
func (s *Dissector) Frame(f *frame.Frame, ours bool) []Header {
	d := s.begin(f.Data, ours, false)
	carried, err := frame.Decode(f)
	if err != nil {
		d.rest("frame", "bytes")
		return d.headers
	}
	link := len(f.Data) - len(carried.IP)
	if f.Link == frame.Ethernet {
		d.ethernet(link)
	}
	d.gap(link, "link header")
	d.ip()
	return d.headers
}

// Quote is like the function Quote. What it returns is valid until the next call.
func (s *Dissector) Quote(ip []byte, ours bool) []Header {
	d := s.begin(ip, ours, true)
	d.ip()
	return d.headers
}

// begin begins anew, in the memory of the frame before.
func (s *Dissector) begin(all []byte, ours, quote bool) *dissector {
	s.dissector = dissector{all: all, ours: ours, quote: quote, headers: s.headers[:0], fields: s.fields[:0]}
	return &s.dissector
}

// dissector takes one header after the other off a frame.
type dissector struct {
	all     []byte
	at      int // how far it is
	ours    bool
	quote   bool
	headers []Header
	fields  []Field // of all headers
}

// take takes a header of a table, and length bytes of the frame with it. What is
// behind the table's fields is a field with the name of more.
func (d *dissector) take(name string, fields []spec, length int, more string) *Header {
	length = min(length, len(d.all)-d.at)
	h := Header{Name: name, At: d.at, Length: length}
	b := d.all[d.at : d.at+length]
	end, first := 0, len(d.fields)
	for _, s := range fields {
		if s.bit+s.bits <= 8*len(b) {
			d.fields = append(d.fields, s.field(b, d.at))
			end = (s.bit + s.bits + 7) / 8
		}
	}
	if end < length && more != "" {
		s := spec{name: more, bit: 8 * end, bits: 8 * (length - end), show: showBytes}
		d.fields = append(d.fields, s.field(b, d.at))
	}
	h.Fields = slices.Clip(d.fields[first:])
	d.at += length
	d.headers = append(d.headers, h)
	return &d.headers[len(d.headers)-1]
}

// gap takes what is left up to a byte, if anything is.
func (d *dissector) gap(to int, name string) {
	if d.at < to {
		d.take(name, nil, to-d.at, "bytes")
	}
}

// rest takes all that is left.
func (d *dissector) rest(name, field string) {
	if d.at < len(d.all) {
		d.take(name, nil, len(d.all)-d.at, field)
	}
}

// ethernet takes the Ethernet header, and the VLAN tags behind it.
func (d *dissector) ethernet(link int) {
	if link < 14 {
		return
	}
	tagged := d.take("Ethernet", ethernetFields, 14, "").Fields[2].Value
	for d.at+4 <= link && (tagged == 0x8100 || tagged == 0x88a8 || tagged == 0x9100) {
		tagged = d.take("VLAN tag", vlanFields, 4, "").Field("type").Value
	}
}

// ip takes the IP packet, and what is behind it.
func (d *dissector) ip() {
	start := d.at
	p, err := craft.ParsePacket(d.all[start:])
	if err != nil {
		d.fragment()
		return
	}
	if p.Is6() {
		d.take("IPv6", ipv6Fields, 40, "")
		d.gap(start+len(p.Header), "IPv6 extension headers")
	} else {
		h := d.take("IPv4", ipv4Fields, len(p.Header), "options")
		verify(h.Field("header checksum"), p.Header, 0)
	}
	end := len(d.all)
	if stated := start + p.Length; stated >= start+len(p.Header) && stated < end {
		end = stated
	}
	all := d.all
	d.all = all[:end]
	d.transport(&p, start+p.Length == end)
	d.all = all
	d.rest(Padding, "bytes")
}

// fragment takes what there is of an IP packet that ends before its header does.
func (d *dissector) fragment() {
	if d.at == len(d.all) {
		return
	}
	switch d.all[d.at] >> 4 {
	case 4:
		d.take("IPv4", ipv4Fields, min(20, len(d.all)-d.at), "cut")
	case 6:
		d.take("IPv6", ipv6Fields, min(40, len(d.all)-d.at), "cut")
	}
	d.rest("packet", "bytes")
}

// transport takes what the IP header is before. Whole says that the packet is
// all there.
func (d *dissector) transport(p *craft.Packet, whole bool) {
	b := d.all[d.at:]
	if len(b) == 0 {
		return
	}
	t := transportOf(p, b)
	if t == nil {
		d.rest(Payload, "data")
		return
	}
	h := d.take(t.name, t.fields, t.length(b), "options")
	if sum := h.Field("checksum"); sum != nil && whole && !p.Fragment {
		verify(sum, b, t.pseudo(p, len(b)))
	}
	switch {
	case t.quotes:
		d.rest("quote", "bytes")
	case d.ours && t.identified && len(b) > h.Length && (d.quote || isPattern(b[h.Length:])):
		d.take(Payload, payloadFields, len(b)-h.Length, "pattern")
	default:
		d.rest(Payload, "data")
	}
}

// isPattern reports whether a payload has, behind its identity, what package
// craft fills it with.
func isPattern(b []byte) bool {
	const identity = 10
	if len(b) < identity {
		return false
	}
	for i := identity; i < len(b); i++ {
		if b[i] != 0x40+byte(i)&0x3f {
			return false
		}
	}
	return true
}

// verify adds to a checksum's text whether it is right, for data of which it is
// a part, and the sum of a pseudo-header.
func verify(f *Field, data []byte, pseudo uint64) {
	switch sum := onesSum(data) + pseudo; {
	case f == nil:
	case f.Value == 0 && f.Name == "checksum":
		f.Note = "none"
	case fold(sum) == 0xffff:
		f.Note = Right
	case pseudo != 0 && f.Value == uint64(fold(pseudo)):
		f.Note = Unfinished
	default:
		f.Note = "wrong"
	}
}

// onesSum adds b up as big-endian 16-bit words, not folded (RFC 1071).
func onesSum(b []byte) (sum uint64) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// fold reduces a sum of 16-bit words to one, in ones' complement.
func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// isICMP reports whether a protocol is the family's ICMP.
func isICMP(p *craft.Packet) bool {
	return p.Protocol == layers.IPProtocolICMPv4 && !p.Is6() || p.Protocol == layers.IPProtocolICMPv6 && p.Is6()
}
