package matcher_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
)

// Each structure has a right checksum. Problem is what the error says behind
// the number of the object.
func TestExtensionObjects(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.3.0.6"), netip.MustParseAddr("2001:db8::6")
	type objects = []matcher.ExtensionObject
	type info = matcher.InterfaceInfo
	bytes := func(s string) []byte { return append([]byte{}, extHex(s)...) }
	one := func(cType uint8, length int, i info) objects {
		return objects{{Class: 2, Type: cType, Length: length, Interface: &i}}
	}
	broken := func(cType uint8, length int, i info, payload string) objects {
		return objects{{Class: 2, Type: cType, Length: length, Interface: &i, Payload: bytes(payload), Malformed: true}}
	}
	name63 := strings.Repeat("6e", 63)
	tests := []struct {
		name    string
		bytes   string
		want    objects
		problem string
		text    string
	}{
		{
			"RFC 4950 section 3, two labels", "000c 0101 05dc1afd fffff101",
			objects{{Class: 1, Type: 1, Length: 12, Labels: []matcher.Label{{24001, 5, false, 253}, {1048575, 0, true, 1}}}},
			"", "<MPLS:L=24001,E=5,S=0,T=253/L=1048575,E=0,S=1,T=1>",
		},
		{
			"two stacks", "0008 0101 00010101 0008 0101 00020f00",
			objects{
				{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{16, 0, true, 1}}},
				{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{32, 7, true, 0}}},
			},
			"", "<MPLS:L=16,E=0,S=1,T=1;MPLS:L=32,E=7,S=1,T=0>",
		},
		{
			"a node's address and name", "0014 0506 0001 0000 0a030006 08 706537 00000000",
			objects{{Class: 5, Type: 6, Length: 20, Node: &matcher.NodeInfo{Address: v4, Name: "pe7"}}},
			"", `<NODE:10.3.0.6,"pe7">`,
		},
		{
			"a node's address, IPv6", "0018 0504 0002 0000 20010db8000000000000000000000006",
			objects{{Class: 5, Type: 4, Length: 24, Node: &matcher.NodeInfo{Address: v6}}},
			"", `<NODE:2001:db8::6>`,
		},
		{
			"a node's name", "0008 0502 04 706537",
			objects{{Class: 5, Type: 2, Length: 8, Node: &matcher.NodeInfo{Name: "pe7"}}},
			"", `<NODE:"pe7">`,
		},
		{
			"a node's name, and something unknown behind it", "000c 0503 04 706537 01020304",
			objects{{Class: 5, Type: 3, Length: 12, Node: &matcher.NodeInfo{Name: "pe7"}}},
			"", `<NODE:"pe7">`,
		},
		{
			"something unknown before a node's name", "000c 050a 01020304 04 706537",
			objects{{Class: 5, Type: 10, Length: 12, Payload: bytes("01020304 04 706537")}},
			"", `<5/10:01020304,04706537>`,
		},
		{
			"a node's name that is too long", "0048 0502 44" + strings.Repeat("6e", 67),
			objects{{Class: 5, Type: 2, Length: 72, Node: &matcher.NodeInfo{Name: strings.Repeat("n", 67)}, Payload: bytes("44" + strings.Repeat("6e", 67)), Malformed: true}},
			"1: name of stated length 68", "<5/2:446e6e6e" + strings.Repeat(",6e6e6e6e", 16) + ">",
		},
		{
			"a node's address of no family", "000c 0504 0007 0000 0a030006",
			objects{{Class: 5, Type: 4, Length: 12, Node: &matcher.NodeInfo{}, Payload: bytes("0007 0000 0a030006"), Malformed: true}},
			"1: address family 7", "<5/4:00070000,0a030006>",
		},
		{
			"more than a node", "000c 0502 04 706537 01020304",
			objects{{Class: 5, Type: 2, Length: 12, Node: &matcher.NodeInfo{Name: "pe7"}, Payload: bytes("04 706537 01020304"), Malformed: true}},
			"1: 4 bytes too many", "<5/2:04706537,01020304>",
		},
		{
			"no label", "0004 0101",
			objects{{Class: 1, Type: 1, Length: 4, Payload: []byte{}, Malformed: true}},
			"1: no label", "<1/1:>",
		},
		{
			"half a label more", "000a 0101 00010101 0002",
			objects{{Class: 1, Type: 1, Length: 10, Labels: []matcher.Label{{16, 0, true, 1}}, Payload: bytes("00010101 0002"), Malformed: true}},
			"1: stated length 10 is no multiple of 4", "<1/1:00010101,0002>",
		},
		{
			"a stack longer than the message", "0010 0101 00010001 00020101",
			objects{{Class: 1, Type: 1, Length: 16, Labels: []matcher.Label{{16, 0, false, 1}, {32, 0, true, 1}}, Payload: bytes("00010001 00020101"), Malformed: true}},
			"1: stated length 16 in 12 bytes", "<1/1:00010001,00020101>",
		},
		{
			"class 1 of another type", "0008 0102 00010101",
			objects{{Class: 1, Type: 2, Length: 8, Payload: bytes("00010101")}},
			"", "<1/2:00010101>",
		},

		{"RFC 5837 section 4, nothing told", "0004 0200", one(0, 4, info{}), "", "<INC:>"},
		{
			"RFC 5837 section 4, everything told", "0020 020f 00000203 00010000 0a030006 0c 65742d302f302f332e3000 00002328",
			one(15, 32, info{Index: 515, Address: v4, Name: "et-0/0/3.0", MTU: 9000}),
			"", `<INC:515,10.3.0.6,"et-0/0/3.0",mtu=9000>`,
		},
		{"index only", "0008 0248 00000007", one(0x48, 8, info{Role: matcher.SubIPComponent, Index: 7}), "", "<SUB:7>"},
		{"MTU only", "0008 0281 000005dc", one(0x81, 8, info{Role: matcher.Outgoing, MTU: 1500}), "", "<OUT:mtu=1500>"},
		{"IPv4 next hop", "000c 02c4 00010000 0a030006", one(0xc4, 12, info{Role: matcher.NextHop, Address: v4}), "", "<NXT:10.3.0.6>"},
		{
			"IPv6 address", "0018 0204 00020000 20010db8000000000000000000000006",
			one(4, 24, info{Address: v6}), "", "<INC:2001:db8::6>",
		},
		{
			"reserved bits are not looked at", "000c 0234 0001ffff 0a030006",
			one(0x34, 12, info{Address: v4}), "", "<INC:10.3.0.6>",
		},
		{"zeros that are told", "000c 0209 00000000 00000000", one(9, 12, info{}), "", "<INC:0,mtu=0>"},
		{"name of no bytes", "0008 0202 04 000000", one(2, 8, info{}), "", `<INC:"">`},
		{"longest name", "0044 0202 40" + name63, one(2, 68, info{Name: strings.Repeat("n", 63)}), "", `<INC:"` + strings.Repeat("n", 63) + `">`},
		{
			"name that a terminal would act on", "0010 0202 0c 1b5b326a220a5cff00c3b6",
			one(2, 16, info{Name: "\x1b[2j\"\n\\\xff\x00ö"}), "", `<INC:"\x1b[2j\"\n\\\xff\x00ö">`,
		},
		{
			"name that turns the text around", "000c 0202 08 e280ae 61 0000 00",
			one(2, 12, info{Name: "\u202ea"}), "", `<INC:"\u202ea">`,
		},
		{"index cut", "0006 0208 0000 0000", broken(8, 6, info{}, "0000"), "1: stated length 6 is no multiple of 4", "<2/8:0000>"},
		{"index missing", "0004 0208", broken(8, 4, info{}, ""), "1: index of 4 bytes in 0", "<2/8:>"},
		{"MTU missing", "0008 0209 00000007", broken(9, 8, info{Index: 7}, "00000007"), "1: MTU of 4 bytes in 0", "<2/9:00000007>"},
		{
			"address family 3", "0010 020d 00000007 00030000 000005dc",
			broken(13, 16, info{Index: 7}, "00000007 00030000 000005dc"), "1: address family 3", "<2/13:00000007,00030000,000005dc>",
		},
		{"address header cut", "0004 0204", broken(4, 4, info{}, ""), "1: address header of 4 bytes in 0", "<2/4:>"},
		{
			"address cut", "000c 0204 00020000 20010db8",
			broken(4, 12, info{}, "00020000 20010db8"), "1: address of 16 bytes in 4", "<2/4:00020000,20010db8>",
		},
		{"name missing", "0004 0202", broken(2, 4, info{}, ""), "1: name of 1 bytes in 0", "<2/2:>"},
		{
			"name of stated length 0", "000c 020a 00000007 00 546869",
			broken(10, 12, info{Index: 7}, "00000007 00546869"), "1: name of stated length 0", "<2/10:00000007,00546869>",
		},
		{
			"name longer than the object", "0008 0202 08 787878",
			broken(2, 8, info{}, "08787878"), "1: name behind its length of 7 bytes in 3", "<2/2:08787878>",
		},
		{
			"name whose padding is not counted", "0010 0203 06 7865303030 0000 000005dc",
			broken(3, 16, info{Name: "xe000"}, "0678653030300000 000005dc"), "1: name of stated length 6", "<2/3:06786530,30300000,000005dc>",
		},
		{
			"name longer than allowed", "0048 0202 44" + name63 + "6e6e6e6e",
			broken(2, 72, info{Name: strings.Repeat("n", 67)}, "44"+name63+"6e6e6e6e"), "1: name of stated length 68",
			"<2/2:446e6e6e" + strings.Repeat(",6e6e6e6e", 16) + ">",
		},
		{
			"more than is told", "000c 0208 00000007 00000008",
			broken(8, 12, info{Index: 7}, "00000007 00000008"), "1: 4 bytes too many", "<2/8:00000007,00000008>",
		},

		{
			"unknown class", "000c 0301 01020304 05060708 0004 ff00",
			objects{{Class: 3, Type: 1, Length: 12, Payload: bytes("0102030405060708")}, {Class: 255, Length: 4, Payload: []byte{}}},
			"", "<3/1:01020304,05060708;255/0:>",
		},
		{
			"unknown class of odd length, then another", "0007 f701 010203 0008 0101 00010101",
			objects{
				{Class: 247, Type: 1, Length: 7, Payload: bytes("010203"), Malformed: true},
				{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{16, 0, true, 1}}},
			},
			"1: stated length 7 is no multiple of 4", "<247/1:010203;MPLS:L=16,E=0,S=1,T=1>",
		},
		{"length 0 but not padding", "0000 0101 00010101", nil, "1: stated length 0", ""},
		{
			"length 3", "0008 0101 00010101 0003 0101",
			objects{{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{16, 0, true, 1}}}},
			"2: stated length 3", "<MPLS:L=16,E=0,S=1,T=1>",
		},
		{
			"a rest", "0004 0300 000401",
			objects{{Class: 3, Length: 4, Payload: []byte{}}}, "2: 3 bytes", "<3/0:>",
		},
		{"nothing but padding", "00000000", nil, "1: missing", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			protocol, b := extError{at: 128, structure: extStructure(test.bytes)}.message()
			got, err := matcher.ParseExtensions(protocol, b, false)
			want := matcher.Extensions{Objects: test.want, Offset: 128, Verified: true}
			if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			says := ""
			if err != nil {
				says = strings.TrimPrefix(err.Error(), "matcher: malformed ICMP extension: object ")
			}
			if says != test.problem || err != nil && !errors.Is(err, matcher.ErrExtension) {
				t.Errorf("error %v, want %q", err, test.problem)
			}
			if d := cmp.Diff(test.text, got.String()); d != "" {
				t.Errorf("text (-want +got):\n%s", d)
			}
		})
	}
}

