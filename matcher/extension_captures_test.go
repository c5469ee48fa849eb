package matcher_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher"
)

const extCaptures = "../testdata/captures/"

// extMessage is an ICMP message of a capture.
type extMessage struct {
	file     string
	number   int // of its frame, from 1
	ip       []byte
	protocol layers.IPProtocol
	icmp     []byte // in ip
	cut      bool
}

func (m extMessage) String() string { return fmt.Sprintf("%s frame %d", m.file, m.number) }

// extMessages are all ICMP messages of a capture.
func extMessages(t testing.TB, file string) (all []extMessage) {
	t.Helper()
	f, err := capture.OpenFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	number := 0
	for next, err := range f.Frames(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if next.IsWatermark() {
			continue
		}
		number++
		p, err := frame.Decode(&next)
		if err != nil {
			continue
		}
		m := extMessage{file: file, number: number, ip: bytes.Clone(p.IP), cut: len(next.Data) < next.Length}
		if m.protocol, m.icmp = extUpper(m.ip); m.icmp != nil {
			all = append(all, m)
		}
	}
	return all
}

// extUpper is what an IP packet of ICMP carries, by the lengths of its headers.
func extUpper(ip []byte) (layers.IPProtocol, []byte) {
	header, length, protocol := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:])), layers.IPProtocol(ip[9])
	if ip[0]>>4 == 6 {
		header, length, protocol = 40, 40+int(binary.BigEndian.Uint16(ip[4:])), layers.IPProtocol(ip[6])
	}
	if protocol != layers.IPProtocolICMPv4 && protocol != layers.IPProtocolICMPv6 || len(ip) < header {
		return 0, nil
	}
	return protocol, ip[header:max(header, min(length, len(ip)))]
}

