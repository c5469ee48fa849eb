package matcher

import (
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
)

// ReadAside reads a frame that Read calls unrelated. It reports whether it is an ICMP
// message about a packet that is no reply to a probe: a time-exceeded of code 1
// (fragments of it went missing), a source quench or a redirect (RFC 792). Reply,
// which has no Kind, and Of are then set as for an error.
func (m *Message) ReadAside(f *frame.Frame) bool {
	m.Time, m.Frame, m.IsProbe, m.IsReply = f.Time, f.Number, false, false
	if m.carried.Decode(f) != nil || m.Packet.Parse(m.carried.IP) != nil || !isICMP(&m.Packet) {
		return false
	}
	b := m.Packet.Payload
	if len(b) < icmpHeader || !isAside(b[0], b[1], m.Packet.Is6()) {
		return false
	}
	m.Reply = Reply{
		From: m.Packet.Src, TTL: m.Packet.TTL, Frame: f.Number, Received: f.Time, Read: f.Read, ICMPType: b[0], ICMPCode: b[1],
	}
	return m.Quote.Parse(b[icmpHeader:]) == nil && m.Quote.ReadKey(&m.Of) == nil
}

// isAside reports whether an ICMP message quotes a packet without being a reply.
func isAside(typ, code uint8, is6 bool) bool {
	if is6 {
		return typ == layers.ICMPv6TypeTimeExceeded && code != layers.ICMPv6CodeHopLimitExceeded
	}
	switch typ {
	case layers.ICMPv4TypeTimeExceeded:
		return code != layers.ICMPv4CodeTTLExceeded
	case layers.ICMPv4TypeSourceQuench, layers.ICMPv4TypeRedirect:
		return true
	}
	return false
}
