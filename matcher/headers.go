package matcher

import (
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
)

// Headers returns the beginning of a frame that shows who talks to whom, and
// nothing of what they say: the headers up to the transport header. An ICMP
// error has the headers of its quote too, and the first 8 bytes of the quoted
// transport header (RFC 792); any other ICMP message has its first 8 bytes. What
// can't be read as such a header is not part of it.
//
// The result is the frame's Data or a part of it.
func Headers(f *frame.Frame) []byte {
	var carried frame.Packet
	if carried.Decode(f) != nil {
		return f.Data[:min(linkHeader(f.Link), len(f.Data))]
	}
	link := len(f.Data) - len(carried.IP)
	return f.Data[:link+headersLength(carried.IP)]
}

// linkHeader is the length of the link header of frames that carry no IP packet.
func linkHeader(link frame.LinkType) int {
	switch link {
	case frame.Ethernet:
		return 14
	case frame.LinuxSLL:
		return 16
	case frame.LinuxSLL2:
		return 20
	}
	return 0
}

// headersLength is the length of the headers that an IP packet begins with.
func headersLength(ip []byte) int {
	var p craft.Packet
	if p.Parse(ip) != nil {
		return 0
	}
	n := len(p.Header)
	if p.Fragment {
		return n
	}
	switch known := craft.ProtocolOf(p.Protocol); {
	case known.HasPorts():
		n += known.HeaderLength(p.Payload)
	case isICMP(&p):
		n += icmpHeader
		if len(p.Payload) > icmpHeader && quotes(&p) {
			n += quotedHeaders(p.Payload[icmpHeader:])
		}
	}
	return min(n, len(ip))
}

// The transport headers: what RFC 792 promises to quote of each, and TCP's
// without options (RFC 9293, section 3.1).
const (
	promised  = 8
	tcpHeader = 20
)

// quotes reports whether an ICMP message is one that quotes a packet: RFC 792's
// errors and redirect, and what RFC 4443 (section 2.1) calls an error.
func quotes(p *craft.Packet) bool {
	typ := p.Payload[0]
	if p.Is6() {
		return typ < 128
	}
	switch typ {
	case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeSourceQuench, layers.ICMPv4TypeRedirect,
		layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem:
		return true
	}
	return false
}

// quotedHeaders is the length of the IP header that a quote begins with and of
// what RFC 792 promises of the transport header.
func quotedHeaders(quote []byte) int {
	var p craft.Packet
	if p.Parse(quote) != nil {
		return 0
	}
	if p.Fragment {
		return len(p.Header)
	}
	return min(len(p.Header)+promised, len(quote))
}

// Foreign returns what Match says of a Message that is no probe of the run, and
// no reply to one: ErrForeign or ErrUnrelated.
func (t *Run) Foreign(m *Message) error {
	if !m.IsReply || !m.Reply.IsQuoted() && t.index.head(t.entries, craft.Flow, &m.Of) == none {
		return ErrUnrelated
	}
	return ErrForeign
}
