package matcher

import (
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
)

// Message is what a frame may be to probes: it is read once, and then shown to
// any number of Runs. A Message can be used for one frame after the other; it
// refers to the frame, and is valid as long as that is.
type Message struct {
	Time      time.Time    // the frame's
	Frame     int          // its number
	Packet    craft.Packet // what the frame carries
	Direction frame.Direction
	Cut       bool // less was captured of the frame than was sent

	// IsProbe says that it may be a probe itself, known by Key.
	IsProbe bool
	Key     craft.Key

	// IsReply says that it may be a reply, of which Reply is all but what
	// only the probe tells. Of is what it shows of the probe's Key: in an ICMP
	// error that of Quote, the headers that it quotes; else, in an answer, the
	// view Has.
	IsReply bool
	Reply   Reply
	Quote   craft.Packet
	Of      craft.Key
	Has     craft.View

	carried frame.Packet
}

// Read reads a frame that is no watermark. It fails with ErrForeign for an ICMP
// error about what can be nobody's probe, with ErrMalformed, or with
// ErrUnrelated.
func (m *Message) Read(f *frame.Frame) error { return m.read(f, false) }

// ReadOwn is Read on the host that sends the probes: what comes in is none, and
// what this host says is no reply.
func (m *Message) ReadOwn(f *frame.Frame) error { return m.read(f, true) }

func (m *Message) read(f *frame.Frame, own bool) error {
	m.Time, m.Frame, m.IsProbe, m.IsReply = f.Time, f.Number, false, false
	if m.carried.Decode(f) != nil || m.Packet.Parse(m.carried.IP) != nil {
		return ErrUnrelated
	}
	m.Direction, m.Cut = m.carried.Direction, len(f.Data) < f.Length
	p := &m.Packet
	if !(own && m.Direction == frame.In) && maybeProbe(p) {
		m.IsProbe = p.ReadKey(&m.Key) == nil && !m.Key.Short
	}
	if own && m.Direction == frame.Out {
		return m.verdict()
	}
	r := &m.Reply
	r.From, r.TTL, r.Frame, r.Received, r.Read = p.Src, p.TTL, f.Number, f.Time, f.Read
	r.ICMPType, r.ICMPCode, r.MTU, r.MatchedBy, r.Extensions = 0, 0, 0, 0, nil
	r.Quoted, r.Translation = Quote{}, Translation{}
	if isICMP(p) && !m.IsProbe && !isEchoReply(p) {
		return m.readError(m.Cut)
	}
	if answer, has, err := p.Answer(&m.Of); err == nil {
		r.Kind, m.Has, m.IsReply = answers[answer], has, true
	}
	return m.verdict()
}

// answers are the kinds of what package craft knows as answers.
var answers = [...]Kind{craft.Datagram: UDP, craft.EchoReply: EchoReply, craft.SYNACK: SYNACK, craft.RST: RST}

func (m *Message) verdict() error {
	if !m.IsProbe && !m.IsReply {
		return ErrUnrelated
	}
	return nil
}

// maybeProbe is false of what is no probe for certain and is common.
func maybeProbe(p *craft.Packet) bool { return !isICMP(p) || !isEchoReply(p) }

func isICMP(p *craft.Packet) bool {
	return p.Protocol == layers.IPProtocolICMPv4 && !p.Is6() || p.Protocol == layers.IPProtocolICMPv6 && p.Is6()
}

func isEchoReply(p *craft.Packet) bool {
	if len(p.Payload) == 0 {
		return false
	}
	if p.Is6() {
		return p.Payload[0] == layers.ICMPv6TypeEchoReply
	}
	return p.Payload[0] == layers.ICMPv4TypeEchoReply
}

// readError reads m.Packet as an ICMP error, of which the capture may have cut
// something.
func (m *Message) readError(cut bool) error {
	if err := icmpError(&m.Packet, &m.Quote, &m.Reply, cut); err != nil {
		return err
	}
	if m.Quote.ReadKey(&m.Of) != nil {
		return ErrForeign
	}
	m.Reply.Quoted.SrcPort, m.Reply.Quoted.DstPort = m.Of.SrcPort, m.Of.DstPort
	m.IsReply = true
	return nil
}
