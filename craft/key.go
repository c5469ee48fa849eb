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

// Key is what identifies a probe: the fields that a router's quote of it must
// show to be a quote of that probe and of no other. It is comparable, and this
// package is the one place that knows which fields those are.
//
// Besides the destination a probe is told by three values, of which a path may
// rewrite one: the source port, the IP ID, and the Token. The Cookie in the
// payload outweighs them all, where the quote is long enough to show it.
type Key struct {
	Dst netip.Addr

	// Cookie is bytes 2 to 10 of the payload; HasCookie says whether they
	// were visible. A cookie never ends in a zero byte: what does may be the
	// padding of a short quote (RFC 4884, section 4.2).
	Cookie uint64

	// Token is the value that the transport header carries for each probe:
	// the checksum (UDP), the sequence number (ICMP echo, TCP).
	Token uint32

	// SrcPort and DstPort are the ports. An ICMP echo has its identifier as
	// SrcPort.
	SrcPort, DstPort uint16

	ID        uint16 // IPv4 identification
	Protocol  layers.IPProtocol
	HasCookie bool

	view view
}

// view tells a partial key, an entry of an index, from a whole one and from
// those that hold other parts.
type view uint8

const (
	whole view = iota
	portID
	portToken
	idToken
	flow
	cookie
)

// Views is the number of partial keys that a probe is filed under.
const Views = int(cookie)

// View numbers the partial keys of a Key from 0 to Views-1: which one k is. It
// is -1 for a whole Key.
func (k Key) View() int { return int(k.view) - 1 }

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
func (p *Packet) Key() (Key, error) {
	if p.Fragment || len(p.Payload) < 8 {
		return Key{}, ErrNotProbe
	}
	k := Key{Dst: p.Dst, ID: p.ID, Protocol: p.Protocol}
	b := p.Payload
	switch p.Protocol {
	case layers.IPProtocolUDP:
		k.SrcPort = binary.BigEndian.Uint16(b)
		k.DstPort = binary.BigEndian.Uint16(b[2:])
		k.Token = uint32(binary.BigEndian.Uint16(b[6:]))
		k.setCookie(udpPayload(p))
	case layers.IPProtocolICMPv4:
		if b[0] != layers.ICMPv4TypeEchoRequest {
			return Key{}, ErrNotProbe
		}
		k.SrcPort = binary.BigEndian.Uint16(b[4:])
		k.Token = uint32(binary.BigEndian.Uint16(b[6:]))
		k.setCookie(b[8:])
	case layers.IPProtocolTCP:
		k.SrcPort = binary.BigEndian.Uint16(b)
		k.DstPort = binary.BigEndian.Uint16(b[2:])
		k.Token = binary.BigEndian.Uint32(b[4:])
	default:
		return Key{}, ErrNotProbe
	}
	return k, nil
}

// udpPayload is what is visible of the payload of p, which holds at least a
// UDP header. The UDP length bounds it, so that what follows a whole datagram,
// padding or an ICMP extension, is not read as payload.
func udpPayload(p *Packet) []byte {
	b := p.Payload
	if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && n < len(b) {
		b = b[:n]
	}
	return b[8:]
}

func (k *Key) setCookie(payload []byte) {
	if len(payload) >= tuneLength+cookieLength && payload[tuneLength+cookieLength-1] != 0 {
		k.Cookie = binary.BigEndian.Uint64(payload[tuneLength:])
		k.HasCookie = true
	}
}

// AnswerKey reads, from a packet that may be the destination's own answer to a
// probe, what it tells of that probe: the flow, and the cookie if the answer
// echoes the payload. It fails with ErrNotProbe for what is no such answer.
func (p *Packet) AnswerKey() (Key, error) {
	if p.Protocol != layers.IPProtocolUDP {
		return Key{}, ErrNotProbe
	}
	k, err := p.Key()
	if err != nil {
		return Key{}, err
	}
	k.Dst = p.Src
	k.SrcPort, k.DstPort = k.DstPort, k.SrcPort
	k.ID, k.Token = 0, 0
	return k, nil
}

// Filed returns the partial keys to file a probe under, in the order of their
// View, so that a quote or an answer that shows any one of them finds it. A
// probe without a cookie has no last one: it is the zero Key.
func (k Key) Filed() [Views]Key {
	all := [Views]Key{k.part(portID), k.part(portToken), k.part(idToken), k.Flow()}
	if k.HasCookie {
		all[cookie-1] = k.ByCookie()
	}
	return all
}

// Sought yields the partial keys under which the probe of a quote is sought,
// the likeliest first: two of {source port, ID, Token} together with the
// destination, the ID also with its bytes swapped, as some hosts quote it.
func (k Key) Sought(yield func(Key) bool) {
	swapped := k
	swapped.ID = bits.ReverseBytes16(k.ID)
	_ = yield(k.part(portID)) && yield(k.part(portToken)) && yield(k.part(idToken)) &&
		yield(swapped.part(portID)) && yield(swapped.part(idToken))
}

// ByCookie is the partial key that holds nothing but the cookie: what is left
// of a probe of which everything else was rewritten.
func (k Key) ByCookie() Key {
	return Key{view: cookie, Protocol: k.Protocol, Cookie: k.Cookie, HasCookie: true}
}

// Flow is the partial key that all probes of a flow share: what an answer
// that quotes nothing shows.
func (k Key) Flow() Key { return k.part(flow) }

func (k Key) part(v view) Key {
	part := Key{view: v, Dst: k.Dst, Protocol: k.Protocol, DstPort: k.DstPort}
	if v != idToken {
		part.SrcPort = k.SrcPort
	}
	if v == portID || v == idToken {
		part.ID = k.ID
	}
	if v == portToken || v == idToken {
		part.Token = k.Token
	}
	return part
}

// Agreement counts how many of the source port, the ID (also with its bytes
// swapped) and the Token are the same in a probe and in a quote: 0 when the
// destination, the protocol or the destination port differs.
func (k Key) Agreement(quote Key) int {
	if k.Dst != quote.Dst || k.Protocol != quote.Protocol || k.DstPort != quote.DstPort {
		return 0
	}
	n := 0
	if k.SrcPort == quote.SrcPort {
		n++
	}
	if k.ID == quote.ID || k.ID == bits.ReverseBytes16(quote.ID) {
		n++
	}
	if k.Token == quote.Token {
		n++
	}
	return n
}
