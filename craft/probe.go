// Package craft turns probes into frames, and frames back into what
// identifies a probe.
//
// A Builder makes complete frames: link header, IP header, transport header,
// payload. Key is the inverse: which fields of a probe, or of a router's quote
// of it, say whose it is. No other package knows that. The protocol and the
// family are values here: see Protocol.
//
// A probe carries its identity at least twice. Over IPv4 the IP ID tells
// probes apart. Besides that, and alone over IPv6, it is in the transport header:
//
//   - UDP: in the checksum; the first word of the payload is tuned until it
//     comes out as wanted, and a cookie follows. Where the payload is given, as
//     with a DNS query, that word is the query's ID, which the answer repeats.
//   - ICMP echo: in the sequence number and a cookie. The checksum is the same
//     in all probes, since some routers choose the path by it; a tuned word makes
//     up for the rest.
//   - TCP: in the sequence number.
//
// All of these come from a keyed hash or a random start, so that nobody who
// does not see the probe can answer it. A Series says which probe has which, and
// is the only place that draws from a seed.
package craft

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Probe says what one probe looks like on the wire. Probes can be compared.
type Probe struct {
	// Src and Dst are of the same family. A zone is not looked at.
	Src, Dst netip.Addr

	// Protocol is UDP, which zero means too, UDP-Lite, TCP, or the family's ICMP,
	// which is an echo request.
	Protocol layers.IPProtocol

	TTL       uint8  // time to live, or hop limit
	TOS       uint8  // type of service, or traffic class
	DF        bool   // don't fragment; routers never fragment IPv6
	FlowLabel uint32 // of IPv6: 20 bits

	// Epoch tells apart the probes of an endless run, whose IDs are used again and
	// again: probes that differ in it alone have other cookies, and other checksums
	// or sequence numbers of UDP and TCP.
	Epoch uint32

	// ID is the IP ID; a destination's stack may replace 0, so use others.
	// IPv6 has none: there it only tells the probes of a run apart. The sequence
	// number of an ICMP echo counts with it, from a keyed start.
	ID uint16

	// Flow tells apart flows that the ports alone don't. Of ICMP echoes it says which
	// of the constant checksums they have; in others it changes nothing.
	Flow uint16

	// SrcPort and DstPort are the ports. An ICMP echo has its identifier as
	// SrcPort, and no DstPort: that is not looked at.
	SrcPort, DstPort uint16

	// Length is the length of the IP packet in bytes, header included: from
	// MinLength up to what the IP header can state. What the identity leaves of
	// the payload is filled with a pattern. 0 means DefaultLength.
	//
	// A TCP probe that is longer than MinLength carries data. A SYN may (RFC
	// 9293, section 3.4), but some firewalls drop it, and a RST acknowledges the
	// data too, so that it does not say which probe it answers.
	Length int

	// Payload is what a UDP or UDP-Lite probe carries in place of pattern and cookie, from
	// two bytes up. The first two are replaced by the tuned word.
	Payload string

	TCP   TCP   // of a TCP probe
	Route Route // of IPv4: the gateways to pass on the way to Dst
}

// MinLength is the length of the shortest probe of all: UDP or ICMP echo over
// IPv4.
const MinLength = ipv4Header + udpHeader + tuneLength + cookieLength

// maxFlowLabel is the largest flow label (RFC 8200, section 3).
const maxFlowLabel = 0xfffff

// ErrProbe is wrapped by the errors of a Builder for a probe that can't be
// built.
var ErrProbe = errors.New("craft: can't build probe")

// MinLength is the smallest Length that p can have, by its protocol, family and
// options: headers and the whole identity.
func (p *Probe) MinLength() int {
	n := p.ipHeader() + p.transportHeader()
	switch {
	case p.token() == Sequence:
		return n
	case p.Payload != "":
		return n + len(p.Payload)
	}
	return n + tuneLength + cookieLength
}

