package simulate

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Network is a simulated network. Any goroutine may use it; what the network
// does is determined by the order of the calls.
type Network struct {
	*graph
	prefixes []*prefix
	tables   [][]ways // of graph.routes, by node; nil where not asked for yet

	mu      sync.Mutex
	rand    *rand.Rand
	stats   Stats
	first   packet    // reused
	pending []*packet // at a spot where they have not been handled yet
	budget  int       // how many more copies may be made of what is being carried
	build   builder
}

// Arrival is an IP packet that reaches the host.
type Arrival struct {
	At time.Duration // by the clock that Carry was told
	IP []byte        // the caller's to keep and to change
}

// Stats are a network's counters since it was built.
type Stats struct {
	Carried   int   // packets from the host
	Malformed int   // of these, what had a wrong header, length or checksum
	Reason    error // what was wrong with the last of them
	Unrouted  int   // packets for an address that nobody has
	Lost      int   // packets lost on links, both ways, or too long for the first
	Fragments int   // packets that went nowhere because nobody puts fragments together
	Expired   int   // answers whose TTL ran out on the way back

	// Nodes are the host's, the routers', the destinations', and for each
	// prefix its routers' and its destinations', in the topology's order.
	Nodes []NodeStats
}

// NodeStats are a node's counters.
type NodeStats struct {
	Name     string
	Received int // packets that came to it, to forward or to keep
	Answered int // answers sent
	Limited  int // ICMP errors not sent for its Limit
	Silent   int // answers not sent because it is silent, or has no address
}

// New builds the network of a topology, which is copied where that matters
// but must not be changed as long as the network is used. It must be valid: the
// error is that of its Validate, a line for each fault.
func New(t *topology.Topology) (*Network, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	full := t.WithDefaults()
	n := &Network{
		graph: newGraph(&full),
		rand:  rand.New(rand.NewPCG(full.Seed, 1)), build: newBuilder(full.Host.MTU),
	}
	n.tables = make([][]ways, len(n.nodes))
	for i := range full.Prefixes {
		n.prefixes = append(n.prefixes, n.newPrefix(full.Seed, &full.Prefixes[i]))
	}
	return n, nil
}

// Stats returns the counters as of now.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.stats
	s.Nodes = nil
	for _, nd := range n.nodes {
		s.Nodes = append(s.Nodes, nd.stats)
	}
	for _, p := range n.prefixes {
		s.Nodes = append(s.Nodes, p.router.stats, p.destination.stats)
	}
	return s
}

// maxCopies bounds how many packets the duplicating links make of one.
const maxCopies = 64

// Carry takes an IP packet, which leaves the host at some time since any start,
// along its path, and appends to back what comes back of it, in no particular
// order. Calls are best made in the order of their times. The packet is not
// kept, nor changed. A malformed one is dropped and counted.
func (n *Network) Carry(at time.Duration, ip []byte, back []Arrival) []Arrival {
	back, _ = n.CarryOrError(at, ip, back)
	return back
}

// CarryOrError is Carry for who wants to know of each packet why it is
// malformed.
func (n *Network) CarryOrError(at time.Duration, ip []byte, back []Arrival) ([]Arrival, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stats.Carried++
	p := &n.first
	if err := n.leave(p, ip); err != nil {
		n.stats.Malformed++
		n.stats.Reason = fmt.Errorf("simulate: packet %d: %w", n.stats.Carried, err)
		return back, err
	}
	if !p.dst.IsGlobalUnicast() {
		n.stats.Unrouted++ // nor does a router say so: it is for the host's own link
		return back, nil
	}
	n.budget = maxCopies
	p.at = at
	p.spot = spot{node: n.nodes[0]}
	p.to = n.find(p.dst)
	if p.to.node == nil {
		n.stats.Unrouted++
	}
	n.pending = append(n.pending[:0], p)
	for len(n.pending) > 0 {
		last := len(n.pending) - 1
		p, n.pending = n.pending[last], n.pending[:last]
		back = n.travel(p, back)
	}
	return back, nil
}

// leave takes the packet that the host sends.
func (n *Network) leave(p *packet, ip []byte) error {
	if err := p.parse(ip); err != nil {
		return err
	}
	if len(p.b) > n.hostMTU {
		return fmt.Errorf("%d bytes on a link with MTU %d", len(p.b), n.hostMTU)
	}
	return nil
}
