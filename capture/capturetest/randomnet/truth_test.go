package randomnet_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/randomnet"
	"github.com/tracewire/tracewire/capture/capturetest/simulate"
)

// Every time-exceeded that the simulator sends is from where Truth says that it can
// be from, which is seldom the next hop, too.
func TestTruthIsWhatIsSimulated(t *testing.T) {
	exceeded, elsewhere, hops, comparable := 0, 0, 0, 0
	for seed := uint64(1); seed <= 5*seeds; seed++ {
		n := randomnet.New(seed)
		network, err := simulate.New(n.Topology)
		if err != nil {
			t.Fatal(err)
		}
		host := n.Topology.WithDefaults().Host.Addresses
		for _, target := range []netip.Addr{n.Target4, n.Target6} {
			src := host[0].Addr()
			if target.Is6() {
				src = host[1].Addr()
			}
			truth := randomnet.TruthOf(n.Topology, target)
			seen := map[int]bool{}
			for i := range 3 * 16 {
				ttl := 1 + i%16
				for _, back := range network.Carry(0, datagram(t, src, target, uint8(ttl), uint16(i)), nil) {
					from, isExceeded := exceededBy(back.IP)
					if !isExceeded {
						continue
					}
					exceeded++
					seen[ttl] = true
					if !truth.Right(ttl, from) {
						t.Errorf("seed %d: %v from hop %d", seed, from, ttl)
					}
					if truth.Right(ttl+1, from) {
						elsewhere++
					}
				}
			}
			hops += len(seen)
			for ttl := range seen {
				if truth.Comparable(ttl) {
					comparable++
				}
			}
		}
	}
	if exceeded < 10*seeds || elsewhere > exceeded/5 || comparable < hops/2 || comparable == hops {
		t.Errorf("%d replies, of which %d may be from the next hop, and %d of %d hops comparable", exceeded, elsewhere, comparable, hops)
	}
}

// exceededBy returns who sent an ICMP error that says that a TTL was exceeded.
func exceededBy(ip []byte) (netip.Addr, bool) {
	if ip[0]>>4 == 6 {
		from, _ := netip.AddrFromSlice(ip[8:24])
		return from, ip[6] == byte(layers.IPProtocolICMPv6) && ip[40] == layers.ICMPv6TypeTimeExceeded
	}
	from, _ := netip.AddrFromSlice(ip[12:16])
	return from, ip[9] == byte(layers.IPProtocolICMPv4) && ip[20] == layers.ICMPv4TypeTimeExceeded
}

// datagram is a UDP probe of the nth flow.
func datagram(t *testing.T, src, dst netip.Addr, ttl uint8, n uint16) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: layers.UDPPort(40000 + n), DstPort: 33434}
	var ip gopacket.NetworkLayer = &layers.IPv4{
		Version: 4, TTL: ttl, Id: n, Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
	}
	if dst.Is6() {
		ip = &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	payload := binary.BigEndian.AppendUint64(nil, uint64(n))
	if err := gopacket.SerializeLayers(buf, opts, ip.(gopacket.SerializableLayer), udp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
