package dissect_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// framesOf are the frames of a capture.
func framesOf(t testing.TB, name string) (all []frame.Frame) {
	t.Helper()
	file, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for f, err := range file.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !f.IsWatermark() {
			f.Data = bytes.Clone(f.Data)
			all = append(all, f)
		}
	}
	return all
}

// captures are those that others made, and some of their programs' traces.
func captures(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.pcap", "peers/mtr-mpls.pcap", "peers/scamper-quotes.pcap", "peers/traceroute-tcp-*-ipv6.pcap", "peers/scamper-icmp-paris-mpls-ipv6.pcap"} {
		found, err := filepath.Glob("../../../testdata/captures/" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		all = append(all, found...)
	}
	return all
}

// known are the fields that tshark has too, by its names.
var known = []struct{ theirs, header, ours string }{
	{"ip.dsfield.dscp", "IPv4", "DSCP"}, {"ip.dsfield.ecn", "IPv4", "ECN"}, {"ip.len", "IPv4", "total length"},
	{"ip.id", "IPv4", "ID"}, {"ip.frag_offset", "IPv4", "fragment offset"}, {"ip.ttl", "IPv4", "TTL"}, {"ip.proto", "IPv4", "protocol"},
	{"ip.checksum", "IPv4", "header checksum"}, {"ip.src", "IPv4", "source"}, {"ip.dst", "IPv4", "destination"},
	{"ipv6.tclass.dscp", "IPv6", "DSCP"}, {"ipv6.flow", "IPv6", "flow label"}, {"ipv6.plen", "IPv6", "payload length"},
	{"ipv6.nxt", "IPv6", "next header"}, {"ipv6.hlim", "IPv6", "hop limit"}, {"ipv6.src", "IPv6", "source"}, {"ipv6.dst", "IPv6", "destination"},
	{"udp.srcport", "UDP", "source port"}, {"udp.dstport", "UDP", "dest. port"}, {"udp.length", "UDP", "length"}, {"udp.checksum", "UDP", "checksum"},
	{"tcp.srcport", "TCP", "source port"}, {"tcp.dstport", "TCP", "dest. port"}, {"tcp.seq_raw", "TCP", "sequence"},
	{"icmp.type", "ICMP", "type"}, {"icmp.code", "ICMP", "code"}, {"icmp.checksum", "ICMP", "checksum"}, {"icmp.seq", "ICMP", "sequence"},
	{"icmpv6.type", "ICMPv6", "type"}, {"icmpv6.code", "ICMPv6", "code"}, {"icmpv6.checksum", "ICMPv6", "checksum"},
}

// The fields of all frames, and of what they quote, are those that tshark finds.
func TestFieldsAreThoseOfTshark(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	compared := 0
	for _, name := range captures(t) {
		args := []string{"-r", name, "-T", "fields", "-o", "ip.defragment:FALSE"}
		for _, k := range known {
			args = append(args, "-e", k.theirs)
		}
		out, err := exec.Command("tshark", args...).Output()
		if err != nil {
			t.Fatal(name, err)
		}
		lines := strings.Split(string(out), "\n")
		for i, f := range framesOf(t, name) {
			theirs := strings.Split(lines[i], "\t")
			headers := withQuote(&f)
			if header(headers, "quote") && header(headers, dissect.Padding) {
				continue // the router states too little: tshark reads no further than that
			}
			for j, k := range known {
				if k.theirs == "icmp.seq" && isTimestamp(headers) {
					continue // of which we know no fields
				}
				if ours := valuesOf(headers, k.header, k.ours); theirs[j] != "" {
					if d := cmp.Diff(normal(theirs[j]), strings.Join(ours, ",")); d != "" {
						t.Errorf("%s, frame %d, %s: -tshark +ours\n%s", filepath.Base(name), i+1, k.theirs, d)
					}
					compared++
				}
			}
		}
	}
	if compared < 5000 {
		t.Errorf("only %d fields", compared)
	}
}

// withQuote are the headers of a frame, and of what it quotes if it is an ICMP error.
func withQuote(f *frame.Frame) []dissect.Header {
	headers := dissect.Frame(f, false)
	if !header(headers, "quote") {
		return headers
	}
	carried, err := frame.Decode(f)
	if err != nil {
		return headers
	}
	outer, err := craft.ParsePacket(carried.IP)
	if err != nil || len(outer.Payload) <= dissect.ICMPHeader {
		return headers
	}
	extensions, _ := matcher.ParseExtensions(outer.Protocol, outer.Payload, false)
	return append(headers, dissect.Quote(dissect.Quoted(&outer, extensions.Offset), false)...)
}

func valuesOf(headers []dissect.Header, header, name string) (all []string) {
	for i := range headers {
		if f := headers[i].Field(name); f != nil && headers[i].Name == header {
			if f.Bits > 64 || strings.Contains(f.Text(), ".") && f.Bits == 32 {
				all = append(all, f.Text())
			} else {
				all = append(all, fmt.Sprint(f.Value))
			}
		}
	}
	return all
}

// header reports whether there is such a header.
func header(headers []dissect.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h dissect.Header) bool { return h.Name == name })
}

// isTimestamp reports whether it is an ICMP message with a number of its own.
func isTimestamp(headers []dissect.Header) bool {
	types := valuesOf(headers, "ICMP", "type")
	return len(types) > 0 && slices.Contains([]string{"13", "14", "17", "18"}, types[0])
}

// normal is a list of tshark's with its numbers in decimal.
func normal(list string) string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		if n, err := strconv.ParseUint(p, 0, 64); err == nil {
			parts[i] = fmt.Sprint(n)
		}
	}
	return strings.Join(parts, ",")
}