func TestManyObjects(t *testing.T) {
	for _, test := range []struct{ sent, kept int }{{32, 32}, {33, 32}, {400, 32}} {
		protocol, b := extError{at: 128, structure: extStructure(strings.Repeat("00040300", test.sent))}.message()
		got, err := matcher.ParseExtensions(protocol, b, false)
		if len(got.Objects) != test.kept || (err == nil) != (test.sent == test.kept) {
			t.Errorf("%d sent: %d objects, error %v", test.sent, len(got.Objects), err)
		}
	}
}

func TestInterfaceRoles(t *testing.T) {
	var got []string
	for _, r := range []matcher.InterfaceRole{matcher.Incoming, matcher.SubIPComponent, matcher.Outgoing, matcher.NextHop} {
		got = append(got, r.String())
	}
	if d := cmp.Diff([]string{"incoming", "sub-ip-component", "outgoing", "next-hop"}, got); d != "" {
		t.Error(d)
	}
}

func ExampleExtensions_String() {
	_, b := extError{length: 32, at: 128, structure: extStructure("000c 0101 05dc1001 05dc2bfd 0008 0208 00000203")}.message()
	e, err := matcher.ParseExtensions(layers.IPProtocolICMPv4, b, false)
	fmt.Println(e, err)
	// Output: <MPLS:L=24001,E=0,S=0,T=1/L=24002,E=5,S=1,T=253;INC:515> <nil>
}
