package craft

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Where a probe's cookie lies in its payload: behind the two bytes that tune
// the checksum.
const (
	tuneLength   = 2
	cookieLength = 8
)

// Headers of the transport protocols: UDP's and ICMP echo's, and what RFC 792
// promises of every other.
const (
	udpHeader  = 8
	echoHeader = 8
	tcpHeader  = 20 // without options
	promised   = 8
)

// Key is what identifies a probe: the fields that a router's quote of it must
// show to be a quote of that probe and of no other. It is comparable, and this
// package is the one place that knows which fields those are.
//
// Besides the destination a probe is told by three values: the source port, the
// ID, and the Token. The Cookie in the payload outweighs them all, where the quote
// is long enough to show it. What a path rewrites of them, and how that is learnt,
// package matcher says.
type Key struct {
	// Dst is the destination, also of a packet that is still on a source route
	// (RFC 791, section 3.1): the address in the IP header changes at each
	// gateway, the end of the route does not.
	Dst netip.Addr

	// Cookie is bytes 2 to 10 of the payload; HasCookie says whether they
	// were visible. A cookie never ends in a zero byte: what does may be the
	// padding of a short quote (RFC 4884, section 4.2).
	Cookie uint64

	// Token is the value that the transport header carries for each probe:
	// the checksum (UDP, UDP-Lite), the sequence number (ICMP echo, TCP).
	Token uint32

	// SrcPort and DstPort are the ports. An ICMP echo has its identifier as
	// SrcPort.
	SrcPort, DstPort uint16

	// Query is the message ID of a DNS query (UDP to port 53; RFC 1035, section
	// 4.1.1), which the answer repeats. 0 means that the probe is none, or that
	// a quote ends before it.
	Query uint16

	// ID is the IPv4 identification. IPv6 has none: there it is the length of
	// the payload, which tells apart the probes of tools that vary it, and
	// agrees in those of the others.
	ID uint16

	// Data is how many bytes of data a TCP segment carries. A RST acknowledges
	// them beside the SYN. 0 where a quote ends before the data offset.
	Data uint16

	Protocol  layers.IPProtocol
	HasCookie bool

	// Short says that the packet, a quote, ends before the Token.
	Short bool
}

// KeyOf reads the Key of a probe, whoever built it: from a captured IP packet
// or from the quote of one in an ICMP error. It fails with ErrMalformed or
// ErrNotProbe.
func KeyOf(ip []byte) (Key, error) {
	p, err := ParsePacket(ip)
	if err != nil {
		return Key{}, err
	}
	return p.Key()
}

// Key is KeyOf for a packet that is parsed already.
func (p *Packet) Key() (k Key, err error) {
	if err = p.ReadKey(&k); err != nil {
		return Key{}, err
	}
	return k, nil
}

// ReadKey is Key into a Key that is there already. After an error that means
// nothing.
func (p *Packet) ReadKey(k *Key) error {
	if p.Fragment {
		return ErrNotProbe
	}
	*k = Key{}
	k.Dst, k.ID, k.Protocol = p.final(), p.ID, p.Protocol
	if p.Is6() {
		k.ID = uint16(p.Length - ipv6Header)
	}
	b := p.Payload
	if len(b) < promised {
		return k.setShort(b, p.echo().request)
	}
	known := ProtocolOf(p.Protocol)
	switch known.token() {
	case Checksum:
		k.SrcPort = binary.BigEndian.Uint16(b)
		k.DstPort = binary.BigEndian.Uint16(b[2:])
		k.Token = uint32(p.wireChecksum(known, binary.BigEndian.Uint16(b[known.checksum:])))
		payload := p.datagram(known)
		k.setCookie(payload)
		k.setQuery(payload)
	case EchoSequence:
		if b[0] != p.echo().request {
			return ErrNotProbe
		}
		k.SrcPort = binary.BigEndian.Uint16(b[4:])
		k.Token = uint32(binary.BigEndian.Uint16(b[6:]))
		k.setCookie(b[echoHeader:])
	case Sequence:
		k.SrcPort = binary.BigEndian.Uint16(b)
		k.DstPort = binary.BigEndian.Uint16(b[2:])
		k.Token = binary.BigEndian.Uint32(b[4:])
		k.Data = dataLength(p)
	default:
		return ErrNotProbe
	}
	return nil
}

// dataLength is how much data a TCP segment carries, as its headers state it.
func dataLength(p *Packet) uint16 {
	if len(p.Payload) < tcpHeader {
		return 0
	}
	return uint16(max(0, p.Length-len(p.Header)-int(p.Payload[12]>>4)*4))
}

// setShort reads what there is of a transport header that ends before the Token,
// as in captures that keep 68 bytes of a frame.
func (k *Key) setShort(b []byte, echoRequest uint8) error {
	k.Short = true
	switch ports := ProtocolOf(k.Protocol).HasPorts(); {
	case ports && len(b) >= 4:
		k.SrcPort = binary.BigEndian.Uint16(b)
		k.DstPort = binary.BigEndian.Uint16(b[2:])
		return nil
	case !ports && len(b) >= 6 && ProtocolOf(k.Protocol).Carries(EchoSequence) && b[0] == echoRequest:
		k.SrcPort = binary.BigEndian.Uint16(b[4:])
		return nil
	}
	return ErrNotProbe
}

