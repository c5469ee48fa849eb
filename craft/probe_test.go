package craft_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

func TestFrameRefuses(t *testing.T) {
	overTCP := over(layers.IPProtocolTCP)
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	tests := map[string]craft.Probe{
		"too short for the identity":  with(probe(), func(p *craft.Probe) { p.Length = craft.MinLength - 1 }),
		"negative length":             with(probe(), func(p *craft.Probe) { p.Length = -1 }),
		"too short for IPv6":          with(probe6(0), func(p *craft.Probe) { p.Length = 57 }),
		"too short for its route":     with(probe(), routed("203.0.113.9"), func(p *craft.Probe) { p.Length = 45 }),
		"too short for its options":   with(probe(), overTCP, asConnect, func(p *craft.Probe) { p.Length = 59 }),
		"longer than IPv4 allows":     with(probe(), func(p *craft.Probe) { p.Length = 65536 }),
		"longer than IPv6 allows":     with(probe6(0), func(p *craft.Probe) { p.Length = 65576 }),
		"from IPv4 to IPv6":           with(probe(), func(p *craft.Probe) { p.Dst = netip.IPv6Loopback() }),
		"from IPv6 to IPv4":           with(probe(), func(p *craft.Probe) { p.Src = netip.IPv6Loopback() }),
		"IPv4 in IPv6":                with(probe6(0), func(p *craft.Probe) { p.Dst = mapped }),
		"no source":                   with(probe(), func(p *craft.Probe) { p.Src = netip.Addr{} }),
		"the zero probe":              {},
		"a protocol it can't build":   with(probe(), over(layers.IPProtocolSCTP)),
		"ICMP over IPv6":              probe6(layers.IPProtocolICMPv4),
		"ICMPv6 over IPv4":            with(probe(), over(layers.IPProtocolICMPv6)),
		"flow label of 21 bits":       with(probe6(0), func(p *craft.Probe) { p.FlowLabel = 1 << 20 }),
		"flow label over IPv4":        with(probe(), func(p *craft.Probe) { p.FlowLabel = 1 }),
		"source route over IPv6":      with(probe6(0), routed("203.0.113.9")),
		"payload over TCP":            with(probe(), overTCP, asDNS),
		"payload of one byte":         with(probe(), shortest, func(p *craft.Probe) { p.Payload = "x" }),
		"length besides a payload":    with(probe(), asDNS, func(p *craft.Probe) { p.Length = 60 }),
		"TCP options over UDP":        with(probe(), asConnect),
		"window scale of 15":          with(probe(), overTCP, func(p *craft.Probe) { p.TCP = craft.TCP{Scaling: true, Scale: 15} }),
		"window scale without option": with(probe(), overTCP, func(p *craft.Probe) { p.TCP = craft.TCP{Scale: 1} }),
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(t, link)
			good := probe()
			want, _ := frameOf(t, b, good)
			if _, _, err := b.Frame(&p); !errors.Is(err, craft.ErrProbe) {
				t.Errorf("error %v", err)
			}
			got, _ := frameOf(t, b, good)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("and spoils the probe after it:\n%s", d)
			}
		})
	}
}

func TestNewBuilderRefuses(t *testing.T) {
	tests := map[string]craft.Link{
		"half an Ethernet link":   {Src: link.Src},
		"a MAC of eight bytes":    {Src: link.Src, Dst: net.HardwareAddr{1, 2, 3, 4, 5, 6, 7, 8}},
		"the reserved VLAN":       {Src: link.Src, Dst: link.Dst, VLAN: 4095},
		"priority 8":              {Src: link.Src, Dst: link.Dst, Priority: 8},
		"a tag but no link layer": {VLAN: 7},
	}
	for name, l := range tests {
		if _, err := craft.NewBuilder(l, secret); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// MinLength is what Frame accepts and one less is not; DefaultLength is what
// Frame builds.
func TestLengths(t *testing.T) {
	tests := []struct {
		name         string
		probe        craft.Probe
		least, usual int
	}{
		{"UDP over IPv4", probe(), 38, 60},
		{"UDP over IPv6", probe6(0), 58, 80},
		{"echo over IPv4", with(probe(), over(layers.IPProtocolICMPv4)), 38, 60},
		{"echo over IPv6", probe6(layers.IPProtocolICMPv6), 58, 80},
		{"SYN over IPv4", with(probe(), over(layers.IPProtocolTCP)), 40, 40},
		{"SYN over IPv6", probe6(layers.IPProtocolTCP), 60, 60},
		{"SYN with options", with(probe6(layers.IPProtocolTCP), asConnect), 80, 80},
		{"DNS over IPv4", with(probe(), asDNS), 45, 45},
		{"UDP through a gateway", with(probe(), routed("203.0.113.9")), 46, 60},
		{"UDP through as many as can be", with(probe(), routed("1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4",
			"5.5.5.5", "6.6.6.6", "7.7.7.7", "8.8.8.8", "9.9.9.9")), 78, 78},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := test.probe
			if p.MinLength() != test.least || p.DefaultLength() != test.usual {
				t.Errorf("lengths from %d, %d by default; want %d, %d", p.MinLength(), p.DefaultLength(), test.least, test.usual)
			}
			b := newBuilder(t, craft.Link{})
			for given, want := range map[int]int{0: test.usual, test.least: test.least} {
				p.Length = given
				if data, _ := frameOf(t, b, p); len(data) != want {
					t.Errorf("length %d makes %d bytes, want %d", given, len(data), want)
				}
			}
		})
	}
}

// A zone is of this host: it is not on the wire, and so in no Key.
func TestKeyHasNoZone(t *testing.T) {
	p := probe6(0)
	p.Dst = netip.MustParseAddr("fe80::7%eth0")
	if _, key := frameOf(t, newBuilder(t, link), p); key.Dst != netip.MustParseAddr("fe80::7") {
		t.Errorf("the destination is %v", key.Dst)
	}
}

func TestPriorityTag(t *testing.T) {
	data, _ := frameOf(t, newBuilder(t, craft.Link{Src: link.Src, Dst: link.Dst, Priority: 6}), probe())
	if d := cmp.Diff([]byte{0x81, 0x00, 0xc0, 0x00, 0x08, 0x00}, data[12:18]); d != "" {
		t.Errorf("behind the MACs (-want +got):\n%s", d)
	}
}
