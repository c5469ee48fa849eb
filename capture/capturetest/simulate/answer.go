package simulate

import (
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// problem is why a packet is not forwarded, or not delivered.
type problem struct {
	kind problemKind
	code uint8 // of an ICMPv4 destination-unreachable (RFC 792)
	mtu  int   // with the code "fragmentation needed"
}

type problemKind uint8

const (
	noProblem problemKind = iota
	timeExceeded
	unreachable
)

// report sends an ICMP error, if one may be sent.
func (n *Network) report(p *packet, e problem, back []Arrival) []Arrival {
	nd := p.spot.node
	a := nd.answer
	from := p.errorSource(a)
	switch {
	case !p.mayDrawErrors():
		return back
	case a.Silent || !from.IsValid():
		nd.stats.Silent++
		return back
	case !nd.allows(p):
		nd.stats.Limited++
		return back
	}
	h := outer{from: from, wrongLength: a.WrongLength}
	if !p.v6 {
		// Internetwork control, and the type of service of what it is about
		// (RFC 1812 section 4.3.2.5); Linux leaves an ICMPv6 error's zero.
		h.tos = 0xc0 | p.tos()&0x1e
	}
	n.build.problem(p, e)
	return n.send(p, h, back)
}

// errorSource is the address that ICMP errors about p come from: the zero Addr
// if there is none of its family.
func (p *packet) errorSource(a *topology.Answer) netip.Addr {
	switch {
	case a.AsDestination:
		return p.dst
	case a.As.IsValid() && a.As.Is6() == p.v6:
		return a.As
	case p.arrived():
		return p.dst
	}
	return p.spot.addr
}

// allows takes a token of the node's limit for an ICMP error about p.
func (nd *node) allows(p *packet) bool {
	limit := nd.answer.Limit
	switch {
	case unlimited(limit):
		return true
	case nd.many != nil:
		return nd.many.take(limit, p.spot.addr, p.at)
	}
	return nd.bucket.take(limit, p.at)
}

// outer is what an answer's IP header has of its own.
type outer struct {
	from         netip.Addr
	tos, ttl     uint8
	id           uint16
	dontFragment bool
	wrongLength  bool
}

// send sends what was built as the answer to p, from where p is.
func (n *Network) send(p *packet, h outer, back []Arrival) []Arrival {
	nd := p.spot.node
	nd.stats.Answered++
	nd.id++
	h.id = nd.id
	if nd.many != nil {
		_, low := number(p.spot.addr)
		h.id += uint16(mix(nd.seed, low))
	}
	h.tos = p.tosOnReturn(h.tos)
	ttl := p.ttlOnReturn(nd.answer)
	if ttl <= 0 {
		n.stats.Expired++
		return back
	}
	h.ttl = uint8(ttl)
	ip := n.build.packet(h, p.origin())
	restoreAnswer(ip, p.nats)
	if h.wrongLength {
		shorten(ip)
	}
	return n.goBack(p, len(p.way), p.at+max(time.Duration(nd.answer.Delay), 0), ip, back)
}

// origin is the host's address, which NATs on the way may have replaced.
func (p *packet) origin() netip.Addr {
	if len(p.nats) > 0 {
		return p.nats[0].inside.addr
	}
	return p.src
}

const defaultTTL = 64

// ttlOnReturn is the TTL with which an answer arrives: 0 or less if it does
// not.
func (p *packet) ttlOnReturn(a *topology.Answer) int {
	initial := int(a.TTL)
	if initial == 0 {
		initial = defaultTTL
	}
	hops := a.ReturnHops
	for _, c := range p.between() {
		if c.node.router != nil && !c.node.router.KeepTTL {
			hops++
		}
	}
	return initial - max(hops, 0)
}

// tosOnReturn is the type of service with which an answer arrives.
func (p *packet) tosOnReturn(tos uint8) uint8 {
	between := p.between()
	for i := len(between) - 1; i >= 0; i-- {
		if r := between[i].node.router; r != nil {
			tos = remark(r, tos)
		}
	}
	return tos
}

// between are the crossings to the routers between the host and where p is.
func (p *packet) between() []crossing { return p.way[:max(len(p.way)-1, 0)] }

// room is how long an answer may be: as long as fits all links back.
func (p *packet) room(hostMTU int) int {
	room := hostMTU
	for _, c := range p.way {
		room = min(room, c.link.mtu)
	}
	return room
}

// serve is what a host does with a packet for itself. It keeps no state: no
// fragments are put together, and every SYN is the first.
func (n *Network) serve(p *packet, back []Arrival) []Arrival {
	nd := p.spot.node
	s := nd.service
	if s == nil {
		s = &topology.Service{}
	}
	if p.fragment {
		n.stats.Fragments++
		return back
	}
	h, e := n.build.serve(p, s, nd.seed)
	switch {
	case e.kind != noProblem:
		return n.report(p, e, back)
	case !h.from.IsValid():
		return back
	case nd.answer.Silent:
		nd.stats.Silent++
		return back
	}
	return n.send(p, h, back)
}

// serve builds what a service answers. It returns the problem if that is an
// ICMP error, and no source if there is no answer.
func (b *builder) serve(p *packet, s *topology.Service, seed uint64) (outer, problem) {
	h := outer{from: p.dst}
	switch {
	case p.isICMP():
		h.tos = p.tos()
		if s.NoEcho || !b.echo(p) {
			return outer{}, problem{}
		}
	case p.proto == layers.IPProtocolTCP:
		h.dontFragment = true
		if !b.tcpAnswer(p, s, seed) {
			return outer{}, problem{}
		}
	case p.proto == layers.IPProtocolUDP:
		h.dontFragment = true
		return b.serveUDP(p, s, h)
	default:
		return outer{}, problem{kind: unreachable, code: layers.ICMPv4CodeProtocol}
	}
	return h, problem{}
}

const dnsPort = 53

func (b *builder) serveUDP(p *packet, s *topology.Service, h outer) (outer, problem) {
	src, dst := p.ports()
	data := p.b[p.upper+udpHeader:]
	switch {
	case s.UDP == topology.UDPNothing:
		return outer{}, problem{}
	case s.UDP == topology.UDPEcho:
		b.body = append(b.body[:0], data...)
	case s.UDP == topology.UDPDNS && dst == dnsPort:
		if b.body = appendDNS(b.body[:0], data); len(b.body) == 0 {
			return outer{}, problem{}
		}
	default:
		return outer{}, problem{kind: unreachable, code: layers.ICMPv4CodePort}
	}
	b.udp(dst, src)
	return h, problem{}
}