// Whatever the bytes, headers cover the frame without a gap, fields lie within
// their headers, and no text moves a cursor.
func FuzzFrame(f *testing.F) {
	for _, name := range captures(f) {
		for i, fr := range framesOf(f, name) {
			if i < 20 {
				f.Add(fr.Data, uint16(fr.Link), i%2 == 0)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, link uint16, ours bool) {
		fr := frame.Frame{Data: data, Length: len(data), Link: frame.LinkType(link)}
		check(t, dissect.Frame(&fr, ours), len(data))
		check(t, dissect.Quote(data, ours), len(data))
	})
}

func check(t *testing.T, headers []dissect.Header, length int) {
	t.Helper()
	at := 0
	for _, h := range headers {
		if h.At != at || h.Length <= 0 {
			t.Fatalf("%s is at %d, %d bytes; the one before ends at %d", h.Name, h.At, h.Length, at)
		}
		at += h.Length
		for _, f := range h.Fields {
			if f.At() < h.At || f.At()+len(f.Bytes) > at {
				t.Fatalf("%s of %s is outside of it", f.Name, h.Name)
			}
			for _, r := range f.Text() {
				if !unicode.IsPrint(r) {
					t.Fatalf("%s of %s: %q", f.Name, h.Name, f.Text())
				}
			}
		}
	}
	if at != length {
		t.Fatalf("%d of %d bytes", at, length)
	}
	var b bytes.Buffer
	dissect.Painter{}.Fields(&b, headers)
	for l := range strings.SplitSeq(b.String(), "\n") {
		if n := len([]rune(l)); n > 80 {
			t.Fatalf("%d columns: %s", n, l)
		}
	}
}

// A byte has the colour of its field, and fields next to each other differ.
func TestColoursMatch(t *testing.T) {
	f := framesOf(t, "../../../testdata/captures/caracal_udp-icmp-ttl-exceeded.pcap")[0]
	headers := dissect.Frame(&f, false)
	p := dissect.Painter{Coloured: true}
	var fields, dump bytes.Buffer
	p.Fields(&fields, headers)
	p.Hexdump(&dump, f.Data, headers)
	of := byteColours(dump.String())
	last, seen := "", 0
	for l := range strings.SplitSeq(fields.String(), "\n") {
		colour, rest, coloured := strings.Cut(strings.TrimPrefix(l, "\x1b["), "m")
		words := strings.Fields(rest)
		if !coloured || len(words) == 0 || !strings.HasPrefix(l, "\x1b[") {
			continue
		}
		at, err := strconv.Atoi(words[0])
		if err != nil {
			if colour != last {
				t.Errorf("a field that shares a byte has another colour: %q", l)
			}
			continue
		}
		if of[at] != colour || colour == last {
			t.Errorf("byte %d has colour %s, its field %s, the one before %s", at, of[at], colour, last)
		}
		last = colour
		seen++
	}
	if seen < 15 {
		t.Errorf("%d fields", seen)
	}
}

// byteColours are the colours of a hexdump's bytes.
func byteColours(dump string) (all []string) {
	for l := range strings.SplitSeq(strings.TrimSpace(dump), "\n") {
		for i, part := range strings.Split(l, "\x1b[")[1:] {
			if colour, text, _ := strings.Cut(part, "m"); i%2 == 0 && len(strings.TrimSpace(text)) == 2 {
				all = append(all, colour)
			}
		}
	}
	return all
}

func TestHexdump(t *testing.T) {
	var b bytes.Buffer
	dissect.Painter{}.Hexdump(&b, []byte("0123456789abcdef\x1b[2J\x00\xff"), nil)
	want := "0000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef\n" +
		"0010  1b 5b 32 4a 00 ff                                 .[2J..\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Checksums are judged where all that they cover is there.
func TestChecksums(t *testing.T) {
	f := framesOf(t, "../../../testdata/captures/caracal_udp-icmp-ttl-exceeded.pcap")[0]
	p, err := craft.ParsePacket(f.Data[14:])
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change  func(packet []byte) []byte
		ip, udp string
	}{
		"as captured":            {func(b []byte) []byte { return b }, "right", "right"},
		"another TTL":            {func(b []byte) []byte { b[8]++; return b }, "wrong", "right"},
		"another port":           {func(b []byte) []byte { b[20]++; return b }, "right", "wrong"},
		"another source":         {func(b []byte) []byte { b[12]++; return b }, "wrong", "wrong"},
		"none":                   {func(b []byte) []byte { b[26], b[27] = 0, 0; return b }, "right", "none"},
		"cut behind the headers": {func(b []byte) []byte { return b[:28] }, "right", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			headers := dissect.Quote(test.change(bytes.Clone(f.Data[14:14+p.Length])), false)
			got := [2]string{headers[0].Field("header checksum").Note, headers[1].Field("checksum").Note}
			if got != [2]string{test.ip, test.udp} {
				t.Errorf("%v, want %s, %s", got, test.ip, test.udp)
			}
		})
	}
}

// Many frames are taken apart in the same memory.
func TestDissectorKeepsItsMemory(t *testing.T) {
	data := make([]byte, 60)
	data[0], data[3], data[8], data[9] = 0x45, 60, 64, 17
	f := frame.Frame{Link: frame.Raw, Data: data, Length: len(data)}
	var d dissect.Dissector
	if n := testing.AllocsPerRun(10, func() { d.Frame(&f, true) }); n > 4 {
		t.Errorf("a frame takes %v allocations", n)
	}
}
