package craft_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// anyProbe is a probe that can be built, whatever the numbers are.
func anyProbe(is6 bool, protocol, choice uint8, seed uint64, length uint16) craft.Probe {
	rng := rand.New(rand.NewPCG(seed, seed>>7))
	p := craft.Probe{
		Src: anyAddr(rng, is6), Dst: anyAddr(rng, is6), TTL: uint8(rng.Uint32()), TOS: uint8(rng.Uint32()),
		ID: uint16(rng.Uint32()), SrcPort: uint16(rng.Uint32()), DstPort: uint16(rng.Uint32()), DF: choice&1 != 0,
		Protocol: []layers.IPProtocol{0, layers.IPProtocolUDP, layers.IPProtocolTCP, layers.IPProtocolICMPv4, layers.IPProtocolUDPLite}[protocol%5],
	}
	switch {
	case !is6:
		p.Route = anyRoute(rng, choice)
	case p.Protocol == layers.IPProtocolICMPv4:
		p.Protocol = layers.IPProtocolICMPv6
	}
	if is6 {
		p.FlowLabel = rng.Uint32() & 0xfffff
	}
	p.Epoch, p.Flow = rng.Uint32()>>16, uint16(rng.Uint32())
	switch {
	case p.Protocol == layers.IPProtocolTCP:
		p.TCP = anyTCP(rng, choice)
	case choice&2 != 0 && (p.Protocol == 0 || p.Protocol == layers.IPProtocolUDP):
		p.Payload, p.DstPort = anyPayload(rng, length), 53
		return p
	}
	if length != 0 {
		p.Length = max(int(length), p.MinLength())
	}
	return p
}

func anyAddr(rng *rand.Rand, is6 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], rng.Uint64()|1<<63)
	binary.BigEndian.PutUint64(b[8:], rng.Uint64())
	if is6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

func anyRoute(rng *rand.Rand, choice uint8) craft.Route {
	var all []netip.Addr
	for range int(choice>>2) % (craft.MaxGateways + 1) {
		all = append(all, anyAddr(rng, false))
	}
	r, err := craft.NewRoute(all...)
	if err != nil {
		panic(err)
	}
	return r
}

func anyTCP(rng *rand.Rand, choice uint8) craft.TCP {
	t := craft.TCP{
		Flags: craft.TCPFlags(rng.Uint32()), SACK: choice&2 != 0, Timestamps: choice&4 != 0, Scaling: choice&8 != 0,
	}
	if choice&16 != 0 {
		t.MSS = uint16(rng.Uint32())
	}
	if t.Scaling {
		t.Scale = uint8(rng.IntN(15))
	}
	return t
}

func anyPayload(rng *rand.Rand, length uint16) string {
	b := make([]byte, 2+length%1400)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	if length&1 == 0 {
		return craft.DNSQuery
	}
	return string(b)
}

// Whatever Frame builds, KeyOf reads back, and gopacket decodes with right
// checksums.
func FuzzFrame(f *testing.F) {
	for i := range uint8(64) {
		for _, length := range []uint16{0, 1, 60, 1501, 65535} {
			f.Add(i&1 != 0, i>>1, i*37, uint64(i)<<32|uint64(length), length)
		}
	}
	f.Fuzz(func(t *testing.T, is6 bool, protocol, choice uint8, seed uint64, length uint16) {
		b, err := craft.NewBuilder(link, craft.Secret{seed, ^seed})
		if err != nil {
			t.Fatal(err)
		}
		p := anyProbe(is6, protocol, choice, seed, length)
		other := p
		other.TTL, other.ID, other.SrcPort, other.DstPort = ^p.TTL, ^p.ID, ^p.SrcPort, ^p.DstPort
		other.Epoch, other.Flow = ^p.Epoch, ^p.Flow
		if is6 {
			other.FlowLabel = p.FlowLabel ^ 0xfffff
		}
		frameOf(t, b, other) // p's frame is made of its
		data, key := frameOf(t, b, p)
		again, _ := frameOf(t, newKeyed(t, seed), p)
		if !bytes.Equal(again, data) {
			t.Fatalf("a second build differs:\n%x\n%x", again, data)
		}
		got, err := craft.KeyOf(data[14:])
		if err != nil || got != key {
			t.Fatalf("KeyOf gives %+v, %v; Frame said %+v", got, err, key)
		}
		if got.Dst != p.Dst || got.SrcPort != p.SrcPort || !is6 && got.ID != p.ID {
			t.Fatalf("key %+v of %+v", got, p)
		}
		n := p.Length
		if n == 0 {
			n = p.DefaultLength()
		}
		if len(data) != max(14+n, 60) { // Ethernet pads
			t.Fatalf("%d bytes for a packet of %d", len(data), n)
		}
		checkSums(t, data, &p)
	})
}

func newKeyed(t *testing.T, seed uint64) *craft.Builder {
	b, err := craft.NewBuilder(link, craft.Secret{seed, ^seed})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkSums checks what gopacket makes of a frame: the header of IPv4 and the
// transport packet must add up.
func checkSums(t *testing.T, data []byte, p *craft.Probe) {
	t.Helper()
	packet := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
	network := packet.NetworkLayer()
	if network == nil {
		t.Fatalf("gopacket finds %v", packet)
	}
	if ip, ok := network.(*layers.IPv4); ok && sum16(ip.Contents) != 0xffff {
		t.Errorf("IP header sums to %#x", sum16(ip.Contents))
	}
	protocol := p.Protocol
	if protocol == 0 {
		protocol = layers.IPProtocolUDP
	}
	layer := packet.Layer(protocol.LayerType())
	if layer == nil {
		t.Fatalf("gopacket finds no %v in %v", protocol, packet)
	}
	whole := append(append([]byte{}, layer.LayerContents()...), layer.LayerPayload()...)
	if udp, ok := layer.(*layers.UDP); ok && udp.Checksum == 0 {
		t.Error("no UDP checksum")
	}
	if s := sum16(append(pseudoHeader(p, protocol, len(whole)), whole...)); s != 0xffff {
		t.Errorf("%v sums to %#x", protocol, s)
	}
}

// pseudoHeader is that of RFC 768, or of RFC 8200, section 8.1.
func pseudoHeader(p *craft.Probe, protocol layers.IPProtocol, length int) []byte {
	if protocol == layers.IPProtocolICMPv4 {
		return nil
	}
	b := append(p.Src.AsSlice(), p.Dst.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	return append(b, 0, 0, 0, byte(protocol))
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
