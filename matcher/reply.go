package matcher

import (
	"net/netip"
	"time"
)

// Kind is what sort of reply a probe drew.
type Kind uint8

// The kinds of reply.
const (
	TimeExceeded     Kind = iota + 1 // a router's: ICMP type 11 code 0 (RFC 792), ICMPv6 type 3 code 0 (RFC 4443)
	Unreachable                      // ICMP type 3, ICMPv6 type 1, any code but that of PacketTooBig
	PacketTooBig                     // ICMP type 3 code 4, ICMPv6 type 2
	ParameterProblem                 // ICMP type 12, ICMPv6 type 4
	UDP                              // the destination's own answer: a datagram
	EchoReply                        // … an ICMP or ICMPv6 echo reply
	SYNACK                           // … of a TCP port that is open
	RST                              // … of one that is closed
)

var kinds = [...]string{
	TimeExceeded: "time-exceeded", Unreachable: "unreachable", PacketTooBig: "packet-too-big", ParameterProblem: "parameter-problem",
	UDP: "udp", EchoReply: "echo-reply", SYNACK: "syn-ack", RST: "rst",
}

// String returns the kind as the JSON output spells it.
func (k Kind) String() string { return kinds[k] }

// Rule is what tied a reply to its probe.
type Rule uint8

// The rules, the surest first.
const (
	// ByCookie: the reply shows the probe's cookie.
	ByCookie Rule = iota + 1
	// ByFields: the reply shows no cookie, but agrees in all else: destination,
	// source port, ID, and checksum or sequence number; an answer, in what it
	// returns. Only one probe has them.
	ByFields
	// ByOrder: several probes look alike; the earliest without a reply got it.
	ByOrder
	// ByTranslation: the quote agrees with the probe, and with no other, under the
	// Translation that at least three replies to different probes agree on, or that
	// the cookie in another proves.
	ByTranslation
	// ByTwo: the destination and two of source port, ID and checksum or sequence
	// number agree with this probe alone. The Translation is only this reply's.
	ByTwo
	// ByPorts: the destination and ports agree, and no other probe has the same; ID
	// and checksum were rewritten, as they are for all that get this far.
	ByPorts
	// Alone: an answer that quotes nothing, and only one probe was
	// outstanding that could have drawn it. Who knows the ports could have sent it.
	Alone
	// Ambiguous: an answer that quotes nothing, and more than one probe could
	// have drawn it. It comes from where it says, if nobody forged it, but its
	// round trip is not known.
	Ambiguous
)

var rules = [...]string{
	ByCookie: "cookie", ByFields: "fields", ByOrder: "order", ByTranslation: "translation", ByTwo: "two-fields", ByPorts: "ports",
	Alone: "alone", Ambiguous: "ambiguous",
}

// String returns the rule as the JSON output spells it.
func (r Rule) String() string { return rules[r] }

// Reply is a reply to a probe, as it was captured.
type Reply struct {
	From     netip.Addr
	Frame    int       // its number in the capture (see frame.Frame); 0 if not known
	Received time.Time // the capture's stamp
	Read     time.Time // when the program got it; zero if not known
	Kind     Kind
	ICMPType uint8 // of an ICMP error
	ICMPCode uint8
	MTU      uint32 // of the next link, where PacketTooBig states it (RFC 1191)
	TTL      uint8  // the reply's own, as it arrived

	MatchedBy   Rule
	Translation Translation // of an ICMP error: what it quotes of the probe's identity otherwise than it was sent
	Quoted      Quote       // of an ICMP error
	Extensions  *Extensions // of an ICMP error: its multi-part extensions (RFC 4884); nil if it has none
}

// Quote is what an ICMP error quotes of the probe's headers: how the probe
// looked where the error was made.
type Quote struct {
	Src, Dst  netip.Addr
	TTL       uint8
	TOS       uint8
	DF        bool   // of IPv4
	ID        uint16 // of IPv4
	FlowLabel uint32 // of IPv6
	Length    int    // of the whole packet, as its header states it

	// SrcPort and DstPort are the ports; an ICMP echo has its identifier as
	// SrcPort. They are always visible in a quote that is matched.
	SrcPort, DstPort uint16

	// Checksum is the transport header's checksum. HasChecksum says whether
	// the quote is long enough to show it.
	Checksum    uint16
	HasChecksum bool
}

// IsUnverified reports whether nothing in the reply shows that whoever sent it saw the
// probe: a datagram with nothing of the probe's in it.
func (r *Reply) IsUnverified() bool {
	return r.Kind == UDP && (r.MatchedBy == Alone || r.MatchedBy == Ambiguous)
}

// IsQuoted reports whether the reply quotes the probe: whether Quoted is set.
func (r *Reply) IsQuoted() bool { return r.Kind < UDP }
