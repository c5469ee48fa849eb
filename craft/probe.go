// Package craft turns probes into frames, and frames back into what
// identifies a probe.
//
// A Builder makes complete frames: link header, IP header, transport header,
// payload. Key is the inverse: which fields of a probe, or of a router's quote
// of it, say whose it is. No other package knows that.
//
// A UDP probe carries its identity twice in its headers, in the IP ID and in
// the UDP checksum (the payload is tuned until the checksum comes out as
// wanted), and once more in a cookie in its payload. All three come from a
// keyed hash or a random start, so that nobody who does not see the probe can
// answer it.
package craft

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket/layers"
)

// Probe says what one probe looks like on the wire.
type Probe struct {
	Src, Dst netip.Addr        // both of the same family
	Protocol layers.IPProtocol // zero means UDP
	TTL      uint8
	TOS      uint8
	DF       bool   // don't fragment
	ID       uint16 // IP ID; a destination's stack may replace 0, so use others

	SrcPort, DstPort uint16

	// Length is the length of the IP packet in bytes, header included; from
	// MinLength up to 65535. What the identity leaves of the payload is
	// filled with a pattern.
	Length int
}

// MinLength is the smallest length of an IP packet that holds a UDP probe's
// whole identity: headers, the tuned word and the cookie.
const MinLength = 20 + 8 + tuneLength + cookieLength

// ErrProbe is wrapped by the errors of a Builder for a probe that can't be
// built.
var ErrProbe = errors.New("craft: can't build probe")

func (p *Probe) validate() error {
	switch {
	case p.Protocol != 0 && p.Protocol != layers.IPProtocolUDP:
		return fmt.Errorf("%w: protocol %v is not supported", ErrProbe, p.Protocol)
	case !p.Src.Is4() || !p.Dst.Is4():
		return fmt.Errorf("%w: %v to %v is not IPv4", ErrProbe, p.Src, p.Dst)
	case p.Length < MinLength || p.Length > 65535:
		return fmt.Errorf("%w: %d bytes: the length goes from %d to 65535", ErrProbe, p.Length, MinLength)
	}
	return nil
}
