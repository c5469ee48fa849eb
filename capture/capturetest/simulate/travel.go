package simulate

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// travel takes a packet on from where it is until it is lost, dropped or
// answered, and appends what reaches the host of the answer.
func (n *Network) travel(p *packet, back []Arrival) []Arrival {
	for {
		next, e := n.handle(p)
		switch {
		case e.kind != noProblem:
			return n.report(p, e, back)
		case next != nil:
			if !n.cross(p, next) {
				return back
			}
		case p.arrived():
			return n.serve(p, back)
		default:
			return back
		}
	}
}

// arrived reports whether the packet has come to where it goes.
func (p *packet) arrived() bool {
	switch {
	case p.to.prefix == nil:
		return p.spot.node == p.to.node
	case p.to.router:
		return p.spot.depth == p.to.hops
	}
	return p.spot.depth == p.to.hops+1
}

// handle is what a node does with a packet. It returns the link to forward to,
// or why that cannot be. Neither means that the packet goes no further.
func (n *Network) handle(p *packet) (*link, problem) {
	nd := p.spot.node
	p.received = p.ttl()
	nd.stats.Received++
	switch {
	case p.arrived():
		return nil, problem{}
	case nd.router != nil:
		return n.forward(p, nd.router)
	case nd == n.nodes[0]:
		return n.depart(p), problem{}
	}
	return nil, problem{} // a destination to which the packet came by mistake
}

// depart chooses the host's way out, where there is one for so long a packet.
func (n *Network) depart(p *packet) *link {
	l := n.next(p)
	if l == nil {
		return nil
	}
	if len(p.b) > l.mtu && p.dontFragment() {
		n.stats.Lost++
		return nil
	}
	return l
}

// forward is what a router does, in the order in which Linux does it: routes
// that refuse, or that there are not, come before the TTL, what is too long
// for the link after it, netfilter's forward hook at the end. What is too long
// and may be fragmented goes on whole, as if put together at its end.
func (n *Network) forward(p *packet, r *topology.Router) (*link, problem) {
	next := n.next(p)
	refused := r.Reject != nil && !allows(r.Reject, p)
	inForward := refused && r.Reject.Hook == topology.Forward
	switch {
	case refused && !inForward:
		return nil, rejection(r.Reject, next)
	case next == nil:
		return nil, problem{kind: unreachable, code: layers.ICMPv4CodeNet}
	case p.received <= 1 && !r.KeepTTL && !r.ZeroTTL:
		return nil, problem{kind: timeExceeded}
	case len(p.b) > next.mtu && p.dontFragment():
		return nil, problem{kind: unreachable, code: layers.ICMPv4CodeFragmentationNeeded, mtu: next.mtu}
	}
	if !r.KeepTTL {
		p.setTTL(max(p.received, 1) - 1)
	}
	if inForward {
		return nil, rejection(r.Reject, next)
	}
	p.setTOS(remark(r, p.tos()))
	if r.NAT != nil {
		n.translate(p, r.NAT)
	}
	return next, problem{}
}

// next is the link by which a packet leaves its spot, nil if there is none.
func (n *Network) next(p *packet) *link {
	nd := p.spot.node
	var w ways
	switch {
	case p.to.node == nil && nd == n.nodes[0]:
		for _, l := range nd.links {
			w.add(l)
		}
	case p.to.node == nil:
	case p.spot.depth > 0 || nd == p.to.node:
		return p.to.beyond(p.spot.depth)
	default:
		w = p.to.routes[nd.index]
	}
	if len(w.links) == 0 {
		return nil
	}
	var by topology.Balance
	if nd.router != nil {
		by = nd.router.Balance
	}
	return n.choose(by, nd.seed, w, p)
}

// beyond is the link that leads on from so deep behind a prefix's router.
func (t *target) beyond(depth int) *link {
	switch {
	case t.prefix == nil:
		return nil
	case depth < t.hops:
		return t.prefix.toRouter
	case t.router:
		return nil
	}
	return t.prefix.toHost
}

// allows reports whether a packet passes a router that rejects others.
func allows(r *topology.Reject, p *packet) bool {
	if p.proto != layers.IPProtocolTCP || p.later {
		return false
	}
	_, port := p.ports()
	return slices.Contains(r.AllowTCP, port)
}

// rejection is what a router says that rejects. In the code "fragmentation
// needed" it names the MTU of the link that the packet would have taken.
func rejection(r *topology.Reject, next *link) problem {
	e := problem{kind: unreachable, code: r.Code, mtu: defaultMTU}
	if next != nil {
		e.mtu = next.mtu
	}
	return e
}

// remark is the type of service with which a router forwards (RFC 2474, RFC
// 3168).
func remark(r *topology.Router, tos uint8) uint8 {
	if r.SetDSCP != nil {
		tos = *r.SetDSCP<<2 | tos&3
	}
	if r.SetECN != nil {
		tos = tos&^3 | *r.SetECN&3
	}
	return tos
}

// cross takes a packet over a link, to its next spot, unless it is lost.
func (n *Network) cross(p *packet, l *link) bool {
	if n.happens(l.loss) {
		n.stats.Lost++
		return false
	}
	if n.duplicates(l) {
		d := p.duplicate()
		n.move(d, l)
		n.pending = append(n.pending, d)
	}
	n.move(p, l)
	return true
}

func (n *Network) move(p *packet, l *link) {
	p.at += n.delay(l)
	p.way = append(p.way, crossing{l, l.to})
	if behind := p.to.prefix; behind != nil && (p.spot.depth > 0 || p.spot.node == p.to.node) {
		depth := p.spot.depth + 1
		p.spot = spot{node: l.to, depth: depth, addr: p.dst}
		if depth <= p.to.hops && !(p.to.router && depth == p.to.hops) {
			p.spot.addr = behind.at(p.dst, depth)
		}
		return
	}
	p.spot = spot{node: l.to, addr: l.to.addr(p.v6)}
}

// duplicates decides whether a link makes two packets of one.
func (n *Network) duplicates(l *link) bool {
	if !n.happens(l.duplicate) || n.budget <= 1 {
		return false
	}
	n.budget--
	return true
}

// happens decides whether something happens that does so to share packets in 1.
func (n *Network) happens(share float64) bool { return share > 0 && n.rand.Float64() < share }

// delay is how long a packet takes over a link.
func (n *Network) delay(l *link) time.Duration {
	d := l.delay
	if n.happens(l.reorder) {
		d = 0
	}
	if l.jitter > 0 {
		d += time.Duration(n.rand.Int64N(int64(l.jitter) + 1))
	}
	return d
}

// goBack appends an answer that left a node at a time, unless it is lost on its
// way back: over the first i links of the packet's way. More than one arrives
// where links duplicate.
func (n *Network) goBack(p *packet, i int, at time.Duration, ip []byte, back []Arrival) []Arrival {
	for i--; i >= 0; i-- {
		l := p.way[i].link
		if n.happens(l.loss) {
			n.stats.Lost++
			return back
		}
		if n.duplicates(l) {
			back = n.goBack(p, i, at+n.delay(l), bytes.Clone(ip), back)
		}
		at += n.delay(l)
	}
	return append(back, Arrival{at, ip})
}