// echo is the ICMP types of an echo request and its reply.
func (p *Packet) echo() (types struct{ request, reply uint8 }) {
	if p.Protocol == layers.IPProtocolICMPv6 {
		types.request, types.reply = layers.ICMPv6TypeEchoRequest, layers.ICMPv6TypeEchoReply
	} else {
		types.request, types.reply = layers.ICMPv4TypeEchoRequest, layers.ICMPv4TypeEchoReply
	}
	return types
}

// datagram is what is visible of the payload of p, which holds at least a header
// of eight bytes. The length that UDP's states bounds it, or else that of the IP
// packet, so that what follows a whole datagram, padding or an ICMP extension, is not
// read as payload.
func (p *Packet) datagram(known *Protocol) []byte {
	b, n := p.Payload, p.Length-len(p.Header)
	if known.length {
		n = int(binary.BigEndian.Uint16(b[4:]))
	}
	if n >= udpHeader && n < len(b) {
		b = b[:n]
	}
	return b[udpHeader:]
}

func (k *Key) setCookie(payload []byte) {
	if len(payload) >= tuneLength+cookieLength && payload[tuneLength+cookieLength-1] != 0 {
		k.Cookie = binary.BigEndian.Uint64(payload[tuneLength:])
		k.HasCookie = true
	}
}

// Answer is what kind of direct answer a packet may be to a probe.
type Answer uint8

// The answers.
const (
	Datagram  Answer = iota + 1 // UDP, UDP-Lite
	EchoReply                   // ICMP or ICMPv6
	SYNACK                      // TCP: the port is open
	RST                         // TCP: the port is closed
)

// Answer reads, from a packet that may be the destination's own answer to a
// probe, what it tells of that probe, into a Key that is there already: the view
// has, which is Flow, PortToken, or PortQuery for an answer from port 53; and the
// cookie if the answer echoes the payload. It fails with ErrNotProbe for what is no
// such answer; the Key means nothing then.
func (p *Packet) Answer(of *Key) (a Answer, has View, err error) {
	if p.Fragment || len(p.Payload) < promised {
		return 0, 0, ErrNotProbe
	}
	*of = Key{}
	of.Dst, of.Protocol = p.Src, p.Protocol
	b := p.Payload
	switch ProtocolOf(p.Protocol).token() {
	case Checksum:
		a, has = Datagram, p.datagramAnswer(of)
	case Sequence:
		if a, has = p.tcpAnswer(of); a == 0 {
			return 0, 0, ErrNotProbe
		}
	case EchoSequence:
		if b[0] != p.echo().reply {
			return 0, 0, ErrNotProbe
		}
		of.SrcPort = binary.BigEndian.Uint16(b[4:])
		of.Token = uint32(binary.BigEndian.Uint16(b[6:]))
		of.setCookie(b[echoHeader:])
		return EchoReply, PortToken, nil
	default:
		return 0, 0, ErrNotProbe
	}
	of.DstPort = binary.BigEndian.Uint16(b)
	of.SrcPort = binary.BigEndian.Uint16(b[2:])
	return a, has, nil
}

// datagramAnswer reads what a datagram repeats of the one that it answers.
func (p *Packet) datagramAnswer(of *Key) View {
	payload := p.datagram(ProtocolOf(p.Protocol))
	of.setCookie(payload)
	if binary.BigEndian.Uint16(p.Payload) != dnsPort || !isResponse(payload) {
		return Flow
	}
	if of.Query = binary.BigEndian.Uint16(payload); of.Query == 0 {
		return Flow
	}
	return PortQuery
}

// tcpAnswer tells a SYN-ACK and a RST from the rest (RFC 9293, section 3.5.2). Both
// acknowledge a SYN's or FIN's sequence number plus one, and the data if there
// was any. A RST that answers an ACK acknowledges nothing, but has its sequence
// number from the ACK: in our probes, that is the Token too.
func (p *Packet) tcpAnswer(of *Key) (Answer, View) {
	const fin, syn, rst, ack = 0x01, 0x02, 0x04, 0x10
	b := p.Payload
	if len(b) < tcpHeader {
		return 0, 0
	}
	of.Token = binary.BigEndian.Uint32(b[8:]) - 1
	switch flags := b[13]; {
	case flags&(syn|ack|rst|fin) == syn|ack:
		return SYNACK, PortToken
	case flags&(rst|ack) == rst|ack:
		return RST, PortToken
	case flags&rst != 0:
		of.Token = binary.BigEndian.Uint32(b[4:])
		return RST, PortToken
	}
	return 0, 0
}

// View is a part of a Key: fields by which a probe is filed, so that a quote or
// an answer that shows just these finds it.
type View uint8

// The views. All but Cookie hold the destination, the protocol and the
// destination port.
const (
	PortToken View = iota // the source port and the Token
	PortID                // the source port and the ID
	IDToken               // the ID and the Token
	PortQuery             // the source port and the Query, which only an answer is sought by
	Flow                  // the source port: what all probes of a flow share
	Cookie                // the cookie: what is left when all else was rewritten
	PortAcked             // the source port, and the Token and the Data together: what a RST acknowledges of both

	Views = iota // how many there are
)

