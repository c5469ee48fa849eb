package matcher_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher"
)

// What a simulated router is told to say is what is read from its answer, in
// all forms, families and lengths of quotes.
func TestExtensionsOfSimulatedRouters(t *testing.T) {
	rng := rand.New(rand.NewPCG(4884, 4950))
	extended := 0
	for i := range 2000 {
		answer := extAnswer(rng)
		v6 := rng.IntN(2) == 0
		unreachable := rng.IntN(4) == 0
		protocol, icmp := extCarried(t, answer, v6, unreachable, rng.IntN(1200))
		got, err := matcher.ParseExtensions(protocol, icmp, false)
		want := extTold(&answer)
		if len(want) > 0 {
			extended++
		}
		if d := cmp.Diff(want, got.Objects, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Fatalf("answer %d, %+v, error %v (-want +got):\n%s", i, answer, err, d)
		}
		if len(want) > 0 && (!got.Verified || !bytes.HasPrefix(icmp[8+got.Offset:], []byte{0x20, 0})) {
			t.Fatalf("answer %d: %+v", i, got)
		}
		if len(want) == 0 && !got.IsZero() {
			t.Fatalf("answer %d: %+v", i, got)
		}
	}
	if extended < 1000 {
		t.Errorf("only %d answers had an extension", extended)
	}
}

// extAnswer is any answer of a router.
func extAnswer(rng *rand.Rand) (a topology.Answer) {
	if rng.IntN(3) > 0 {
		forms := []topology.ExtensionForm{"", topology.Length17At128, topology.Length0At128, topology.LengthGarbageAt128}
		a.MPLS = &topology.MPLS{Form: forms[rng.IntN(len(forms))]}
		for range 1 + rng.IntN(6) {
			a.MPLS.Labels = append(a.MPLS.Labels, topology.Label{
				Label: rng.Uint32N(1 << 20), TC: uint8(rng.IntN(8)), TTL: uint8(1 + rng.IntN(255)),
			})
		}
	}
	if rng.IntN(3) == 0 {
		a.Interface = &topology.Interface{}
		if rng.IntN(2) == 0 {
			a.Interface.Index = rng.Uint32()
		}
		if rng.IntN(2) == 0 {
			addrs := []string{"10.3.0.6", "2001:db8::6"}
			a.Interface.Address = netip.MustParseAddr(addrs[rng.IntN(2)])
		}
		if n := rng.IntN(63); n > 0 {
			a.Interface.Name = string(bytes.Repeat([]byte{byte(1 + rng.IntN(255))}, n))
		}
		if rng.IntN(2) == 0 {
			a.Interface.MTU = rng.Uint32()
		}
	}
	lengths := []int{0, -1, 28, 128, 200, 500}
	a.Quote.Length = lengths[rng.IntN(len(lengths))]
	return a
}

// extTold are the objects that say what an answer is told to say.
func extTold(a *topology.Answer) (objects []matcher.ExtensionObject) {
	if a.MPLS != nil {
		o := matcher.ExtensionObject{Class: 1, Type: 1, Length: 4 + 4*len(a.MPLS.Labels)}
		for i, l := range a.MPLS.Labels {
			o.Labels = append(o.Labels, matcher.Label{Label: l.Label, TC: l.TC, TTL: l.TTL, Bottom: i == len(a.MPLS.Labels)-1})
		}
		objects = append(objects, o)
	}
	if i := a.Interface; i != nil {
		o := matcher.ExtensionObject{Class: 2, Length: 4}
		add := func(told bool, bit uint8, length int) {
			if told {
				o.Type |= bit
				o.Length += length
			}
		}
		add(i.Index != 0, 8, 4)
		add(i.Address.Is4(), 4, 8)
		add(i.Address.Is6(), 4, 20)
		add(i.Name != "", 2, (len(i.Name)+4)/4*4)
		add(i.MTU != 0, 1, 4)
		o.Interface = &matcher.InterfaceInfo{Index: i.Index, Address: i.Address, Name: i.Name, MTU: i.MTU}
		objects = append(objects, o)
	}
	return objects
}

// extCarried is the ICMP error with which a router answers a datagram of so
// many bytes of data: its TTL has run out, or the router rejects it.
func extCarried(t *testing.T, answer topology.Answer, v6, unreachable bool, size int) (layers.IPProtocol, []byte) {
	t.Helper()
	node := func(name string, addrs ...string) topology.Node {
		n := topology.Node{Name: name}
		for _, a := range addrs {
			n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
		}
		return n
	}
	one := topology.Router{Node: node("router", "10.0.1.1", "2001:db8:1::1")}
	one.Answer = answer
	ttl := uint8(1)
	if unreachable {
		one.Reject, ttl = &topology.Reject{Code: layers.ICMPv4CodeCommAdminProhibited}, 9
	}
	n, err := simulate.New(&topology.Topology{
		Name: "extensions", Seed: 1, Routers: []topology.Router{one},
		Destinations: []topology.Destination{{Node: node("end", "198.51.100.7", "2001:db8:ffff::7")}},
		Links:        []topology.Link{{Path: []string{topology.HostName, "router", "end"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	back, err := n.CarryOrError(0, extProbe(t, v6, ttl, size), nil)
	if err != nil || len(back) != 1 {
		t.Fatalf("%d answers, %v", len(back), err)
	}
	protocol, icmp := extUpper(back[0].IP)
	if icmp == nil {
		t.Fatalf("%x", back[0].IP)
	}
	return protocol, icmp
}

// extProbe is a datagram. Its data begin like an extension at every turn, but
// for the checksum and the reserved bits.
func extProbe(t *testing.T, v6 bool, ttl uint8, size int) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: 50000, DstPort: 33434}
	ip := gopacket.SerializableLayer(&layers.IPv4{
		Version: 4, TTL: ttl, Protocol: layers.IPProtocolUDP, SrcIP: []byte{192, 0, 2, 10}, DstIP: []byte{198, 51, 100, 7},
	})
	if v6 {
		src, dst := netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8:ffff::7")
		ip = &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	if err := udp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer)); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	data := gopacket.Payload(bytes.Repeat([]byte{0x21, 0, 0, 0}, size/4+1)[:size])
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, udp, data); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
