package craft_test

import (
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
