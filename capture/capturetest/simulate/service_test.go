package simulate_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

func serving(t *testing.T, s topology.Service) *simulate.Network {
	return network(t, chain(func(c *topology.Topology) { c.Destinations[0].Service = s }))
}

func TestUDPServices(t *testing.T) {
	tests := []struct {
		name    string
		service topology.UDPService
		port    uint16
		what    [2]string
	}{
		{"closed", "", 33434, [2]string{"3/3", "1/4"}},
		{"echo", topology.UDPEcho, 33434, [2]string{"udp", "udp"}},
		{"nothing", topology.UDPNothing, 33434, [2]string{}},
		{"DNS on another port", topology.UDPDNS, 33434, [2]string{"3/3", "1/4"}},
		{"no DNS query", topology.UDPDNS, 53, [2]string{"udp", "udp"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				data := []byte("this is no DNS header but long enough to be one")
				data[2] = 0 // a query
				got := carry(t, serving(t, topology.Service{UDP: test.service}), probe{v6: v6, dst: test.port, data: data})
				what := test.what[pick(v6, 0, 1)]
				if what == "" {
					if len(got) != 0 {
						t.Errorf("%+v", replies(got))
					}
					return
				}
				if diff := cmp.Diff([]reply{{pick(v6, dest4, dest6), what, 61}}, replies(got)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if test.service == topology.UDPEcho && !bytes.Equal(got[0].payload, data) {
					t.Errorf("echoes %q", got[0].payload)
				}
			})
		})
	}
}

func TestUDPChecksumIsNeverZero(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := serving(t, topology.Service{UDP: topology.UDPEcho})
		check := func(data []byte) []byte {
			t.Helper()
			back := n.Carry(0, probe{v6: v6, data: data}.bytes(t), nil)
			if len(back) != 1 {
				t.Fatal(n.Stats().Reason)
			}
			return back[0].IP[pick(v6, 26, 46):][:2]
		}
		missing := check([]byte{0, 0}) // to a sum of 0xffff
		if got := check(missing); !bytes.Equal(got, []byte{0xff, 0xff}) {
			t.Errorf("checksum %x, want ffff", got)
		}
	})
}