// DefaultLength is the Length that 0 stands for: 60 bytes over IPv4 and 80 over
// IPv6, as traceroute's, or MinLength if that is more. A TCP probe, or one whose
// Payload is given, is as short as can be.
func (p *Probe) DefaultLength() int {
	n := p.MinLength()
	switch {
	case p.token() == Sequence || p.Payload != "":
		return n
	case p.Dst.Is4():
		return max(n, 60)
	}
	return max(n, 80)
}

// length is Length, or what stands for it.
func (p *Probe) length() int {
	if p.Length == 0 {
		return p.DefaultLength()
	}
	return p.Length
}

func (p *Probe) protocol() layers.IPProtocol {
	if p.Protocol == 0 {
		return layers.IPProtocolUDP
	}
	return p.Protocol
}

// token is the kind of the probe's Token; 0 for a protocol that isn't known.
func (p *Probe) token() Token { return ProtocolOf(p.protocol()).token() }

// ipHeader is how long the IP header is, options included.
func (p *Probe) ipHeader() int {
	if p.Dst.Is4() {
		return ipv4Header + p.Route.optionsLength()
	}
	return ipv6Header
}

// transportHeader is how long the transport header is, options included.
func (p *Probe) transportHeader() int {
	known := ProtocolOf(p.protocol())
	switch {
	case known == nil:
		return promised
	case known.Number == layers.IPProtocolTCP:
		return known.header + p.TCP.optionsLength()
	}
	return known.header
}

// validate says what keeps p from being built. Its protocol is that of the
// family.
func (p *Probe) validate() error {
	low, high := p.MinLength(), 65535
	if p.Dst.Is6() {
		high += ipv6Header
	}
	n := p.length()
	switch {
	case !p.sameFamily():
		return fmt.Errorf("%w: %v to %v is neither IPv4 nor IPv6", ErrProbe, p.Src, p.Dst)
	case !ProtocolOf(p.protocol()).ReachesOver(p.Dst):
		return fmt.Errorf("%w: protocol %v is not supported to %v", ErrProbe, p.Protocol, p.Dst)
	case n < low || n > high:
		return fmt.Errorf("%w: %d bytes: the length goes from %d to %d", ErrProbe, n, low, high)
	}
	return p.validateParts(n == low)
}

func (p *Probe) sameFamily() bool {
	return p.Src.Is4() && p.Dst.Is4() || p.Src.Is6() && p.Dst.Is6() && !p.Src.Is4In6() && !p.Dst.Is4In6()
}

// validateParts checks the parts that not every probe has. Shortest says that
// the probe has the least length.
func (p *Probe) validateParts(shortest bool) error {
	switch {
	case p.FlowLabel > maxFlowLabel || p.FlowLabel != 0 && p.Dst.Is4():
		return fmt.Errorf("%w: flow label %#x: it has 20 bits, and is IPv6's", ErrProbe, p.FlowLabel)
	case p.Route != Route{} && p.Dst.Is6():
		return fmt.Errorf("%w: a source route is IPv4's", ErrProbe)
	case p.Payload != "" && p.token() != Checksum:
		return fmt.Errorf("%w: a payload is UDP's or UDP-Lite's", ErrProbe)
	case p.Payload != "" && (len(p.Payload) < tuneLength || !shortest):
		return fmt.Errorf("%w: a payload of %d bytes, in a packet of %d", ErrProbe, len(p.Payload), p.length())
	case p.TCP != TCP{} && p.protocol() != layers.IPProtocolTCP:
		return fmt.Errorf("%w: TCP options over another protocol", ErrProbe)
	case p.TCP.Scale > maxScale || p.TCP.Scale != 0 && !p.TCP.Scaling:
		return fmt.Errorf("%w: a window scale of %d: it goes up to %d, and needs its option", ErrProbe, p.TCP.Scale, maxScale)
	}
	return nil
}
