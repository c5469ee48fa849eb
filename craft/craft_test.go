package craft_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

var (
	link = craft.Link{
		Src: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		Dst: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	}
	secret = craft.Secret{0x0706050403020100, 0x0f0e0d0c0b0a0908}
)

func probe() craft.Probe {
	return craft.Probe{
		Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.7"),
		TTL: 5, TOS: 0x10, DF: true, ID: 0xbeef, SrcPort: 40000, DstPort: 33434, Length: 60,
	}
}

func newBuilder(t testing.TB, l craft.Link) *craft.Builder {
	t.Helper()
	b, err := craft.NewBuilder(l, secret)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameIsWhatTheProbeSays(t *testing.T) {
	p := probe()
	data, key, err := newBuilder(t, link).Frame(&p)
	if err != nil {
		t.Fatal(err)
	}
	packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
	if e := packet.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	eth := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if eth.SrcMAC.String() != link.Src.String() || eth.DstMAC.String() != link.Dst.String() {
		t.Errorf("MACs %v to %v", eth.SrcMAC, eth.DstMAC)
	}
	ip := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	want := layers.IPv4{
		Version: 4, IHL: 5, TOS: 0x10, Length: 60, Id: 0xbeef, Flags: layers.IPv4DontFragment,
		TTL: 5, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{198, 51, 100, 7},
	}
	ignore := cmpopts.IgnoreFields(layers.IPv4{}, "BaseLayer", "Checksum")
	if d := cmp.Diff(want, *ip, ignore); d != "" {
		t.Error(d)
	}
	udp := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if udp.SrcPort != 40000 || udp.DstPort != 33434 || udp.Length != 40 || uint32(udp.Checksum) != key.Token {
		t.Errorf("UDP header %v, token %#x", udp, key.Token)
	}
}

func TestFrameWithoutLinkHeader(t *testing.T) {
	p := probe()
	data, _, err := newBuilder(t, craft.Link{}).Frame(&p)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != 60 || data[0] != 0x45 {
		t.Errorf("frame is % x", data)
	}
}

func TestIdentityDiffersBetweenProbesAndSecrets(t *testing.T) {
	one := newBuilder(t, link)
	other, err := craft.NewBuilder(link, craft.Secret{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	deltas := map[uint16]int{}
	var last uint16
	for id := range 1000 {
		p := probe()
		p.ID = uint16(id + 1)
		_, key, err := one.Frame(&p)
		if err != nil {
			t.Fatal(err)
		}
		_, foreign, err := other.Frame(&p)
		if err != nil {
			t.Fatal(err)
		}
		if seen[key.Cookie] || foreign.Cookie == key.Cookie {
			t.Fatalf("cookie %#x twice", key.Cookie)
		}
		seen[key.Cookie] = true
		deltas[uint16(key.Token)-last]++
		last = uint16(key.Token)
	}
	for d, n := range deltas {
		if n > 10 {
			t.Errorf("the checksum moves by %d %d times of 1000: it can be guessed", d, n)
		}
	}
}

func TestFrameRefuses(t *testing.T) {
	tests := map[string]func(*craft.Probe){
		"too short for the identity": func(p *craft.Probe) { p.Length = craft.MinLength - 1 },
		"longer than IP allows":      func(p *craft.Probe) { p.Length = 65536 },
		"IPv6":                       func(p *craft.Probe) { p.Dst = netip.IPv6Loopback() },
		"no source":                  func(p *craft.Probe) { p.Src = netip.Addr{} },
		"the zero probe":             func(p *craft.Probe) { *p = craft.Probe{} },
		"a protocol it can't build":  func(p *craft.Probe) { p.Protocol = layers.IPProtocolSCTP },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			p := probe()
			change(&p)
			if _, _, err := newBuilder(t, link).Frame(&p); err == nil {
				t.Error("no error")
			}
		})
	}
}

// Whatever Frame builds, KeyOf reads back, and gopacket decodes with right
// checksums.
func FuzzFrame(f *testing.F) {
	f.Add(uint32(0x01020304), uint8(1), uint8(0), uint16(1), uint16(2), uint16(3), uint16(60), false, uint64(1))
	f.Add(uint32(0xffffffff), uint8(255), uint8(255), uint16(0xffff), uint16(0xffff), uint16(0xffff), uint16(65535), true, uint64(0))
	f.Add(uint32(0), uint8(0), uint8(0), uint16(0), uint16(0), uint16(0), uint16(craft.MinLength), false, uint64(0))
	f.Add(uint32(0x7f000001), uint8(3), uint8(0xb8), uint16(9), uint16(53), uint16(53), uint16(1501), true, uint64(77))
	f.Fuzz(func(t *testing.T, dst uint32, ttl, tos uint8, id, sport, dport, length uint16, df bool, key uint64) {
		b, err := craft.NewBuilder(link, craft.Secret{key, ^key})
		if err != nil {
			t.Fatal(err)
		}
		p := craft.Probe{
			Src: netip.MustParseAddr("192.0.2.1"), Dst: addr4(dst), TTL: ttl, TOS: tos, DF: df,
			ID: id, SrcPort: sport, DstPort: dport, Length: max(int(length), craft.MinLength),
		}
		first, firstKey, err := b.Frame(&p)
		if err != nil {
			t.Fatal(err)
		}
		first = append([]byte(nil), first...)
		if len(first) != max(14+p.Length, 60) { // Ethernet pads
			t.Fatalf("%d bytes for a packet of %d", len(first), p.Length)
		}
		again, _, _ := b.Frame(&p)
		if d := cmp.Diff(first, again); d != "" {
			t.Fatal("a second build differs", d)
		}
		got, err := craft.KeyOf(first[14:])
		if err != nil || got != firstKey {
			t.Fatalf("KeyOf gives %+v, %v; Frame said %+v", got, err, firstKey)
		}
		checkSums(t, first)
	})
}

func checkSums(t *testing.T, data []byte) {
	t.Helper()
	var (
		eth  layers.Ethernet
		ip   layers.IPv4
		udp  layers.UDP
		seen []gopacket.LayerType
	)
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip, &udp)
	parser.IgnoreUnsupported = true
	if err := parser.DecodeLayers(data, &seen); err != nil || len(seen) < 3 || parser.Truncated {
		t.Fatalf("decodes to %v, truncated %v, %v", seen, parser.Truncated, err)
	}
	if s := sum16(ip.Contents); s != 0xffff {
		t.Errorf("IP header sums to %#x", s)
	}
	pseudo := append(append([]byte{}, ip.SrcIP...), ip.DstIP...)
	pseudo = append(pseudo, 0, 17)
	pseudo = binary.BigEndian.AppendUint16(pseudo, udp.Length)
	if s := sum16(append(append(pseudo, udp.Contents...), udp.Payload...)); s != 0xffff || udp.Checksum == 0 {
		t.Errorf("UDP sums to %#x with checksum %#x", s, udp.Checksum)
	}
}

// sum16 is the plainest form of RFC 1071's sum.
func sum16(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b[:len(b):len(b)], 0)
	}
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func TestFrameAllocatesNothing(t *testing.T) {
	b, p := newBuilder(t, link), probe()
	if n := testing.AllocsPerRun(1000, func() { b.Frame(&p); p.ID++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFrame(b *testing.B) {
	builder, p := newBuilder(b, link), probe()
	b.ReportAllocs()
	for b.Loop() {
		p.ID++
		if _, _, err := builder.Frame(&p); err != nil {
			b.Fatal(err)
		}
	}
}