// What is in the captures of others: tshark -V's reading, or where that does
// not look at byte 128 (caracal_*-mpls.pcap, whose Length is 17 words), that of
// the .txt beside the capture.
func TestExtensionsInCaptures(t *testing.T) {
	const named = "This-is-the-name-of-the-Interface-that-we-are-looking-for-[:-)]"
	stack := func(offset, stated int, labels ...matcher.Label) matcher.Extensions {
		return matcher.Extensions{Offset: offset, Stated: stated, Verified: true, Objects: []matcher.ExtensionObject{
			{Class: 1, Type: 1, Length: 4 + 4*len(labels), Labels: labels},
		}}
	}
	first, second := matcher.Label{Label: 100704, Bottom: true, TTL: 1}, matcher.Label{Label: 102672, Bottom: true, TTL: 1}
	tests := []struct {
		file string
		want map[int]matcher.Extensions // by the number of the frame; the others have none
		err  error
	}{
		{"tcpdump_mpls_traceroute.pcap", map[int]matcher.Extensions{
			2: stack(128, 0, first), 4: stack(128, 0, first), 6: stack(128, 0, first),
			8: stack(128, 0, second), 10: stack(128, 0, second), 12: stack(128, 0, second),
		}, nil},
		{"caracal_icmp-icmp-ttl-exceeded-mpls.pcap", map[int]matcher.Extensions{
			2: stack(128, 68, matcher.Label{Label: 29657, TTL: 1}, matcher.Label{Label: 25437, Bottom: true, TTL: 1}),
		}, nil},
		// tshark shows no name, as it takes 63 for the longest length; the RFC's is 64.
		{"tcpdump_icmp-rfc5837.pcap", map[int]matcher.Extensions{
			1: {Offset: 128, Verified: true, Objects: []matcher.ExtensionObject{{
				Class: 2, Type: 14, Length: 80,
				Interface: &matcher.InterfaceInfo{Index: 15, Address: netip.MustParseAddr("10.10.10.10"), Name: named},
			}}},
		}, nil},
		// tshark shows the object, and that its checksum is wrong.
		{"tcpdump_icmp-cksum-oobr-2.pcap", map[int]matcher.Extensions{1: {Offset: 128}}, matcher.ErrExtensionChecksum},
		{"tcpdump_icmp_inft_name_length_zero.pcap", map[int]matcher.Extensions{
			1: {Offset: 128, Objects: []matcher.ExtensionObject{{
				Class: 2, Type: 2, Length: 8016, Interface: &matcher.InterfaceInfo{}, Payload: extHex("005468"), Malformed: true,
			}}},
		}, matcher.ErrExtensionCut},
		{"arkime_v6_traceroute_1999.pcap", nil, nil},
		{"caracal_icmp-icmp-ttl-exceeded.pcap", nil, nil},
		{"caracal_icmp6-icmp6-ttl-exceeded.pcap", nil, nil},
		{"caracal_udp-icmp-ttl-exceeded.pcap", nil, nil},
		{"caracal_udp-icmp6-ttl-exceeded.pcap", nil, nil},
		{"x4n4th_villanova_tracert.pcap", nil, nil},
		{"zeek_icmp-timeexceeded.pcap", nil, nil},
		{"zeek_icmp6-timeexceeded.pcap", nil, nil},
		{"zeek_icmp6_1999.pcap", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			messages := extMessages(t, extCaptures+test.file)
			if len(messages) == 0 {
				t.Fatal("no ICMP messages")
			}
			got := map[int]matcher.Extensions{}
			for _, m := range messages {
				e, err := matcher.ParseExtensions(m.protocol, m.icmp, m.cut)
				if !e.IsZero() {
					got[m.number] = e
				}
				if !errors.Is(err, test.err) || e.IsZero() && err != nil {
					t.Errorf("frame %d: error %v, want %v", m.number, err, test.err)
				}
			}
			if d := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The time exceeded of pcapplusplus_IcmpPackets.pcap, which is a pcapng file,
// as tshark -x shows it behind 128 bytes of quote.
func TestExtensionOfPcapPlusPlus(t *testing.T) {
	protocol, b := extError{at: 128, structure: extHex("2000 7df4 0008 0101 0001 6101")}.message()
	e, err := matcher.ParseExtensions(protocol, b, false)
	if got := e.String(); got != "<MPLS:L=22,E=0,S=1,T=1>" || !e.Verified || err != nil {
		t.Errorf("%s, %+v, error %v", got, e, err)
	}
}

// What traceroute 2.1.2 was answered in the mpls topology: with -e it prints the
// label stacks like this. (It prints interface information in hexadecimal.)
func TestExtensionsInTheWordsOfTraceroute(t *testing.T) {
	got := map[string]bool{}
	for _, m := range extMessages(t, extCaptures+"peers/traceroute-mpls.pcap") {
		e, err := matcher.ParseExtensions(m.protocol, m.icmp, m.cut)
		if err != nil {
			t.Errorf("%s: %v", m, err)
		}
		got[e.String()] = true
	}
	want := map[string]bool{
		"": true,
		"<MPLS:L=24001,E=0,S=0,T=1/L=24002,E=5,S=1,T=253>": true,
		"<MPLS:L=300112,E=1,S=1,T=1>":                      true,
		"<MPLS:L=16,E=0,S=1,T=1>":                          true,
		"<MPLS:L=1048575,E=7,S=1,T=1>":                     true,
		"<MPLS:L=17001,E=0,S=1,T=1>":                       true,
		"<MPLS:L=17002,E=0,S=1,T=1>":                       true,
		"<MPLS:L=17003,E=0,S=1,T=1>":                       true,
		`<INC:515,10.3.0.6,"et-0/0/3.0",mtu=9000>`:         true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// extFields are what tshark shows of an extension, in this order.
var extFields = []string{
	"icmp.ext.checksum.status", "icmp.ext.class", "icmp.ext.ctype",
	"icmp.mpls.label", "icmp.mpls.exp", "icmp.mpls.s", "icmp.mpls.ttl",
	"icmp.int_info.index", "icmp.int_info.ipv4", "icmp.int_info.ipv6", "icmp.int_info.name", "icmp.int_info.mtu",
}

// Of all captures together, tshark reads the same fields. It looks only where
// Length says, and at byte 128 only if that is 0; so what is compared is what it
// finds.
func TestExtensionsAreWhatTsharkReads(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	all := extCaptured(t)
	says := extTshark(t, all)
	for i, want := range says {
		e, err := matcher.ParseExtensions(all[i].protocol, all[i].icmp, all[i].cut)
		if err != nil {
			t.Errorf("%s: %v", all[i], err)
		}
		if d := cmp.Diff(want, extShown(e)); d != "" {
			t.Errorf("%s (-tshark +got):\n%s", all[i], d)
		}
	}
	if len(says) < 30 {
		t.Errorf("tshark found only %d extensions", len(says))
	}
}

// extTshark is what tshark shows of the extensions that have a right checksum,
// by the number of the message.
func extTshark(t *testing.T, all []extMessage) map[int]string {
	t.Helper()
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if err := w.WritePacket(gopacket.CaptureInfo{CaptureLength: len(m.ip), Length: len(m.ip)}, m.ip); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-n", "-r", "-", "-Y", "icmp.ext.version == 2 && icmp.ext.checksum.status == 1", "-T", "fields", "-e", "frame.number"}
	for _, f := range extFields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Stdin = &file
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	says := map[int]string{}
	for line := range strings.Lines(string(out)) {
		number, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		says[n-1] = rest
	}
	return says
}

// extShown is an extension in the words of tshark: each field of all objects,
// separated by commas.
func extShown(e matcher.Extensions) string {
	values := map[string][]string{"icmp.ext.checksum.status": {"1"}}
	add := func(field string, value any) { values[field] = append(values[field], fmt.Sprint(value)) }
	for _, o := range e.Objects {
		add("icmp.ext.class", o.Class)
		add("icmp.ext.ctype", o.Type)
		for _, l := range o.Labels {
			bottom := 0
			if l.Bottom {
				bottom = 1
			}
			add("icmp.mpls.label", l.Label)
			add("icmp.mpls.exp", l.TC)
			add("icmp.mpls.s", bottom)
			add("icmp.mpls.ttl", l.TTL)
		}
		if i := o.Interface; i != nil {
			extShownInterface(add, o.Type, i)
		}
	}
	shown := make([]string, len(extFields))
	for i, f := range extFields {
		shown[i] = strings.Join(values[f], ",")
	}
	return strings.Join(shown, "\t")
}

func extShownInterface(add func(string, any), cType uint8, i *matcher.InterfaceInfo) {
	if cType&8 != 0 {
		add("icmp.int_info.index", i.Index)
	}
	switch {
	case i.Address.Is4():
		add("icmp.int_info.ipv4", i.Address)
	case i.Address.Is6():
		add("icmp.int_info.ipv6", i.Address)
	}
	if len(i.Name) > 0 && len(i.Name) < 63 { // longer ones it does not show
		add("icmp.int_info.name", i.Name)
	}
	if cType&1 != 0 {
		add("icmp.int_info.mtu", i.MTU)
	}
}

// extCaptured are the ICMP messages of all captures that can be read.
func extCaptured(t testing.TB) (all []extMessage) {
	t.Helper()
	for _, pattern := range []string{"*.pcap", "peers/*mpls*.pcap"} {
		files, err := filepath.Glob(extCaptures + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no captures, %v", pattern, err)
		}
		for _, file := range files {
			if !strings.Contains(file, "pcapplusplus") { // pcapng
				all = append(all, extMessages(t, file)...)
			}
		}
	}
	return all
}
