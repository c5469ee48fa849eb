package session

import (
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// sighting is what is kept of a packet that is, or may turn out to be, a probe.
type sighting struct {
	src, dst     addr
	at           int64  // nanoseconds since 1970
	payload      uint64 // bytes 2 to 10 of the payload, 0 if it has none
	token        uint32 // see craft.Key, as are sport, dport and id
	link         uint32 // a hash of the interface and the link header
	frame        uint32 // its number in the capture, 0 if not known
	sport, dport uint16
	id, length   uint16 // length: of the IP packet
	ttl, tos     uint8
	protocol     uint8
	flags        uint8 // of TCP, where they are visible
	is6, df      bool
}

// see makes s what a frame shows of a packet. (It and read set the fields one by
// one because a whole sighting would be built elsewhere and moved.)
func (s *sighting) see(f *frame.Frame, m *matcher.Message) {
	s.read(&m.Packet, &m.Key)
	s.at = f.Time.UnixNano()
	s.link = linkOf(f, &m.Packet)
	s.frame = uint32(f.Number)
}

// seeQuoted makes s what an ICMP error shows of a packet. Its TTL tells nothing.
func (s *sighting) seeQuoted(m *matcher.Message) {
	s.read(&m.Quote, &m.Of)
	s.at, s.ttl = m.Time.UnixNano(), 0
}

func (s *sighting) read(p *craft.Packet, key *craft.Key) {
	*s = sighting{}
	s.src, s.dst, s.payload, s.token = addrOf(p.Src), addrOf(p.Dst), key.Cookie, key.Token
	s.sport, s.dport, s.id, s.length = key.SrcPort, key.DstPort, key.ID, uint16(p.Length)
	s.ttl, s.tos, s.protocol, s.is6, s.df = p.TTL, p.TOS, uint8(p.Protocol), p.Is6(), p.DF
	if p.Protocol == layers.IPProtocolTCP && len(p.Payload) > tcpFlags {
		s.flags = p.Payload[tcpFlags]
	}
}

// Where TCP's flags are, and those that matter (RFC 9293, section 3.1).
const (
	tcpFlags = 13
	flagSYN  = 0x02
	flagRST  = 0x04
	flagACK  = 0x10
)

func (s *sighting) time() time.Time { return time.Unix(0, s.at).UTC() }

func (s *sighting) group() groupKey { return groupKey{s.src, s.dst, s.protocol} }

func (s *sighting) ports() uint32 { return uint32(s.sport)<<16 | uint32(s.dport) }

func (s *sighting) isEcho() bool {
	return craft.ProtocolOf(layers.IPProtocol(s.protocol)).Carries(craft.EchoSequence)
}

// key is what the probe is known by, with what its payload has in the place of a cookie.
func (s *sighting) key() craft.Key {
	return craft.Key{
		Dst: s.dst.netip(s.is6), Token: s.token, SrcPort: s.sport, DstPort: s.dport, ID: s.id,
		Protocol: layers.IPProtocol(s.protocol), Cookie: s.payload, HasCookie: s.payload&0xff != 0,
	}
}

// describe sets what the packet shows of a probe that was found.
func (s *sighting) describe(p *path.Probe) {
	p.SrcPort, p.DstPort, p.SentClock = s.sport, s.dport, path.Capture
	if !s.is6 {
		p.ID = s.id
	}
	p.Frame, p.Length = int(s.frame), int(s.length)
	if craft.ProtocolOf(layers.IPProtocol(s.protocol)).Carries(craft.Checksum) {
		p.Checksum, p.HasChecksum = uint16(s.token), true
	} else {
		p.Sequence = s.token
	}
}

// linkOf is a hash of where a frame was captured: the interface, and all that
// precedes the IP packet. It is 0 if there is none of that.
func linkOf(f *frame.Frame, p *craft.Packet) uint32 {
	header := f.Data[:len(f.Data)-len(p.Header)-len(p.Payload)]
	if len(header) == 0 && f.Interface == 0 {
		return 0
	}
	return uint32(hashBytes(header, uint64(f.Interface)))
}

// isPassedOn reports whether a packet is the one before, which a router has passed
// on: all is the same but for the TTL, which is lower.
func (s *sighting) isPassedOn(before *sighting) bool {
	return s.ttl < before.ttl && s.id == before.id && s.token == before.token && s.ports() == before.ports() &&
		s.length == before.length && s.payload == before.payload
}

// likeProbe is false of what no tracer sends.
func likeProbe(p *craft.Packet) bool {
	if p.Dst.IsMulticast() || p.Dst.IsUnspecified() || p.Dst == broadcast {
		return false
	}
	return p.Protocol != layers.IPProtocolTCP || likeTCPProbe(p)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// likeTCPProbe tells segments that a tracer sends from those of a connection:
// they carry no data, and are neither a reset nor the answer to a SYN. Of a
// quote that ends before the flags, only the length can tell.
func likeTCPProbe(p *craft.Packet) bool {
	const header = 20
	b, length := p.Payload, p.Length-len(p.Header)
	if len(b) < header {
		return length <= 2*header
	}
	flags := b[tcpFlags]
	return length <= int(b[12]>>4)*4 && flags&flagRST == 0 && flags&(flagSYN|flagACK) != flagSYN|flagACK
}

// likeTracers reports whether a packet that is known by one router's reply alone
// is rather a tracer's than anything else: an echo request, or a datagram to
// the ports from which the known programs count.
func (s *sighting) likeTracers() bool {
	const lowest, end, servers = 33000, 34000, 1024
	switch layers.IPProtocol(s.protocol) {
	case layers.IPProtocolUDP:
		return s.dport >= lowest && s.dport < end && s.sport >= servers
	case layers.IPProtocolTCP:
		return false
	}
	return true
}

// likeFirst reports whether a datagram is like the first of a traceroute: its TTL is
// 1, its destination port one from which the known programs count, and its source
// port one that systems give to programs, and no service has.
func (s *sighting) likeFirst() bool {
	return s.ttl == 1 && isFirst(layers.IPProtocol(s.protocol), s.sport, s.dport)
}

func isFirst(protocol layers.IPProtocol, sport, dport uint16) bool {
	const lowest, end, given = 33434, 34000, 32768
	return protocol == layers.IPProtocolUDP && dport >= lowest && dport < end && sport >= given
}

// isPortUnreachable reports whether an ICMP error says that a port is closed.
func isPortUnreachable(m *matcher.Message) bool {
	r, code := &m.Reply, uint8(layers.ICMPv4CodePort)
	if m.Quote.Is6() {
		code = layers.ICMPv6CodePortUnreachable
	}
	return r.Kind == matcher.Unreachable && r.ICMPCode == code
}
