// Package capturetest is a simulated network, like httptest for paths: what
// is injected travels along routers that answer as real ones do, and what
// comes back is captured with exact stamps.
//
// A Network is built from Go values: from a Chain, a path in which a test
// determines each single answer, or from a topology.Topology, which is whole
// networks with all that goes on in them (see Simulate). A Conn is a host's
// interface on it: a capture.Source and a capture.Injector. There are no
// goroutines and no global state, and time is that of the time package, so
// under testing/synctest it is virtual: a Conn is made inside the bubble that
// uses it.
//
// The package builds its packets itself and shares no code with craft and
// matcher, so that their mistakes are not its own.
package capturetest

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Network is a simulated network. Any goroutine may use it.
type Network struct {
	carrier carrier
	chain   *chain            // the carrier, if New made it
	sim     *simulate.Network // the carrier, if Simulate made it
	host    Host              // what a Conn's Host is where that says nothing

	mu    sync.Mutex
	epoch time.Time // when the first Conn was made; the zero of what carry is told
}

// carrier is what is behind a host's gateway.
type carrier interface {
	// carry takes a packet which the host sends at some time, and returns what
	// comes back. Neither holds on to the other's slices. The error says why
	// the packet goes nowhere.
	carry(at time.Duration, ip []byte) ([]simulate.Arrival, error)
}

// New builds the network of a chain. The error says which part of the chain
// makes no sense. What the chain refers to may not be changed afterwards.
func New(c Chain) (*Network, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	carrier := newChain(c)
	return &Network{
		carrier: carrier, chain: carrier,
		host: Host{Addr: netip.AddrFrom4([4]byte{192, 0, 2, 1}), MTU: defaultMTU},
	}, nil
}

// Simulate builds the network of a topology, which may not be changed
// afterwards. The error is that of the topology's Validate.
func Simulate(t *topology.Topology) (*Network, error) {
	sim, err := simulate.New(t)
	if err != nil {
		return nil, err
	}
	full := t.WithDefaults()
	host := Host{MTU: full.Host.MTU}
	for _, p := range full.Host.Addresses {
		if p.Addr().Is4() {
			host.Addr = p.Addr()
		} else {
			host.Addr6 = p.Addr()
		}
	}
	return &Network{carrier: simulated{sim}, sim: sim, host: host}, nil
}

// Simulation returns what Simulate made, which has counters of its own; nil of
// a chain.
func (n *Network) Simulation() *simulate.Network { return n.sim }

// simulated is the carrier for a topology.
type simulated struct{ *simulate.Network }

func (s simulated) carry(at time.Duration, ip []byte) ([]simulate.Arrival, error) {
	return s.CarryOrError(at, ip, nil)
}

// since is how long after the network's first Conn one is made at a moment.
func (n *Network) since(now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.epoch.IsZero() {
		n.epoch = now
	}
	return now.Sub(n.epoch)
}

// Stats are the counters of a chain's network since it was built.
type Stats struct {
	Routers     []NodeStats // in the chain's order
	Destination NodeStats
	Unrouted    int // packets for an address that no node has
}

// NodeStats are one node's counters.
type NodeStats struct {
	Received int // packets that came to it, to forward or to keep
	Due      int // of these, what would draw an answer if no Limit stood against it
	Answered int // answers sent; copies of an answer are not counted
}

// Stats returns the counters as of now: zero unless New built the network (see
// Simulation).
func (n *Network) Stats() Stats {
	if n.chain == nil {
		return Stats{}
	}
	return n.chain.counters()
}