// parts are the fields by which views tell keys apart, besides the destination
// and the cookie.
type parts struct{ changing, steady uint64 }

func (k *Key) parts() parts {
	return parts{
		uint64(k.Token)<<32 | uint64(k.SrcPort)<<16 | uint64(k.ID),
		uint64(k.Query)<<32 | uint64(k.DstPort)<<16 | uint64(k.Protocol),
	}
}

// Where in the parts the fields are, and which of them a view compares.
const (
	inToken   = 0xffffffff << 32
	inSrcPort = 0xffff << 16
	inID      = 0xffff
	inQuery   = 0xffff << 32
	inOthers  = 0xffff<<16 | 0xff
)

var viewFields = [Views]parts{
	PortToken: {inToken | inSrcPort, inOthers},
	PortID:    {inSrcPort | inID, inOthers},
	IDToken:   {inToken | inID, inOthers},
	PortQuery: {inSrcPort, inQuery | inOthers},
	Flow:      {inSrcPort, inOthers},
}

// Hash is equal for keys that are the Same in a view. It is no secret: what is
// made for it can make many keys hash alike. So do keys of different
// destinations, which seldom meet.
func (k *Key) Hash(v View) uint64 {
	switch v {
	case Cookie:
		return mix(k.Cookie, uint64(v))
	case PortAcked:
		return mix(uint64(k.acked())<<32|uint64(k.SrcPort)<<16|uint64(k.DstPort), uint64(v))
	}
	w, of := k.parts(), &viewFields[v]
	return mix(w.changing&of.changing, w.steady&of.steady|uint64(v)<<56)
}

// mix spreads every bit of x and y over all.
func mix(x, y uint64) uint64 {
	high, low := bits.Mul64(x^0xd6e8feb86659fd93, y^0xa0761d6478bd642f)
	return high ^ low
}

// Same reports whether two keys are the same in a view.
func (k *Key) Same(v View, o *Key) bool {
	switch v {
	case Cookie:
		return k.HasCookie && o.HasCookie && k.Cookie == o.Cookie && k.Protocol == o.Protocol
	case PortAcked:
		return k.acked() == o.acked() && k.Same(Flow, o)
	}
	w, other, of := k.parts(), o.parts(), &viewFields[v]
	return (w.changing^other.changing)&of.changing == 0 && (w.steady^other.steady)&of.steady == 0 && k.Dst == o.Dst
}

// acked is the sequence number up to which a segment with data is acknowledged,
// less the SYN.
func (k *Key) acked() uint32 { return k.Token + uint32(k.Data) }

// Shift is the constant by which the Token in a quote differs from the one that
// was sent, as an address translator leaves it that restores addresses and ports
// but not what depends on them: of a checksum in ones' complement (RFC 1624),
// of a TCP sequence number modulo 2^32. The sequence numbers of ICMP echoes follow
// each other: between two of them every difference means something else, so they
// have none but 0. ok is false where there is no telling.
func (k *Key) Shift(quote *Key) (shift uint32, ok bool) {
	switch token := ProtocolOf(k.Protocol).token(); {
	case quote.Short:
		return 0, false
	case token == Checksum:
		return onesAdd(quote.Token, ^k.Token&0xffff) % 0xffff, true
	case token == Sequence:
		return quote.Token - k.Token, true
	}
	return 0, quote.Token == k.Token
}

// Unshift makes of a quote's Token the one that was sent, if Shift is this.
func (k *Key) Unshift(shift uint32) {
	switch ProtocolOf(k.Protocol).token() {
	case Checksum:
		if k.Token = onesAdd(k.Token, ^shift&0xffff); k.Token == 0 {
			k.Token = 0xffff
		}
	case Sequence:
		k.Token -= shift
	}
}

// onesAdd adds two 16 bits in ones' complement.
func onesAdd(a, b uint32) uint32 {
	sum := a + b
	return sum&0xffff + sum>>16
}

// SwapID exchanges the bytes of an ID, as hosts do that quote it in their own order.
func SwapID(id uint16) uint16 { return bits.ReverseBytes16(id) }

// SameID reports whether a quote shows the ID, as it is or with its bytes swapped, as
// some hosts quote it.
func (k *Key) SameID(quote *Key) bool {
	return k.ID == quote.ID || k.ID == SwapID(quote.ID) && k.Dst.Is4()
}

// Agreement counts how many of the source port, the ID (also with its bytes
// swapped) and the Token are the same in a probe and in a quote: 0 when the
// destination, the protocol or the destination port differs.
func (k *Key) Agreement(quote *Key) int {
	if k.DstPort != quote.DstPort || k.Protocol != quote.Protocol || k.Dst != quote.Dst {
		return 0
	}
	n := 0
	if k.SrcPort == quote.SrcPort {
		n++
	}
	if k.SameID(quote) {
		n++
	}
	if k.Token == quote.Token && !quote.Short {
		n++
	}
	return n
}
