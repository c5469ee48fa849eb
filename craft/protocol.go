package craft

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Protocol is all that is particular to the probes of one protocol: the header, the
// field of it that identifies a probe, the capture filter, the socket that holds
// their port, and the names. Other packages ask it, not the protocol's number. It
// must not be changed.
//
// One more protocol is one more value in the table of this file, if a Token is known
// that it carries. A new kind of Token is a case beside the others wherever a switch
// in this package has them: in the builder, and in Key and Answer on the way back.
type Protocol struct {
	Number layers.IPProtocol // in the IP header

	Name  string // as JSON and the command line spell it: "udp"
	Title string // in a sentence: "UDP"
	Probe string // what one of its probes is: "UDP probe"

	// Token is the field that identifies a probe, besides port and IP ID.
	Token Token

	// Port is the port that is probed unless another is named. 0 says that there
	// are no ports: an identifier stands in place of the source port.
	Port uint16

	// Stream says that a socket of type SOCK_STREAM holds a port; else it is one of
	// type SOCK_DGRAM.
	Stream bool

	version  uint8 // of IP: the only one that has the protocol, or 0
	header   int   // the length of the header, without options
	checksum int   // where in the header the checksum is
	length   bool  // the header states the length of the datagram, at offset 4

	// layers are the header, with zero for what a patch writes.
	layers func(p *Probe, now uint32) []gopacket.SerializableLayer

	filter FlowFilter // with PORT in place of the port
}

// Token is a kind of header field that carries a value for each probe, which a
// quote or an answer returns.
type Token uint8

// The kinds of Token.
const (
	// Checksum: 16 bits. The payload is tuned until the header has it, and a cookie
	// follows. Answers are datagrams, which repeat nothing.
	Checksum Token = iota + 1
	// EchoSequence: 16 bits that count up, in ICMP echoes, whose replies return it
	// and the cookie.
	EchoSequence
	// Sequence: 32 bits, in TCP, whose answers acknowledge it. There is no payload.
	Sequence
)

// String is what the field is called.
func (t Token) String() string {
	if t == Checksum {
		return "checksum"
	}
	return "sequence number"
}

// FlowFilter tells, in the language of pcap-filter(7), the packets of flows that have
// one local port. Packets holds for all of them, From for those that leave the
// port, and To for those that reach it.
type FlowFilter struct{ Packets, From, To string }

// protocols are all protocols that probes can have, by their number in the IP header.
var protocols = [256]*Protocol{
	layers.IPProtocolUDP: {
		Number: layers.IPProtocolUDP, Name: "udp", Title: "UDP", Probe: "UDP probe", Port: 33434,
		Token: Checksum, header: udpHeader, checksum: 6, length: true, // RFC 768
		layers: func(*Probe, uint32) []gopacket.SerializableLayer { return []gopacket.SerializableLayer{&layers.UDP{}} },
		filter: FlowFilter{"udp", "src port PORT", "dst port PORT"},
	},
	layers.IPProtocolUDPLite: {
		Number: layers.IPProtocolUDPLite, Name: "udplite", Title: "UDP-Lite", Probe: "UDP-Lite probe", Port: 53,
		Token: Checksum, header: udpHeader, checksum: 6, // RFC 3828, section 3.1
		// A checksum coverage of 0 means all of the datagram.
		layers: func(*Probe, uint32) []gopacket.SerializableLayer {
			return []gopacket.SerializableLayer{gopacket.Payload(make([]byte, udpHeader))}
		},
		filter: FlowFilter{
			"((ip proto 136 and ip[6:2] & 0x1fff = 0) or ip6[6] = 136)",
			"((ip and ip[(ip[0] & 15) * 4:2] = PORT) or (ip6 and ip6[40:2] = PORT))",
			"((ip and ip[(ip[0] & 15) * 4 + 2:2] = PORT) or (ip6 and ip6[42:2] = PORT))",
		},
	},
	layers.IPProtocolTCP: {
		Number: layers.IPProtocolTCP, Name: "tcp", Title: "TCP", Probe: "TCP probe", Port: 80, Stream: true,
		Token: Sequence, header: tcpHeader, checksum: 16, // RFC 9293, section 3.1
		layers: func(p *Probe, now uint32) []gopacket.SerializableLayer {
			return []gopacket.SerializableLayer{p.TCP.layer(now)}
		},
		filter: FlowFilter{"tcp", "src port PORT", "dst port PORT"},
	},
	layers.IPProtocolICMPv4: {
		Number: layers.IPProtocolICMPv4, Name: "icmp", Title: "ICMP", Probe: "ICMP echo probe", version: 4,
		Token: EchoSequence, header: echoHeader, checksum: 2, // RFC 792
		layers: func(*Probe, uint32) []gopacket.SerializableLayer {
			echo := layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)
			return []gopacket.SerializableLayer{&layers.ICMPv4{TypeCode: echo}}
		},
		filter: FlowFilter{"icmp and icmp[4:2] = PORT", "icmp[0] = 8", "icmp[0] = 0"},
	},
	layers.IPProtocolICMPv6: {
		Number: layers.IPProtocolICMPv6, Name: "icmpv6", Title: "ICMPv6", Probe: "ICMP echo probe", version: 6,
		Token: EchoSequence, header: echoHeader, checksum: 2, // RFC 4443
		layers: func(*Probe, uint32) []gopacket.SerializableLayer {
			echo := layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)
			return []gopacket.SerializableLayer{&layers.ICMPv6{TypeCode: echo}, &layers.ICMPv6Echo{}}
		},
		filter: FlowFilter{"icmp6 and ip6[44:2] = PORT", "ip6[40] = 128", "ip6[40] = 129"},
	},
}

// Protocols returns all protocols that probes can have, in the order of their numbers.
func Protocols() (all []*Protocol) {
	for _, p := range protocols {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// ProtocolOf returns the Protocol with a number, or nil if no probe has it.
func ProtocolOf(number layers.IPProtocol) *Protocol { return protocols[number] }

// ReachesOver reports whether the family of an address has the protocol. A nil
// Protocol is of no family.
func (p *Protocol) ReachesOver(dst netip.Addr) bool {
	return p != nil && dst.IsValid() && (p.version == 0 || p.version == 4 == dst.Is4())
}

// token is the Token, or 0 if p is nil.
func (p *Protocol) token() Token {
	if p == nil {
		return 0
	}
	return p.Token
}

// HasPorts reports whether there are ports. A nil Protocol has none.
func (p *Protocol) HasPorts() bool { return p != nil && p.Port != 0 }

// Carries reports whether a kind of Token is what identifies a probe. A nil Protocol
// carries none.
func (p *Protocol) Carries(t Token) bool { return p != nil && p.Token == t }

// HeaderLength returns the length of the header that a transport packet begins with,
// options included, as far as it can be told from what is visible of it.
func (p *Protocol) HeaderLength(visible []byte) int {
	if p.Token == Sequence && len(visible) >= tcpHeader {
		return max(tcpHeader, int(visible[12]>>4)*4)
	}
	return p.header
}

// Filter returns the FlowFilter for a local port or identifier.
func (p *Protocol) Filter(port uint16) FlowFilter {
	number := strconv.Itoa(int(port))
	return FlowFilter{
		strings.ReplaceAll(p.filter.Packets, "PORT", number),
		strings.ReplaceAll(p.filter.From, "PORT", number),
		strings.ReplaceAll(p.filter.To, "PORT", number),
	}
}
