// Package capturetest is a simulated network, like httptest for paths: what
// is injected travels along routers that answer as real ones do, and what
// comes back is captured with exact stamps.
//
// A Network is built from Go values. A Conn is a host's interface on it: a
// capture.Source and a capture.Injector. There are no goroutines and no global
// state, and time is that of the time package, so under testing/synctest it is
// virtual: a Conn is made inside the bubble that uses it.
//
// The package builds its packets itself and shares no code with craft and
// matcher, so that their mistakes are not its own.
package capturetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/gopacket/layers"
)

// Network is a simulated network. Any goroutine may use it.
type Network struct {
	mu       sync.Mutex
	rand     *rand.Rand
	nodes    []*node // the nearest first
	unrouted int
}

// New builds the network of a chain. The error says which part of the chain
// makes no sense. What the chain refers to may not be changed afterwards.
func New(c Chain) (*Network, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	n := &Network{rand: rand.New(rand.NewPCG(c.Seed, 0))}
	for _, r := range c.Routers {
		n.nodes = append(n.nodes, &node{link: r.Link, addrs: r.Addrs, reply: r.Reply, quote: r.Quote, receive: r.receive})
	}
	d := c.Destination
	n.nodes = append(n.nodes, &node{
		link: d.Link, addrs: []netip.Addr{d.Addr}, reply: d.Reply, quote: d.Quote, receive: d.receive,
	})
	return n, nil
}

// Stats are a network's counters since it was built.
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

// Stats returns the counters as of now.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Stats{Unrouted: n.unrouted}
	last := len(n.nodes) - 1
	for _, nd := range n.nodes[:last] {
		s.Routers = append(s.Routers, nd.stats)
	}
	s.Destination = n.nodes[last].stats
	return s
}

// node is a place on a path that packets come to.
type node struct {
	link    Link
	addrs   []netip.Addr
	reply   Reply
	quote   Quote
	receive func(*packet) action
	stats   NodeStats
}

// arrival is an IP packet that reaches the host some time after the probe left.
type arrival struct {
	after  time.Duration
	packet []byte
}

// carry takes a packet from the host along the path as far as it gets, and
// returns what comes back.
func (n *Network) carry(p *packet) ([]arrival, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var there time.Duration
	for hop, nd := range n.nodes {
		there += nd.link.cross(n.rand)
		nd.stats.Received++
		p.arrived = p.ttl()
		switch a := nd.receive(p); a.verdict {
		case discard:
			return nil, nil
		case answer:
			return n.answer(hop, p, a, there)
		}
	}
	n.unrouted++
	return nil, nil
}

// answer is what reaches the host of the action a that p drew at nodes[hop],
// after having been under way for there.
func (n *Network) answer(hop int, p *packet, a action, there time.Duration) ([]arrival, error) {
	nd := n.nodes[hop]
	nd.stats.Due++
	if !nd.reply.Limit.allows(nd.stats, p.sent) {
		return nil, nil
	}
	nd.stats.Answered++
	ttl := nd.reply.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	if int(ttl) <= hop {
		return nil, nil // it expires on the way back
	}
	packet, err := nd.build(p, a, ttl-uint8(hop))
	if err != nil {
		return nil, fmt.Errorf("hop %d: %w", hop+1, err)
	}
	after := there + nd.reply.Delay + nd.reply.Late[nd.stats.Due]
	for _, back := range n.nodes[:hop+1] {
		after += back.link.cross(n.rand)
	}
	var arrivals []arrival
	for range 1 + nd.reply.Copies {
		arrivals = append(arrivals, arrival{after, packet})
		after += nd.reply.Spacing
	}
	return arrivals, nil
}

// build returns the answer as it arrives, with the given TTL.
func (nd *node) build(p *packet, a action, ttl uint8) ([]byte, error) {
	from, id := nd.source(a), uint16(nd.stats.Answered)
	if a.typ == 0 {
		src, dst := p.ports()
		return UDP{
			From: netip.AddrPortFrom(from, dst), To: netip.AddrPortFrom(p.src(), src),
			TTL: ttl, ID: id, Payload: a.payload,
		}.Packet()
	}
	return ICMPError{
		From: from, To: p.src(), TTL: ttl, ID: id,
		// Internetwork control, and the type of service of what it is about
		// (RFC 1812 section 4.3.2.5).
		TOS:  0xc0 | p.tos()&0x1e,
		Type: a.typ, Code: a.code,
		Datagram: nd.quote.datagram(p), Length: nd.quote.Length, Edit: nd.quote.Edit,
	}.Packet()
}

func (nd *node) source(a action) netip.Addr {
	switch {
	case nd.reply.From.IsValid():
		return nd.reply.From
	case a.from.IsValid():
		return a.from
	}
	return nd.addrs[(nd.stats.Due-1)%len(nd.addrs)]
}

// action is what a node does with a packet.
type action struct {
	verdict   verdict
	typ, code uint8      // of the ICMP error to answer with; type 0 is UDP
	payload   []byte     // of the UDP to answer with
	from      netip.Addr // the address to answer from, where the packet decides it
}

type verdict uint8

const (
	forward verdict = iota
	discard
	answer
)

func timeExceeded() action {
	return action{verdict: answer, typ: layers.ICMPv4TypeTimeExceeded}
}

func unreachable(code uint8) action {
	return action{verdict: answer, typ: layers.ICMPv4TypeDestinationUnreachable, code: code}
}

func (r Router) receive(p *packet) action {
	a := r.process(p)
	if a.verdict == answer && r.Silent {
		return action{verdict: discard}
	}
	return a
}

// process is the order in which Linux does it: local delivery and routes that
// refuse come before the TTL, netfilter's forward hook after.
func (r Router) process(p *packet) action {
	switch {
	case slices.Contains(r.Addrs, p.dst()):
		return local(p)
	case r.Reject != nil && r.Reject.Hook == Prerouting:
		return unreachable(r.Reject.Code)
	case p.ttl() <= 1:
		return timeExceeded()
	}
	p.decrement()
	if r.Reject != nil {
		return unreachable(r.Reject.Code)
	}
	return action{verdict: forward}
}

// local is what a host without any service does with a packet for it.
func local(p *packet) action {
	if p.protocol() != layers.IPProtocolUDP {
		return action{verdict: discard}
	}
	a := unreachable(layers.ICMPv4CodePort)
	a.from = p.dst()
	return a
}

func (d Destination) receive(p *packet) action {
	if p.dst() != d.Addr {
		return action{verdict: forward}
	}
	a := local(p)
	if a.verdict == discard {
		return a
	}
	switch d.Answer {
	case AnswerEcho:
		return action{verdict: answer, payload: p.transport()[udpHeaderLength:]}
	case AnswerPayload:
		return action{verdict: answer, payload: d.Payload}
	case AnswerNothing:
		return action{verdict: discard}
	}
	return a
}
