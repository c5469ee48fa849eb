package simulate_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

const (
	host4 = "192.0.2.10"
	host6 = "2001:db8::10"
	dest4 = "198.51.100.7"
	dest6 = "2001:db8:ffff::7"

	srcPort = 50000
	dstPort = 33434
)

// hops are the routers' addresses in chain.
var (
	hops4 = []string{"10.0.1.1", "10.0.2.1", "10.0.3.1"}
	hops6 = []string{"2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"}
)

const ms = time.Millisecond

// chain is three routers and a destination, a millisecond apart; bend, if not
// nil, may change it.
func chain(bend func(*topology.Topology)) *topology.Topology {
	t := &topology.Topology{Name: "chain", Seed: 1}
	path := []string{topology.HostName}
	for i, name := range []string{"r1", "r2", "r3"} {
		t.Routers = append(t.Routers, topology.Router{Node: node(name, hops4[i], hops6[i])})
		path = append(path, name)
	}
	t.Destinations = []topology.Destination{{Node: node("end", dest4, dest6)}}
	t.Links = []topology.Link{{Path: append(path, "end"), Delay: topology.Duration(ms)}}
	if bend != nil {
		bend(t)
	}
	return t
}

func node(name string, addrs ...string) topology.Node {
	n := topology.Node{Name: name}
	for _, a := range addrs {
		n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
	}
	return n
}

func network(t testing.TB, of *topology.Topology) *simulate.Network {
	t.Helper()
	n, err := simulate.New(of)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// probe is what a test sends. The zero probe is UDP over IPv4 to the chain's
// destination, with 32 bytes of data and a TTL of 64.
type probe struct {
	v6       bool
	from, to string // addresses; the chain's host and destination if empty
	ttl      uint8
	tos      uint8
	id       uint16
	size     int // of the data; -1 for none
	data     []byte
	src, dst uint16
	dontFrag bool
	tcp      *layers.TCP // ports are filled in
	echo     bool        // src is the identifier, dst the sequence

}

func (p probe) addrs() (src, dst netip.Addr) {
	from, to := host4, dest4
	if p.v6 {
		from, to = host6, dest6
	}
	if p.from != "" {
		from = p.from
	}
	if p.to != "" {
		to = p.to
	}
	return netip.MustParseAddr(from), netip.MustParseAddr(to)
}

func (p probe) withDefaults() probe {
	if p.ttl == 0 {
		p.ttl = 64
	}
	if p.src == 0 {
		p.src = srcPort
	}
	if p.dst == 0 {
		p.dst = dstPort
	}
	if p.data == nil && p.size == 0 {
		p.size = 32
	}
	if p.data == nil && p.size > 0 {
		p.data = make([]byte, p.size)
		for i := range p.data {
			p.data[i] = byte(i)
		}
	}
	return p
}

// bytes is the probe as gopacket writes it.
func (p probe) bytes(t testing.TB) []byte {
	t.Helper()
	p = p.withDefaults()
	src, dst := p.addrs()
	ip := p.network(src, dst)
	var upper []gopacket.SerializableLayer
	switch {
	case p.echo && p.v6:
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
		icmp.SetNetworkLayerForChecksum(ip)
		upper = append(upper, icmp, &layers.ICMPv6Echo{Identifier: p.src, SeqNumber: p.dst})
	case p.echo:
		upper = append(upper, &layers.ICMPv4{
			TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: p.src, Seq: p.dst,
		})
	case p.tcp != nil:
		tcp := *p.tcp
		tcp.SrcPort, tcp.DstPort = layers.TCPPort(p.src), layers.TCPPort(p.dst)
		tcp.SetNetworkLayerForChecksum(ip)
		upper = append(upper, &tcp)
	default:
		udp := &layers.UDP{SrcPort: layers.UDPPort(p.src), DstPort: layers.UDPPort(p.dst)}
		udp.SetNetworkLayerForChecksum(ip)
		upper = append(upper, udp)
	}
	all := append([]gopacket.SerializableLayer{ip.(gopacket.SerializableLayer)}, upper...)
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, append(all, gopacket.Payload(p.data))...); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	if check := b[len(b)-len(p.data)-2:]; !p.echo && p.tcp == nil && check[0] == 0 && check[1] == 0 {
		check[0], check[1] = 0xff, 0xff // RFC 768, which gopacket leaves to us
	}
	return b
}

func (p probe) network(src, dst netip.Addr) gopacket.NetworkLayer {
	proto := layers.IPProtocolUDP
	switch {
	case p.echo && p.v6:
		proto = layers.IPProtocolICMPv6
	case p.echo:
		proto = layers.IPProtocolICMPv4
	case p.tcp != nil:
		proto = layers.IPProtocolTCP
	}
	if p.v6 {
		return &layers.IPv6{
			Version: 6, TrafficClass: p.tos, HopLimit: p.ttl, NextHeader: proto,
			SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
		}
	}
	ip := &layers.IPv4{
		Version: 4, TOS: p.tos, Id: p.id, TTL: p.ttl, Protocol: proto,
		SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
	}
	if p.dontFrag {
		ip.Flags = layers.IPv4DontFragment
	}
	return ip
}