func TestDNS(t *testing.T) {
	const question = "03777777076578616d706c6503636f6d00" + "00010001"
	tests := []struct{ name, query, want string }{
		{"a name", "beef" + "0100" + "0001000000000000" + question, "beef" + "8183" + "0001000000000000" + question},
		{"with EDNS", "beef" + "0100" + "0001000000000001" + question + "0000291000000000000000", "beef" + "8183" + "0001000000000000" + question},
		{"no recursion desired", "beef" + "0000" + "0001000000000000" + question, "beef" + "8083" + "0001000000000000" + question},
		{"two questions", "beef" + "0100" + "0002000000000000" + question + question, "beef" + "8181" + "0000000000000000"},
		{"a cut question", "beef" + "0100" + "0001000000000000" + question[:40], "beef" + "8181" + "0000000000000000"},
		{"a compressed name", "beef" + "0100" + "0001000000000000" + "c00c00010001", "beef" + "8181" + "0000000000000000"},
		{"an update", "beef" + "2800" + "0001000000000000" + question, "beef" + "a884" + "0000000000000000"},
		{"a response", "beef" + "8100" + "0001000000000000" + question, ""},
		{"cut", "beef0100", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				data, err := hex.DecodeString(test.query)
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				for _, d := range carry(t, serving(t, topology.Service{UDP: topology.UDPDNS}), probe{v6: v6, dst: 53, data: data}) {
					got = hex.EncodeToString(d.payload)
				}
				if got != test.want {
					t.Errorf("answers %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestTCP(t *testing.T) {
	const seq, ack = 1000, 2000
	service := topology.Service{Open: []uint16{443}}
	filtered := topology.Service{Open: []uint16{443}, Filtered: true}
	tests := []struct {
		name    string
		service topology.Service
		port    uint16
		tcp     layers.TCP
		size    int
		what    string
		ack     uint32 // of the answer
		seq     uint32 // of a reset
	}{
		{"SYN to an open port", service, 443, layers.TCP{SYN: true}, -1, "SYN ACK", seq + 1, 0},
		{"SYN with data", service, 443, layers.TCP{SYN: true}, 10, "SYN ACK", seq + 1, 0},
		{"SYN to a closed port", service, 80, layers.TCP{SYN: true}, -1, "RST ACK", seq + 1, 0},
		{"SYN with data to a closed port", service, 80, layers.TCP{SYN: true}, 10, "RST ACK", seq + 11, 0},
		{"FIN to a closed port", service, 80, layers.TCP{FIN: true}, -1, "RST ACK", seq + 1, 0},
		{"ACK to a closed port", service, 80, layers.TCP{ACK: true, Ack: ack}, -1, "RST", 0, ack},
		{"ACK to an open port", service, 443, layers.TCP{ACK: true, Ack: ack}, -1, "RST", 0, ack},
		{"SYN-ACK to an open port", service, 443, layers.TCP{SYN: true, ACK: true, Ack: ack}, -1, "RST", 0, ack},
		{"FIN to an open port", service, 443, layers.TCP{FIN: true}, -1, "", 0, 0},
		{"RST to a closed port", service, 80, layers.TCP{RST: true}, -1, "", 0, 0},
		{"SYN to a filtered port", filtered, 80, layers.TCP{SYN: true}, -1, "", 0, 0},
		{"SYN to the open one of the filtered", filtered, 443, layers.TCP{SYN: true}, -1, "SYN ACK", seq + 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				test.tcp.Seq = seq
				back := carry(t, serving(t, test.service), probe{v6: v6, tcp: &test.tcp, dst: test.port, size: test.size})
				if test.what == "" {
					if len(back) != 0 {
						t.Errorf("%+v", replies(back))
					}
					return
				}
				d := back[0]
				if diff := cmp.Diff(reply{pick(v6, dest4, dest6), test.what, 61}, d.reply); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if d.tcp.Ack != test.ack || d.tcp.RST && d.tcp.Seq != test.seq || d.tcp.SrcPort != layers.TCPPort(test.port) || d.tcp.DstPort != srcPort {
					t.Errorf("%+v", d.tcp)
				}
			})
		})
	}
}

func TestSYNACKTakesUpTheOptionsOffered(t *testing.T) {
	type option = layers.TCPOption
	mss := option{OptionType: layers.TCPOptionKindMSS, OptionData: []byte{5, 180}}
	sack := option{OptionType: layers.TCPOptionKindSACKPermitted}
	stamps := option{OptionType: layers.TCPOptionKindTimestamps, OptionData: []byte{1, 2, 3, 4, 0, 0, 0, 0}}
	scale := option{OptionType: layers.TCPOptionKindWindowScale, OptionData: []byte{5}}
	for _, test := range []struct {
		offered []option
		want    []layers.TCPOptionKind
	}{
		{nil, []layers.TCPOptionKind{2}},
		{[]option{mss}, []layers.TCPOptionKind{2}},
		{[]option{mss, sack, stamps, scale}, []layers.TCPOptionKind{2, 4, 8, 3}},
		{[]option{stamps, scale}, []layers.TCPOptionKind{2, 8, 3}},
		{[]option{sack, sack, sack, sack, sack, sack}, []layers.TCPOptionKind{2, 4}},
	} {
		families(t, func(t *testing.T, v6 bool) {
			d := one(t, serving(t, topology.Service{Open: []uint16{443}}), probe{v6: v6, dst: 443, size: -1, tcp: &layers.TCP{SYN: true, Options: test.offered}})
			var got []layers.TCPOptionKind
			for _, o := range d.tcp.Options {
				if o.OptionType > layers.TCPOptionKindNop {
					got = append(got, o.OptionType)
				}
				if o.OptionType == layers.TCPOptionKindTimestamps && !bytes.Equal(o.OptionData[4:], stamps.OptionData[:4]) {
					t.Errorf("timestamps %x", o.OptionData)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSYNACKsAreAlike(t *testing.T) {
	n := serving(t, topology.Service{Open: []uint16{443}})
	p := probe{dst: 443, tcp: &layers.TCP{SYN: true, Seq: 7}}
	if a, b := one(t, n, p), one(t, n, p); a.tcp.Seq != b.tcp.Seq {
		t.Errorf("sequence numbers %d and %d for the same SYN", a.tcp.Seq, b.tcp.Seq)
	}
}

func TestEcho(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		p := probe{v6: v6, echo: true, src: 77, dst: 3, tos: 0x20}
		d := one(t, network(t, chain(nil)), p)
		if diff := cmp.Diff(reply{pick(v6, dest4, dest6), pick(v6, "0/0", "129/0"), 61}, d.reply); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if sent := p.bytes(t)[pick(v6, 20, 40):]; !bytes.Equal(d.icmp[4:], sent[4:]) || d.tos != 0x20 {
			t.Errorf("reply %x to %x, TOS %#x", d.icmp, sent, d.tos)
		}
		if back := carry(t, serving(t, topology.Service{NoEcho: true}), p); len(back) != 0 {
			t.Errorf("%+v", replies(back))
		}
	})
}

func TestRoutersAnswerForThemselves(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) { c.Routers[1].Reject = &topology.Reject{Code: 13} }))
		to := pick(v6, hops4, hops6)[1]
		got := carry(t, n,
			probe{v6: v6, to: to, ttl: 2}, probe{v6: v6, to: to, echo: true}, probe{v6: v6, to: to, tcp: &layers.TCP{SYN: true}},
			probe{v6: v6, to: pick(v6, hops4, hops6)[2], ttl: 9})
		want := []reply{
			{to, pick(v6, "3/3", "1/4"), 63}, {to, pick(v6, "0/0", "129/0"), 63}, {to, "RST ACK", 63},
			{to, pick(v6, "3/13", "1/1"), 63},
		}
		if diff := cmp.Diff(want, replies(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestOtherProtocols(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		ip := probe{v6: v6}.bytes(t)
		ip[pick(v6, 9, 6)] = 132
		if !v6 {
			ip[10], ip[11] = 0, 0
			sum := ^ones(ip[:20])
			ip[10], ip[11] = byte(sum>>8), byte(sum)
		}
		back := network(t, chain(nil)).Carry(0, ip, nil)
		if len(back) != 1 {
			t.Fatal(back)
		}
		d := decode(t, back[0])
		if d.What != pick(v6, "3/2", "4/1") || v6 && !bytes.Equal(d.icmp[4:8], []byte{0, 0, 0, 6}) {
			t.Errorf("%+v: %x", d.reply, d.icmp)
		}
	})
}

const dest6Hex = "20010db8ffff00000000000000000007"

func TestChecksumsCoverTheLastDestination(t *testing.T) {
	header, err := hex.DecodeString("1102040100000000" + dest6Hex)
	if err != nil {
		t.Fatal(err)
	}
	ip := probe{v6: true}.bytes(t)
	ip = append(append(bytes.Clone(ip[:40]), header...), ip[40:]...)
	ip[6], ip[5] = 43, ip[5]+byte(len(header))
	copy(ip[24:], netip.MustParseAddr(hops6[1]).AsSlice()) // by way of which it goes
	n := network(t, chain(nil))
	if back := n.Carry(0, ip, nil); len(back) != 1 {
		t.Errorf("%d answers; %v", len(back), n.Stats().Reason)
	}
}

// TestIPv6ExtensionHeaders puts headers before a probe.
func TestIPv6ExtensionHeaders(t *testing.T) {
	for name, test := range map[string]struct {
		headers string // the first one's type is next's
		next    byte
		want    string
	}{
		"hop by hop":         {"1100010400000000", 0, "1/4"},
		"two, one long":      {"3c00010400000000" + "1101010c000000000000000000000000", 0, "1/4"},
		"authentication":     {"11040000000000010000000100000000000000000000000000", 51, "1/4"},
		"routing":            {"1102040000000000" + dest6Hex, 43, "1/4"},
		"a fragment, whole":  {"1100000012345678", 44, "1/4"},
		"the first fragment": {"1100000112345678", 44, ""},
		"a later fragment":   {"1100010112345678", 44, ""},
		"an unknown option":  {"1100c00400000000", 60, "1/4"},
	} {
		t.Run(name, func(t *testing.T) {
			headers, err := hex.DecodeString(strings.TrimSuffix(test.headers, "00"))
			if err != nil {
				t.Fatal(err)
			}
			if name != "authentication" {
				headers, _ = hex.DecodeString(test.headers)
			}
			ip := probe{v6: true}.bytes(t)
			ip = append(append(bytes.Clone(ip[:40]), headers...), ip[40:]...)
			ip[6], ip[5] = test.next, ip[5]+byte(len(headers))
			n := network(t, chain(nil))
			var got string
			for _, a := range n.Carry(0, ip, nil) {
				d := decode(t, a)
				got = d.What
				if !bytes.Equal(d.quote(t)[8:], ip[8:]) {
					t.Errorf("quote %x of %x", d.quote(t), ip)
				}
			}
			if got != test.want || n.Stats().Malformed != 0 {
				t.Errorf("drew %q, want %q; %v", got, test.want, n.Stats().Reason)
			}
			ip[7] = 2
			if back := n.Carry(0, ip, nil); len(back) != pick(name == "a later fragment", 1, 0) {
				t.Errorf("expiring on the way it drew %d answers", len(back))
			}
		})
	}
}

func TestNoErrorsAboutErrors(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		for _, typ := range pick(v6, []byte{3, 4, 5, 11, 12}, []byte{1, 2, 3, 4, 100, 137}) {
			ip := probe{v6: v6, ttl: 2, echo: true}.bytes(t)
			icmp := ip[pick(v6, 20, 40):]
			old := uint16(icmp[0]) << 8
			icmp[0] = typ
			sum := uint32(^(uint16(icmp[2])<<8 | uint16(icmp[3]))) + uint32(^old) + uint32(typ)<<8
			for sum > 0xffff {
				sum = sum>>16 + sum&0xffff
			}
			icmp[2], icmp[3] = byte(^sum>>8), byte(^sum)
			n := network(t, chain(nil))
			if back := n.Carry(0, ip, nil); len(back) != 0 || n.Stats().Malformed != 0 {
				t.Errorf("type %d draws %d answers; %v", typ, len(back), n.Stats().Reason)
			}
		}
	})
}

func TestFragments(t *testing.T) {
	n := network(t, chain(nil))
	for _, test := range []struct {
		flags byte
		ttl   uint8
		want  int
	}{{0x20, 2, 1}, {0x01, 2, 0}, {0x20, 9, 0}, {0x01, 9, 0}} {
		ip := probe{ttl: test.ttl}.bytes(t)
		ip[6] = test.flags
		ip[10], ip[11] = 0, 0
		sum := ^ones(ip[:20])
		ip[10], ip[11] = byte(sum>>8), byte(sum)
		if back := n.Carry(0, ip, nil); len(back) != test.want {
			t.Errorf("%+v draws %d answers", test, len(back))
		}
	}
	if got := n.Stats().Fragments; got != 2 {
		t.Errorf("%d fragments came to the destination", got)
	}
}
