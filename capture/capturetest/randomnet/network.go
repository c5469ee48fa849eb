package randomnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Network is a random network, and what can be traced to in it.
type Network struct {
	Topology *topology.Topology
	Target4  netip.Addr
	Target6  netip.Addr
}

// New returns the network of a seed. It is the same in every run. No link loses
// anything.
func New(seed uint64) Network {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	g.t = &topology.Topology{
		Name: fmt.Sprintf("random-%d", seed), Description: "a network that chance made", Seed: seed,
	}
	g.host()
	g.way()
	g.quirks()
	return Network{g.t, g.target4, g.target6}
}

// Lossy returns the network of New in which links lose packets.
func Lossy(seed uint64) Network {
	n := New(seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range n.Topology.Links {
		n.Topology.Links[i].Loss = []float64{0.01, 0.05, 0.1}[random.IntN(3)]
	}
	return n
}

// generator makes a Topology. What it draws, in order, is all of it.
type generator struct {
	*rand.Rand
	t                *topology.Topology
	target4, target6 netip.Addr
	depth            map[string]int // how many routers are before a node, at least
	drawn            int            // addresses so far
}

// in reports true once in n times.
func (g *generator) in(n int) bool { return g.IntN(n) == 0 }

// pick returns one of several.
func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// between is a duration that is no shorter than the one and shorter than the other.
func (g *generator) between(least, most time.Duration) topology.Duration {
	return topology.Duration((least + time.Duration(g.Int64N(int64(most-least)))).Truncate(time.Microsecond))
}

func (g *generator) host() {
	h := &g.t.Host
	if g.in(3) {
		h.Addresses = []netip.Prefix{netip.MustParsePrefix("192.168.100.17/24"), netip.MustParsePrefix("2001:db8:100::17/64")}
		h.Gateways = []netip.Addr{netip.MustParseAddr("192.168.100.1"), netip.MustParseAddr("2001:db8:100::1")}
	}
	if g.in(6) {
		h.MTU = pick(g, 1280, 1400, 9000)
	}
}

// addresses returns an IPv4 and an IPv6 address that no other node has.
func (g *generator) addresses() []netip.Addr {
	g.drawn++
	n := byte(g.drawn)
	v6 := netip.MustParseAddr("2001:db8:1::1").As16()
	v6[7] = n
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, n, 1}), netip.AddrFrom16(v6)}
}

// router adds one that is behind others, and returns its name.
func (g *generator) router(behind ...string) string {
	r := topology.Router{Node: topology.Node{Name: fmt.Sprintf("r%d", len(g.t.Routers)+1), Addresses: g.addresses()}}
	if g.in(12) {
		r.Addresses = r.Addresses[:1]
	}
	if g.in(8) {
		r.DNS, r.ASN = r.Name+".isp.example", 64496+g.Uint32N(8)
	}
	g.t.Routers = append(g.t.Routers, r)
	g.depth[r.Name] = 255
	for _, from := range behind {
		g.link(from, r.Name)
		g.depth[r.Name] = min(g.depth[r.Name], g.depth[from]+1)
	}
	return r.Name
}

func (g *generator) link(from, to string) {
	l := topology.Link{Path: []string{from, to}, Delay: g.between(100*time.Microsecond, 1500*time.Microsecond)}
	if g.in(6) {
		l.Jitter = g.between(50*time.Microsecond, 800*time.Microsecond)
	}
	if g.in(20) {
		l.Reorder = 0.2
	}
	if g.in(20) {
		l.Duplicate = 0.2
	}
	if g.in(12) {
		l.MTU = pick(g, 1280, 1400, 1492)
	}
	if g.in(6) {
		l.Weight = 1 + g.IntN(4)
	}
	g.t.Links = append(g.t.Links, l)
}

// way makes the routers, and what is behind them.
func (g *generator) way() {
	g.depth = map[string]int{topology.HostName: -1}
	last := g.router(topology.HostName)
	for stages := 1 + g.IntN(5); stages > 0; stages-- {
		if g.in(5) {
			last = g.diamond(last)
		} else {
			last = g.router(last)
		}
	}
	g.destinations(last)
	if g.in(10) {
		g.prefix(last)
	}
}

// diamond adds two or three ways from a router, and the router where they meet.
func (g *generator) diamond(from string) string {
	var ends []string
	for range 2 + g.IntN(2) {
		end := g.router(from)
		if g.in(3) {
			end = g.router(end)
		}
		ends = append(ends, end)
	}
	i := slices.IndexFunc(g.t.Routers, func(r topology.Router) bool { return r.Name == from })
	g.t.Routers[i].Balance = pick(g, "", topology.ByFlow, topology.ByPacket, topology.ByDestination)
	return g.router(ends...)
}

func (g *generator) destinations(behind string) {
	g.target4, g.target6 = netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:ffff::1")
	d := topology.Destination{Node: topology.Node{Name: "target", Addresses: []netip.Addr{g.target4, g.target6}}, Service: g.service()}
	if g.in(8) {
		d.DNS, d.ASN = "target.example", 64500
	}
	g.t.Destinations = append(g.t.Destinations, d)
	g.link(behind, d.Name)
	g.depth[d.Name] = g.depth[behind] + 1
}

func (g *generator) service() (s topology.Service) {
	if g.in(4) {
		s.UDP = pick(g, topology.UDPEcho, topology.UDPDNS, topology.UDPNothing)
	}
	if g.in(2) {
		s.Open = []uint16{80, 443}
	}
	s.Filtered, s.NoEcho = g.in(6), g.in(12)
	return s
}

// prefix adds many destinations, one of which is the target.
func (g *generator) prefix(behind string) {
	least := g.IntN(3)
	p := topology.Prefix{
		Prefix: netip.MustParsePrefix("10.16.0.0/16"), Behind: behind, MinHops: least, MaxHops: least + 1 + g.IntN(2),
		Routers: netip.MustParsePrefix("100.64.0.0/24"), Delay: g.between(100*time.Microsecond, 600*time.Microsecond),
		Service: g.service(),
	}
	p.Answer = g.answer(g.depth[behind]+p.MinHops+1, p.Prefix.Addr())
	g.t.Prefixes = append(g.t.Prefixes, p)
	g.target4 = netip.AddrFrom4([4]byte{10, 16, byte(g.IntN(256)), byte(1 + g.IntN(250))})
}
