package matcher

import (
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// icmpHeader is the length of the header of an ICMP error, before its quote.
const icmpHeader = 8

// ICMP error messages that are no reply to a probe, whatever they quote:
// source quench and redirect are asides, and code 1 of time exceeded means
// that fragments went missing, not that a hop was reached.
func icmpKind(typ, code uint8) Kind {
	switch {
	case typ == layers.ICMPv4TypeTimeExceeded && code == layers.ICMPv4CodeTTLExceeded:
		return TimeExceeded
	case typ == layers.ICMPv4TypeDestinationUnreachable:
		return Unreachable
	case typ == layers.ICMPv4TypeParameterProblem:
		return ParameterProblem
	}
	return 0
}

// icmpError reads an ICMP error (RFC 792): what it says, and the headers of
// the packet that it quotes. kind is 0 for other ICMP messages.
//
// The outer header's total length is not believed where it would cut the quote
// short of what was captured: some routers state too little.
func icmpError(outer *craft.Packet) (r Reply, quote craft.Packet, err error) {
	b := outer.Payload
	if outer.Fragment {
		return Reply{}, quote, nil
	}
	if len(b) < icmpHeader {
		return Reply{}, quote, ErrMalformed
	}
	kind := icmpKind(b[0], b[1])
	if kind == 0 {
		return Reply{}, quote, nil
	}
	quote, err = craft.ParsePacket(b[icmpHeader:])
	if err != nil {
		return Reply{}, quote, ErrMalformed
	}
	r = Reply{
		From: outer.Src, TTL: outer.TTL, Kind: kind, ICMPType: b[0], ICMPCode: b[1],
		Quoted: Quote{TTL: quote.TTL, TOS: quote.TOS, ID: quote.ID, Length: quote.Length},
	}
	r.Quoted.Checksum, r.Quoted.HasChecksum = quote.UDPChecksum()
	return r, quote, nil
}
