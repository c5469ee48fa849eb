package craft_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// families are one probe of every kind.
var families = []struct {
	name  string
	probe craft.Probe
	link  craft.Link
}{
	{name: "UDP over IPv4", probe: probe()},
	{name: "UDP over IPv6", probe: probe6(0)},
	{name: "DNS over IPv4", probe: with(probe(), asDNS)},
	{name: "DNS over IPv6", probe: with(probe6(0), asDNS)},
	{name: "echo over IPv4", probe: with(probe(), over(layers.IPProtocolICMPv4))},
	{name: "echo over IPv6", probe: probe6(layers.IPProtocolICMPv6)},
	{name: "plain SYN over IPv4", probe: with(probe(), over(layers.IPProtocolTCP), shortest)},
	{name: "SYN with all options over IPv4", probe: with(probe(), over(layers.IPProtocolTCP), shortest, asConnect)},
	{name: "SYN with all options over IPv6", probe: with(probe6(layers.IPProtocolTCP), asConnect)},
	{name: "SYN with SACK permitted and data", probe: with(probe(), over(layers.IPProtocolTCP), func(p *craft.Probe) {
		p.TCP, p.Length = craft.TCP{SACK: true}, 47
	})},
	{name: "ACK with timestamps over IPv6", probe: with(probe6(layers.IPProtocolTCP), func(p *craft.Probe) {
		p.TCP = craft.TCP{Flags: craft.FlagACK, Timestamps: true}
	})},
	{name: "UDP through gateways", probe: with(probe(), routed("203.0.113.9", "203.0.113.17"))},
	{name: "SYN through one gateway", probe: with(probe(), over(layers.IPProtocolTCP), shortest, routed("203.0.113.9"))},
	{name: "UDP-Lite over IPv4", probe: with(probe(), over(layers.IPProtocolUDPLite))},
	{name: "UDP-Lite over IPv6", probe: probe6(layers.IPProtocolUDPLite)},
	{name: "UDP over IPv6 with a VLAN tag", probe: probe6(0), link: tagged},
}

var tagged = craft.Link{Src: link.Src, Dst: link.Dst, VLAN: 0x123, Priority: 5}

// linkOf is the link header of a family's frame: Ethernet's, if it names none.
func linkOf(l craft.Link) craft.Link {
	if l.Src == nil {
		return link
	}
	return l
}

func probe6(protocol layers.IPProtocol) craft.Probe {
	p := craft.Probe{
		Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8:7::7"), Protocol: protocol,
		TTL: 5, TOS: 0xb9, FlowLabel: 0xabcde, ID: 0xbeef, SrcPort: 40000, DstPort: 33434,
	}
	return p
}

func with(p craft.Probe, changes ...func(*craft.Probe)) craft.Probe {
	for _, change := range changes {
		change(&p)
	}
	return p
}

func over(protocol layers.IPProtocol) func(*craft.Probe) {
	return func(p *craft.Probe) { p.Protocol = protocol }
}

func shortest(p *craft.Probe) { p.Length = 0 }

func asDNS(p *craft.Probe) { p.Length, p.DstPort, p.Payload = 0, 53, craft.DNSQuery }

func asConnect(p *craft.Probe) {
	p.DstPort = 443
	p.TCP = craft.TCP{
		Flags: craft.FlagSYN | craft.FlagECE | craft.FlagCWR,
		MSS:   1460, SACK: true, Timestamps: true, Scaling: true, Scale: 7,
	}
}

func routed(gateways ...string) func(*craft.Probe) {
	var all []netip.Addr
	for _, g := range gateways {
		all = append(all, netip.MustParseAddr(g))
	}
	r, err := craft.NewRoute(all...)
	if err != nil {
		panic(err)
	}
	return func(p *craft.Probe) { p.Route = r }
}

func frameOf(t testing.TB, b *craft.Builder, p craft.Probe) ([]byte, craft.Key) {
	t.Helper()
	data, key, err := b.Frame(&p)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), data...), key
}

