package matcher

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// icmpHeader is the length of the header of an ICMP or ICMPv6 error, before its
// quote.
const icmpHeader = 8

// icmpKind is the Kind of an ICMP message (RFC 792, RFC 4443), or 0 if it is no
// reply to a probe, whatever it quotes: source quench and redirect are asides,
// and code 1 of time exceeded means that fragments went missing, not that a hop
// was reached.
func icmpKind(typ, code uint8, is6 bool) Kind {
	if is6 {
		switch {
		case typ == layers.ICMPv6TypeTimeExceeded && code == layers.ICMPv6CodeHopLimitExceeded:
			return TimeExceeded
		case typ == layers.ICMPv6TypeDestinationUnreachable:
			return Unreachable
		case typ == layers.ICMPv6TypePacketTooBig:
			return PacketTooBig
		case typ == layers.ICMPv6TypeParameterProblem:
			return ParameterProblem
		}
		return 0
	}
	switch {
	case typ == layers.ICMPv4TypeTimeExceeded && code == layers.ICMPv4CodeTTLExceeded:
		return TimeExceeded
	case typ == layers.ICMPv4TypeDestinationUnreachable && code == layers.ICMPv4CodeFragmentationNeeded:
		return PacketTooBig
	case typ == layers.ICMPv4TypeDestinationUnreachable:
		return Unreachable
	case typ == layers.ICMPv4TypeParameterProblem:
		return ParameterProblem
	}
	return 0
}

// icmpError reads an ICMP error: what it says, into r, and the headers of the
// packet that it quotes, into quote. It fails with ErrMalformed, or with
// ErrUnrelated for other ICMP messages.
//
// The outer header's total length is not believed where it would cut the quote
// short of what was captured: some routers state too little. What cut says is
// that less was captured than was sent.
func icmpError(outer, quote *craft.Packet, r *Reply, cut bool) error {
	b := outer.Payload
	if outer.Fragment {
		return ErrUnrelated
	}
	if len(b) < icmpHeader || outer.Src.IsUnspecified() || outer.Src.IsMulticast() {
		return ErrMalformed
	}
	r.ICMPType, r.ICMPCode = b[0], b[1]
	if r.Kind = icmpKind(b[0], b[1], outer.Is6()); r.Kind == 0 {
		return ErrUnrelated
	}
	if r.Kind == PacketTooBig {
		r.MTU = nextMTU(b, outer.Is6())
	}
	if quote.Parse(b[icmpHeader:]) != nil || quote.Is6() != outer.Is6() {
		return ErrMalformed
	}
	// What is wrong with an extension doesn't make the error less of a reply.
	if found, _ := ParseExtensions(outer.Protocol, b, cut); !found.IsZero() {
		extensions := found // so that only what is found is on the heap
		r.Extensions = &extensions
	}
	r.Quoted.quote(quote)
	return nil
}

// quote takes from a packet all but its ports. (It sets the fields one by one
// because a whole Quote would be built elsewhere and moved.)
func (q *Quote) quote(p *craft.Packet) {
	q.Src, q.Dst = p.Src, p.Dst
	q.TTL, q.TOS, q.DF, q.ID = p.TTL, p.TOS, p.DF, p.ID
	q.FlowLabel, q.Length = p.FlowLabel, p.Length
	q.Checksum, q.HasChecksum = p.Checksum()
}

// nextMTU is the MTU that a router states, in the lower 16 bits of the header's
// second word (RFC 1191, section 4), or in all 32 (RFC 4443, section 3.2).
func nextMTU(b []byte, is6 bool) uint32 {
	mtu := binary.BigEndian.Uint32(b[4:])
	if !is6 {
		mtu &= 0xffff
	}
	return mtu
}
