package simulate

import (
	"encoding/binary"
	"math/bits"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// choose picks one of the links that lead to where the packet goes. There is
// at least one.
func (n *Network) choose(by topology.Balance, seed uint64, ways ways, p *packet) *link {
	if len(ways.links) == 1 {
		return ways.links[0]
	}
	var h uint64
	switch by {
	case topology.ByPacket:
		h = n.rand.Uint64()
	case topology.ByDestination:
		high, low := number(p.dst)
		h = mix(mix(mix(seed, high), low), 0)
	default:
		h = flow(seed, p)
	}
	at, _ := bits.Mul64(h, ways.weight)
	for _, l := range ways.links {
		if at < l.weight {
			return l
		}
		at -= l.weight
	}
	return ways.links[0]
}

// flow hashes what routers take for a packet's flow: the addresses and the
// protocol; for UDP, UDP-Lite and TCP the ports, as Linux does when it hashes layer 4;
// for ICMP the type, the code, the checksum and the identifier, which is what
// Paris traceroute found routers to do (Augustin and others, IMC 2006). Of a
// fragment nothing of that is looked at.
func flow(seed uint64, p *packet) uint64 {
	srcHigh, srcLow := number(p.src)
	dstHigh, dstLow := number(p.dst)
	h := mix(mix(seed, srcHigh), srcLow)
	h = mix(mix(h, dstHigh), dstLow)
	h = mix(h, uint64(p.proto))
	up := p.b[p.upper:]
	switch {
	case p.fragment:
	case p.isICMP() && len(up) >= 6:
		h = mix(h, uint64(binary.BigEndian.Uint32(up))<<16|uint64(binary.BigEndian.Uint16(up[4:])))
	case hasPorts(p.proto) && len(up) >= 4:
		h = mix(h, uint64(binary.BigEndian.Uint32(up)))
	}
	return mix(h, 0)
}

// mix is a step of a hash: that of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(h, v uint64) uint64 {
	h = (h ^ v) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// name hashes a name.
func name(seed uint64, s string) uint64 {
	for i := range len(s) {
		seed = mix(seed, uint64(s[i]))
	}
	return seed
}