// familyBytes are the frames of the families, as tshark reads them too: link header,
// IP header, transport header and payload.
var familyBytes = map[string]string{
	"UDP over IPv4": `
		020000000002 020000000001 0800
		4510003cbeef40000511ca75 c0000201 c6336407
		9c40829a 00284b35 3ccf ec565611dee1ab8d 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
	"UDP over IPv6": `
		020000000002 020000000001 86dd
		6b9abcde00281105 20010db8000000000000000000000001 20010db8000700000000000000000007
		9c40829a 00288a1c 75e8 35d6bc8ecf5223db 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
	"DNS over IPv4": `
		020000000002 020000000001 0800
		4510002dbeef40000511ca84 c0000201 c6336407
		9c400035 0019f653 7cb5 0100000100000000 0000000002000100`,
	"DNS over IPv6": `
		020000000002 020000000001 86dd
		6b9abcde00191105 20010db8000000000000000000000001 20010db8000700000000000000000007
		9c400035 00190a6d f957 0100000100000000 00000000020001`,
	"echo over IPv4": `
		020000000002 020000000001 0800
		4510003cbeef40000501ca85 c0000201 c6336407
		0800f493 9c40744e 1530 13fc7864d40fdd91 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
	"echo over IPv6": `
		020000000002 020000000001 86dd
		6b9abcde00283a05 20010db8000000000000000000000001 20010db8000700000000000000000007
		8000b23d 9c401881 ef74 0459dfa7d60273f9 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
	"plain SYN over IPv4": `
		020000000002 020000000001 0800
		45100028beef40000506ca94 c0000201 c6336407
		9c40829a e083991b 00000000 5002faf0303b0000 000000000000`,
	"SYN with all options over IPv4": `
		020000000002 020000000001 0800
		4510003cbeef40000506ca80 c0000201 c6336407
		9c4001bb ddf01827 00000000 a0c2faf0e89a0000 020405b40402080a47db9b890000000001030307`,
	"SYN with all options over IPv6": `
		020000000002 020000000001 86dd
		6b9abcde00280605 20010db8000000000000000000000001 20010db8000700000000000000000007
		9c4001bb c3c513b1 00000000 a0c2faf0509b0000 020405b40402080aa6c683fa0000000001030307`,
	"SYN with SACK permitted and data": `
		020000000002 020000000001 0800
		4510002fbeef40000506ca8d c0000201 c6336407
		9c40829a e083991b 00000000 6002faf098ef0000 01010402 404142`,
	"ACK with timestamps over IPv6": `
		020000000002 020000000001 86dd
		6b9abcde00200605 20010db8000000000000000000000001 20010db8000700000000000000000007
		9c40829a ce808892 ce808892 8010faf028890000 0101080aa6c683fa00000000`,
	"UDP through gateways": `
		020000000002 020000000001 0800
		4810003cbeef4000051142d2 c0000201 cb007109 01830b04cb007111c6336407
		9c40829a 001c4b35 5505 ec565611dee1ab8d 4a4b4c4d4e4f50515253`,
	"SYN through one gateway": `
		020000000002 020000000001 0800
		47100030beef4000050683fb c0000201 cb007109 01830704c6336407
		9c40829a e083991b 00000000 5002faf0303b0000`,
	"UDP-Lite over IPv4": `
		020000000002 020000000001 0800
		4510003cbeef40000588c9fe c0000201 c6336407
		9c40829a 0000ad2c 59b7 800faa25695eba15 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
	"UDP-Lite over IPv6": `
		020000000002 020000000001 86dd
		6b9abcde00288805 20010db8000000000000000000000001 20010db8000700000000000000000007
		9c40829a 00003b12 19b3 83a8703498b903ed 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
	"UDP over IPv6 with a VLAN tag": `
		020000000002 020000000001 8100 a123 86dd
		6b9abcde00281105 20010db8000000000000000000000001 20010db8000700000000000000000007
		9c40829a 00288a1c 75e8 35d6bc8ecf5223db 4a4b4c4d4e4f505152535455565758595a5b5c5d5e5f`,
}

func TestFrameBytes(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			data, _ := frameOf(t, newBuilder(t, linkOf(f.link)), f.probe)
			want := strings.Join(strings.Fields(familyBytes[f.name]), "")
			if d := cmp.Diff(want, hex.EncodeToString(data)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A Builder goes from one kind of probe to another and back without a trace of
// what it built before.
func TestBuilderForgetsOtherFamilies(t *testing.T) {
	shared := newBuilder(t, link)
	for _, f := range append(families[:len(families):len(families)], families...) {
		if f.link.Src != nil {
			continue
		}
		got, key := frameOf(t, shared, f.probe)
		want, wantKey := frameOf(t, newBuilder(t, link), f.probe)
		if d := cmp.Diff(want, got); d != "" || key != wantKey {
			t.Errorf("%s: key %+v, alone %+v (-alone +shared):\n%s", f.name, key, wantKey, d)
		}
	}
}

// Neither building a probe that differs in no more than trace's probes do nor
// going from one port to the next builds a template anew.
func TestFrameAllocatesNothing(t *testing.T) {
	for _, f := range families {
		b, p := newBuilder(t, linkOf(f.link)), f.probe
		n := testing.AllocsPerRun(1000, func() {
			b.Frame(&p)
			p.ID++
			p.TTL++
			p.SrcPort++
			p.DstPort++
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", f.name, n)
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	for _, f := range families {
		b.Run(f.name, func(b *testing.B) {
			builder, p := newBuilder(b, linkOf(f.link)), f.probe
			b.ReportAllocs()
			for b.Loop() {
				p.ID++
				if _, _, err := builder.Frame(&p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
