package simulate

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

const (
	icmpHeader = 8

	// The longest errors: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c).
	longestError4 = 576
	longestError6 = 1280

	// paddedQuote is how long a quote is with an extension behind it, at least
	// (RFC 4884 section 4.5); always, where its length is not told.
	paddedQuote = 128
)

// problem takes the ICMP error that a node sends about p.
func (b *builder) problem(p *packet, e problem) {
	a := p.spot.node.answer
	typ, code := e.icmp4()
	if p.v6 {
		typ, code = e.icmp6()
	}
	extended := (a.MPLS != nil || a.Interface != nil) && mayExtend(p.v6, typ)
	b.body, b.extension = append(b.body[:0], 0, 0, 0, 0), b.extension[:0]
	if extended {
		b.extension = appendExtension(b.extension, a)
	}
	b.quote(p)
	if extended {
		b.body[lengthOffset(p.v6)] = lengthField(a.MPLS, p.v6, len(b.body)-4)
		b.body = append(b.body, b.extension...)
	}
	switch {
	case p.v6 && typ == layers.ICMPv6TypePacketTooBig:
		binary.BigEndian.PutUint32(b.body, uint32(e.mtu))
	case p.v6 && typ == layers.ICMPv6TypeParameterProblem:
		binary.BigEndian.PutUint32(b.body, uint32(p.nextHeaderOffset()))
	case !p.v6 && typ == layers.ICMPv4TypeDestinationUnreachable && code == layers.ICMPv4CodeFragmentationNeeded:
		binary.BigEndian.PutUint16(b.body[2:], uint16(e.mtu)) // RFC 1191 section 4
	}
	b.icmp(p.v6, typ, code)
}

// icmp4 is the problem's type and code in RFC 792.
func (e problem) icmp4() (typ, code uint8) {
	if e.kind == timeExceeded {
		return layers.ICMPv4TypeTimeExceeded, layers.ICMPv4CodeTTLExceeded
	}
	return layers.ICMPv4TypeDestinationUnreachable, e.code
}

// icmp6 is the type and code in RFC 4443 that mean the same: mostly as RFC
// 7915 section 4.2 translates them, but a host that cannot be reached stays
// one.
func (e problem) icmp6() (typ, code uint8) {
	if e.kind == timeExceeded {
		return layers.ICMPv6TypeTimeExceeded, layers.ICMPv6CodeHopLimitExceeded
	}
	switch e.code {
	case layers.ICMPv4CodeProtocol:
		return layers.ICMPv6TypeParameterProblem, layers.ICMPv6CodeUnrecognizedNextHeader
	case layers.ICMPv4CodeFragmentationNeeded:
		return layers.ICMPv6TypePacketTooBig, 0
	}
	return layers.ICMPv6TypeDestinationUnreachable, unreachableCode6(e.code)
}

func unreachableCode6(code uint8) uint8 {
	switch code {
	case layers.ICMPv4CodeHost, layers.ICMPv4CodeHostUnknown, layers.ICMPv4CodeHostTOS:
		return layers.ICMPv6CodeAddressUnreachable
	case layers.ICMPv4CodePort:
		return layers.ICMPv6CodePortUnreachable
	case layers.ICMPv4CodeNetAdminProhibited, layers.ICMPv4CodeHostAdminProhibited,
		layers.ICMPv4CodeCommAdminProhibited, layers.ICMPv4CodeHostPrecedence, layers.ICMPv4CodePrecedenceCutoff:
		return layers.ICMPv6CodeAdminProhibited
	}
	return layers.ICMPv6CodeNoRouteToDst
}

// nextHeaderOffset is where p says what its upper-layer protocol is: what the
// pointer of a parameter problem points to (RFC 4443 section 3.4).
func (p *packet) nextHeaderOffset() int {
	field, at, proto := 6, ip6Header, layers.IPProtocol(p.b[6])
	for at < p.upper {
		field = at
		n := extensionLength(proto, p.b[at:])
		proto = layers.IPProtocol(p.b[at])
		at += n
	}
	return field
}

// quote appends what the node quotes of p: padded, if b.extension is to follow.
func (b *builder) quote(p *packet) {
	a := p.spot.node.answer
	start := len(b.body)
	b.body = append(b.body, p.b...)
	quote := b.body[start:]
	setTTL(quote, quotedTTL(&a.Quote, p))
	if !p.v6 {
		id := binary.BigEndian.Uint16(quote[4:])
		switch a.Quote.ID {
		case topology.IDSwapped:
			id = id<<8 | id>>8
		case topology.IDZero:
			id = 0
		}
		set16(quote, 4, id, quote[10:12])
	}
	quote = quote[:min(quoteLength(p, &a.Quote, p.room(b.hostMTU)-len(b.extension)), len(quote))]
	restore(quote, p.nats)
	if len(b.extension) > 0 {
		quote = pad(quote, a, p.v6)
	}
	b.body = append(b.body[:start], quote...)
}

func quotedTTL(q *topology.Quote, p *packet) uint8 {
	decremented := max(p.received, 1) - 1
	switch q.TTL {
	case topology.TTLReceived:
		return p.received
	case topology.TTLDecremented:
		return decremented
	case topology.TTLSent:
		return p.sent
	case topology.TTLValue:
		return q.TTLValue
	}
	return p.ttl()
}

// leastQuote is what IPv4 allows at least: the header and 8 bytes.
const leastQuote = ip4Header + 8

// quoteLength is how much of p is quoted in an answer that has so much room. A
// length that is enough for IPv4 but not for IPv6 means the header and 8 bytes.
func quoteLength(p *packet, q *topology.Quote, room int) int {
	headers, longest := ip4Header+icmpHeader, longestError4
	if p.v6 {
		headers, longest = ip6Header+icmpHeader, longestError6
	}
	n := q.Length
	switch {
	case n == 0:
		n = longest - headers
	case n < 0:
		n = len(p.b)
	case p.v6 && n >= leastQuote:
		n = max(n, ip6Header+8)
	}
	return max(min(n, room-headers), 0)
}
