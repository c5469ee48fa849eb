package matcher

import (
	"encoding/binary"

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

// icmpError reads an ICMP error (RFC 792): what it says, into r, and the
// headers of the packet that it quotes. It fails with ErrMalformed, or with
// ErrUnrelated for other ICMP messages.
//
// The outer header's total length is not believed where it would cut the quote
// short of what was captured: some routers state too little.
func icmpError(outer *craft.Packet, r *Reply) (quote craft.Packet, err error) {
	b := outer.Payload
	if outer.Fragment {
		return quote, ErrUnrelated
	}
	if len(b) < icmpHeader || outer.Src.IsUnspecified() || outer.Src.IsMulticast() {
		return quote, ErrMalformed
	}
	r.ICMPType, r.ICMPCode = b[0], b[1]
	if r.Kind = icmpKind(b[0], b[1]); r.Kind == 0 {
		return quote, ErrUnrelated
	}
	if r.Kind == Unreachable && r.ICMPCode == layers.ICMPv4CodeFragmentationNeeded {
		r.MTU = binary.BigEndian.Uint16(b[6:])
	}
	quote, err = craft.ParsePacket(b[icmpHeader:])
	if err != nil {
		return quote, ErrMalformed
	}
	r.Quoted = Quote{TTL: quote.TTL, TOS: quote.TOS, ID: quote.ID, Length: quote.Length}
	r.Quoted.Checksum, r.Quoted.HasChecksum = quote.UDPChecksum()
	return quote, nil
}
