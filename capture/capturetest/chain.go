package capturetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
)

// chain carries packets along a Chain.
type chain struct {
	mu       sync.Mutex
	rand     *rand.Rand
	nodes    []*node // the nearest first
	unrouted int
}

func newChain(c Chain) *chain {
	n := &chain{rand: rand.New(rand.NewPCG(c.Seed, 0))}
	for _, r := range c.Routers {
		n.nodes = append(n.nodes, &node{link: r.Link, addrs: r.Addrs, reply: r.Reply, quote: r.Quote, receive: r.receive})
	}
	d := c.Destination
	n.nodes = append(n.nodes, &node{
		link: d.Link, addrs: []netip.Addr{d.Addr}, reply: d.Reply, quote: d.Quote, receive: d.receive,
	})
	return n
}

func (n *chain) counters() Stats {
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

// carry takes a packet from the host along the path as far as it gets, and
// returns what comes back.
func (n *chain) carry(at time.Duration, ip []byte) ([]simulate.Arrival, error) {
	p, err := parse(ip)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for hop, nd := range n.nodes {
		at += nd.link.cross(n.rand)
		nd.stats.Received++
		p.arrived = p.ttl()
		switch a := nd.receive(p); a.verdict {
		case discard:
			return nil, nil
		case answer:
			return n.answer(hop, p, a, at)
		}
	}
	n.unrouted++
	return nil, nil
}

// answer is what reaches the host of the action a that p drew at nodes[hop],
// where it came at a time.
func (n *chain) answer(hop int, p *packet, a action, at time.Duration) ([]simulate.Arrival, error) {
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
	at += nd.reply.Delay + nd.reply.Late[nd.stats.Due]
	for _, back := range n.nodes[:hop+1] {
		at += back.link.cross(n.rand)
	}
	var arrivals []simulate.Arrival
	for range 1 + nd.reply.Copies {
		arrivals = append(arrivals, simulate.Arrival{At: at, IP: packet})
		at += nd.reply.Spacing
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
