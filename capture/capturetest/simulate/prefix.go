package simulate

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// prefix stands for the destinations of a topology.Prefix and the routers on
// the paths to them. Nothing is kept of any of them: a router's address is
//
//	first + (hash(destination, depth) mod rows) × most + depth - 1
//
// so that it tells how deep behind the prefix's own router it is.
type prefix struct {
	of      netip.Prefix
	behind  *node
	seed    uint64
	fewest  uint64
	most    uint64
	routers netip.Prefix
	first   netip.Addr // of the routers
	rows    uint64     // how many routers there are at each depth

	router      *node
	destination *node
	toRouter    *link
	toHost      *link
}

// newPrefix makes what stands for a prefix. Its routers behave as routers do by
// default: Answer and Service are the destinations'.
func (g *graph) newPrefix(seed uint64, at *topology.Prefix) *prefix {
	text := at.Prefix.String()
	p := &prefix{
		of: at.Prefix, behind: g.byName[at.Behind], seed: name(seed, text),
		fewest: uint64(at.MinHops), most: uint64(at.MaxHops), routers: at.Routers,
	}
	if p.most > 0 {
		p.layOut()
	}
	p.router = &node{
		name: text + " routers", router: &topology.Router{}, answer: &topology.Answer{}, many: &buckets{},
		seed: mix(p.seed, 1), id: uint16(p.seed),
	}
	p.destination = &node{
		name: text, service: &at.Service, answer: &at.Answer, many: &buckets{},
		seed: mix(p.seed, 2), id: uint16(p.seed >> 16),
	}
	p.router.stats.Name, p.destination.stats.Name = p.router.name, text
	p.toRouter = &link{to: p.router, delay: time.Duration(at.Delay), mtu: defaultMTU}
	p.toHost = &link{to: p.destination, delay: time.Duration(at.Delay), mtu: defaultMTU}
	return p
}

// layOut finds out how many routers there is room for. The first address and
// the last one, which mean something else on a network, are left out where
// there are enough others.
func (p *prefix) layOut() {
	size := uint64(1) << min(p.routers.Addr().BitLen()-p.routers.Bits(), 48)
	p.first = p.routers.Addr()
	if size >= p.most+2 {
		size -= 2
		p.first = p.first.Next()
	}
	p.rows = size / p.most
}

// hash is that of an address, for one of several uses.
func (p *prefix) hash(a netip.Addr, use uint64) uint64 {
	high, low := number(a)
	return mix(mix(mix(p.seed, high), low), use)
}

// hops is how many routers are on the path to a destination, behind the
// prefix's own.
func (p *prefix) hops(a netip.Addr) int {
	more, _ := bits.Mul64(p.hash(a, 0), p.most-p.fewest+1)
	return int(p.fewest + more)
}

// at is the address of the router so deep on the path to a.
func (p *prefix) at(a netip.Addr, depth int) netip.Addr {
	row, _ := bits.Mul64(p.hash(a, uint64(depth)), p.rows)
	return plus(p.first, row*p.most+uint64(depth)-1)
}

// depth is how deep the router with an address of p.routers is: 0 if there is
// none.
func (p *prefix) depth(a netip.Addr) int {
	_, low := number(a)
	_, first := number(p.first)
	at := low - first
	if low < first || at >= p.rows*p.most {
		return 0
	}
	return int(at%p.most) + 1
}

func plus(a netip.Addr, n uint64) netip.Addr {
	if a.Is4() {
		b := a.As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	return netip.AddrFrom16(b)
}

// target is where a packet goes. The zero target is nowhere.
type target struct {
	node   *node   // the way leads to it
	routes []ways  // by node
	prefix *prefix // and on from there, if not nil:
	hops   int     // through so many routers,
	router bool    // the last of which it is for
}

// spot is where a packet is.
type spot struct {
	node  *node
	addr  netip.Addr // the node's own of the packet's family, the zero Addr if it has none
	depth int        // how many routers behind the one its prefix is behind
}

// find returns where an address leads: the zero target if nobody has it.
func (n *Network) find(a netip.Addr) target {
	if nd := n.byAddr[a]; nd != nil {
		return n.to(nd)
	}
	for _, p := range n.prefixes {
		t := target{prefix: p}
		switch {
		case p.of.Contains(a):
			t.hops = p.hops(a)
		case p.most > 0 && p.routers.Contains(a):
			t.hops, t.router = p.depth(a), true
		}
		if t.hops > 0 || p.of.Contains(a) {
			to := n.to(p.behind)
			t.node, t.routes = to.node, to.routes
			return t
		}
	}
	return target{}
}

// to is the way to a node, worked out when it is first asked for.
func (n *Network) to(nd *node) target {
	if n.tables[nd.index] == nil {
		n.tables[nd.index] = n.routes(nd)
	}
	return target{node: nd, routes: n.tables[nd.index]}
}
