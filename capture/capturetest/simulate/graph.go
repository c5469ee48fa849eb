package simulate

import (
	"math"
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

const defaultMTU = 1500

// graph is the network's nodes and the links between them.
type graph struct {
	nodes   []*node // the host first
	byName  map[string]*node
	byAddr  map[netip.Addr]*node
	hostMTU int
}

// node is a place that packets come to: the host, a router, a destination, or
// what all the routers or all the destinations of a prefix have in common.
type node struct {
	index   int
	name    string
	addrs   [2]netip.Addr // IPv4 and IPv6; the zero Addr if it has none
	router  *topology.Router
	service *topology.Service // of a destination
	answer  *topology.Answer
	seed    uint64
	links   []*link // leading away from the host

	id     uint16 // of the last IPv4 answer
	natID  uint16 // of the last packet that its NAT gave an ordered ID
	bucket bucket
	many   *buckets // instead of bucket, where it stands for many
	stats  NodeStats
}

// addr is the node's address of a family.
func (nd *node) addr(v6 bool) netip.Addr {
	return nd.addrs[family(v6)]
}

func family(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

// link is a way from one node to the next, and back.
type link struct {
	to                       *node
	delay, jitter            time.Duration
	loss, reorder, duplicate float64
	mtu                      int
	weight                   uint64
}

// ways are the links that lead from a node to where a packet goes.
type ways struct {
	links  []*link
	weight uint64 // their sum
}

// newGraph takes a topology that is valid, its defaults filled in.
func newGraph(t *topology.Topology) *graph {
	g := &graph{byName: map[string]*node{}, byAddr: map[netip.Addr]*node{}, hostMTU: t.Host.MTU}
	g.add(&node{name: topology.HostName, seed: mix(t.Seed, 0)})
	for i := range t.Routers {
		r := &t.Routers[i]
		g.addNode(t.Seed, &r.Node, &node{router: r})
	}
	for i := range t.Destinations {
		d := &t.Destinations[i]
		g.addNode(t.Seed, &d.Node, &node{service: &d.Service})
	}
	for i := range t.Links {
		g.addLink(&t.Links[i])
	}
	g.gateways(&t.Host)
	return g
}

// addNode adds the router or destination that n is.
func (g *graph) addNode(seed uint64, n *topology.Node, nd *node) {
	nd.name, nd.answer, nd.seed = n.Name, &n.Answer, name(seed, n.Name)
	nd.id, nd.natID = uint16(nd.seed), uint16(nd.seed>>32)
	for _, a := range n.Addresses {
		nd.addrs[family(a.Is6())] = a
		g.byAddr[a] = nd
	}
	g.add(nd)
}

func (g *graph) add(nd *node) {
	nd.index, nd.stats.Name = len(g.nodes), nd.name
	g.nodes = append(g.nodes, nd)
	g.byName[nd.name] = nd
}

func (g *graph) addLink(l *topology.Link) {
	for i, to := range l.Path[1:] {
		from := g.byName[l.Path[i]]
		from.links = append(from.links, &link{
			to: g.byName[to], delay: time.Duration(l.Delay), jitter: time.Duration(l.Jitter),
			loss: l.Loss, reorder: l.Reorder, duplicate: l.Duplicate,
			mtu: l.MTU, weight: uint64(l.Weight),
		})
	}
}

// gateways makes the host's next hops addresses of the one node behind it,
// unless they are another's.
func (g *graph) gateways(h *topology.Host) {
	if len(g.nodes[0].links) != 1 {
		return
	}
	for _, a := range h.Gateways {
		if g.byAddr[a] == nil {
			g.byAddr[a] = g.nodes[0].links[0].to
		}
	}
}

// routes are, for each node, the links that lead to a node: those into nodes
// from which it can be reached.
func (g *graph) routes(to *node) []ways {
	reaches := make([]int8, len(g.nodes)) // 0 unknown, 1 yes, -1 no
	reaches[to.index] = 1
	table := make([]ways, len(g.nodes))
	var visit func(*node) bool
	visit = func(nd *node) bool {
		if reaches[nd.index] != 0 {
			return reaches[nd.index] > 0
		}
		reaches[nd.index] = -1
		for _, l := range nd.links {
			if visit(l.to) {
				table[nd.index].add(l)
				reaches[nd.index] = 1
			}
		}
		return reaches[nd.index] > 0
	}
	for _, nd := range g.nodes {
		visit(nd)
	}
	return table
}

func (w *ways) add(l *link) {
	w.links = append(w.links, l)
	w.weight = min(w.weight+l.weight, math.MaxInt64)
}
