// Package path says what a trace found: the probes, their replies, and the
// hops that answered.
//
// A Recorder turns captured frames into a Path; nothing else does, whether
// the frames come from a live handle or from a file.
package path

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// Path is what is known of the path to a target.
type Path struct {
	Target     Target
	Source     Source
	Protocol   layers.IPProtocol
	Parameters Parameters
	Clock      Clock

	// Tool is the program that sent the probes; in a capture of somebody
	// else's, the one that they look like, or "" if they look like none.
	Tool string

	// Started is when the trace began and Ended when it was over, by the
	// clock that stamps the frames. Ended is zero while it runs.
	Started, Ended time.Time

	// Flooded says that so many replies which quote the flow of the probes failed the
	// checks that somebody is forging them, or a program has the same flow.
	Flooded bool

	// Interrupted says that the trace was ended before it had concluded.
	Interrupted bool

	// Cut says that the recording lacks the end of the trace, as one on a full disk. The
	// trace counts as Interrupted, though it may have gone on.
	Cut bool

	Probes   []Probe // in the order of sending
	Counters Counters

	// Gaps are when the capture missed frames, as far as it says so.
	Gaps []frame.Gap
}

// Target is where a trace goes.
type Target struct {
	Host string // as the user named it
	Addr netip.Addr
}

// CheckTarget says why no path can be traced to an address, if so: an error that is no
// sentence of its own.
func CheckTarget(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errors.New("it is no address")
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return errors.New("it is no host's address")
	case a.IsMulticast():
		return errors.New("it is a multicast address")
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("it is the broadcast address")
	}
	return nil
}

// Source is where a trace comes from, and its first step on the wire.
type Source struct {
	Addr       netip.Addr
	Interface  string
	MAC        net.HardwareAddr // nil on a link without such addresses
	NextHop    netip.Addr       // the target itself if it is on the link
	NextHopMAC net.HardwareAddr

	// Also are the interfaces besides Interface by which replies to Addr could
	// arrive, where they were captured too. Nil if there are none.
	Also []string
}

// Parameters are the settings that shaped a trace. Of a trace found in a capture
// (Clock.Captured) they are what its probes show: FirstTTL, MaxTTL and Queries
// are what was sent, ports and ID the first probe's, and InFlight, Interval and
// Seed are zero.
type Parameters struct {
	FirstTTL, MaxTTL uint8
	Queries          int
	InFlight         int
	Wait             Wait
	Interval         time.Duration // least time between two probes
	SrcPort, DstPort uint16
	ID               uint16 // IP ID of the first probe
	Length           int    // of the IP packet, in bytes
	TOS              uint8
	DF               bool
	Seed             uint64 // from which the identity of the probes follows

	FlowLabel uint32       // of IPv6
	Classic   bool         // DstPort rises from probe to probe
	MTU       bool         // the MTU of each hop is sought: Length is the longest probe's
	Payload   string       // of UDP probes, where it is given
	TCP       craft.TCP    // of TCP probes
	Gateways  []netip.Addr // of a loose source route
}

// Wait is how long a reply is waited for: Max at most. A TTL that has answered
// before is not waited for longer than Here times that round trip, and one
// below a TTL that has answered not longer than Near times that round trip;
// but always at least MinWait, or Max if that is less. Factors of 0 don't
// count.
type Wait struct {
	Max        time.Duration
	Here, Near float64
}

// MinWait is the time that every probe is waited for, however fast its
// neighbours answer: routers often take longer to make an ICMP error than to
// forward a packet.
const MinWait = 500 * time.Millisecond

// Clock says where the times of a trace come from.
type Clock struct {
	// Stepped says that the wall clock was set while the trace ran: a round
	// trip during which it happened is wrong by as much.
	Stepped bool

	// Captured says that the stamps are those of a capture which doesn't tell
	// where it has them from.
	Captured bool
}

// Counters count what was sent and what came back.
type Counters struct {
	Sent      int // probes that left, or were handed to the system to send
	Received  int // probes answered in time
	Late      int // probes answered after the wait was over
	Duplicate int // further replies to probes that were answered
	Foreign   int // replies that are not, beyond doubt, to a probe of this trace, or of another beside it
	Malformed int // broken ICMP errors

	// Evicted is how many packets of a capture were forgotten, for lack of
	// memory, that a later reply might have shown to be probes of this trace.
	Evicted int

	// Dropped is how many frames the capture lost, by its own account.
	Dropped int
}

// SentClock is the clock that stamped a probe.
type SentClock uint8

// The clocks.
const (
	Kernel  SentClock = iota // the captured copy of the probe
	User                     // the program, just before it handed the probe over: no copy was captured
	Capture                  // a capture that doesn't tell what clock it had
)

// String returns the clock as the JSON output spells it.
func (c SentClock) String() string { return [...]string{"kernel", "user", "capture"}[c] }

// Status is what became of a probe.
type Status uint8

// The statuses.
const (
	Outstanding Status = iota // a reply may still come
	Replied                   // in time
	Late                      // replied, after the wait was over
	Timeout                   // no reply, and its deadline has passed
	Unsent                    // never left
	Abandoned                 // no reply by the end of the trace, which came before its deadline
)

// String returns the status as the JSON output spells it. A hop can be final
// while a probe that went beyond the end of the path is outstanding: nobody waits
// for it, so it counts as abandoned there.
func (s Status) String() string {
	return [...]string{"abandoned", "reply", "late", "timeout", "unsent", "abandoned"}[s]
}

// Probe is one probe of a trace. Its fields are in an order that leaves no gaps
// in memory.
type Probe struct {
	Number           int    // from 0, in the order of sending
	Length           int    // of the IP packet, in bytes; 0 if not known
	Round            int    // from 1: how often this TTL was probed by then
	Sequence         uint32 // of ICMP echo and TCP: the sequence number
	ID               uint16 // of IPv4
	SrcPort, DstPort uint16 // an ICMP echo has its identifier as SrcPort
	TTL              uint8  // as sent; 0 of a probe that is known by its reply alone

	Status    Status
	SentClock SentClock

	// Of the captured copy, if there was one: the transport header's checksum
	// on the wire, and its number in the capture (0 if not known).
	HasChecksum bool
	Checksum    uint16
	Frame       int

	Called time.Time // when the program handed it to the system; zero if not known
	Sent   time.Time // by SentClock; zero if Unsent, and where TTL is 0

	Reply *Reply  // the first; nil if there is none
	Extra []Reply // the others, up to MaxExtra; Counters has them all
}

// MaxExtra is how many further replies to a probe are kept.
const MaxExtra = 16

// Reply is a reply to a probe, and the hop it tells of.
type Reply struct {
	matcher.Reply

	// RTT is the time from the probe's stamp to the reply's. It is not known
	// (HasRTT is false) of an answer that may be another probe's.
	RTT    time.Duration
	HasRTT bool

	Hop   uint8 // the hop that answered; 0 if the probe is not known
	Basis Basis // how that is known

	Late bool // it came after the wait was over
}

// Basis is the rule that says which hop a reply is from.
type Basis uint8

// The rules. The zero Basis is none.
const (
	// BySentTTL: a time-exceeded is made where the TTL ran out.
	BySentTTL Basis = iota + 1
	// ByQuotedTTL: the destination quotes the TTL that was left.
	ByQuotedTTL
	// BySameAddress: the same address answered a time-exceeded there.
	BySameAddress
	// ByArithmetic: the quoted TTL says so, and nothing else does. A router
	// that quotes after it has decremented is one hop nearer than that.
	ByArithmetic
	// ByLowestTTL: the lowest TTL that drew such a reply from there. No reply is from
	// farther away.
	ByLowestTTL
)

// String returns the basis as the JSON output spells it.
func (b Basis) String() string {
	return [...]string{"", "sent-ttl", "quoted-ttl", "same-address", "arithmetic", "lowest-ttl"}[b]
}

// Reached reports whether the target itself answered. A time-exceeded from the
// target's address does not count: address translation on the way makes such.
func (p *Path) Reached() bool {
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && p.isTarget(r) {
			return true
		}
	}
	return false
}

// Unverified reports whether the target answered, but nothing in what it answered shows
// that whoever sent it saw the probes: anybody who knows the ports can have.
func (p *Path) Unverified() bool {
	unverified := false
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && p.isTarget(r) {
			if !r.IsUnverified() {
				return false
			}
			unverified = true
		}
	}
	return unverified
}

func (p *Path) isTarget(r *Reply) bool {
	return r.From == p.Target.Addr && r.Kind != matcher.TimeExceeded
}

// End returns the hop at which the path ends: the target's, or the nearest of a
// router that says it can't be reached, unless something farther away answered.
// It is 0 when neither is known. One answer of the target that nothing shows to be
// no forgery (matcher.Reply.IsUnverified) does not end a path by itself.
func (p *Path) End() uint8 {
	var target, refusal, farthest uint8
	var evidence evidence
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && p.isTarget(r) {
			evidence.add(r)
			target = lowest(target, r.Hop)
		} else if r != nil && r.Kind == matcher.TimeExceeded {
			farthest = max(farthest, r.Hop)
		}
	}
	if p.endedBy(evidence, target, farthest) {
		return target
	}
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && p.refuses(r) && !r.IsUnverified() && r.Hop >= farthest {
			refusal = lowest(refusal, r.Hop)
		}
	}
	return refusal
}

// evidence is what the target's answers to different probes are worth.
type evidence struct{ verified, unverified int }

func (e *evidence) add(r *Reply) {
	if r.IsUnverified() {
		e.unverified++
	} else {
		e.verified++
	}
}

// endedBy reports whether the target's answers, which put it at a hop, end the path.
// Unverified ones don't if a router answered from there or farther away, nor does
// one alone. In a capture they do: its trace is over.
func (p *Path) endedBy(answers evidence, hop, farthest uint8) bool {
	if answers.verified > 0 || p.Clock.Captured {
		return answers.verified+answers.unverified > 0
	}
	return answers.unverified > 1 && hop > farthest
}

// refuses reports whether a reply says that nothing like its probe gets farther.
func (p *Path) refuses(r *Reply) bool {
	return r.Kind != matcher.TimeExceeded && !(p.Parameters.MTU && r.Kind == matcher.PacketTooBig)
}

// lowest is the smaller of two hops, of which 0 is none.
func lowest(a, b uint8) uint8 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// IsPortUnreachable reports whether the reply says that no program has the port
// that the probe was for: of a target, that the probe has got there.
func (r *Reply) IsPortUnreachable() bool {
	code := uint8(3) // RFC 792
	if r.From.Is6() {
		code = 4 // RFC 4443
	}
	return r.Kind == matcher.Unreachable && r.ICMPCode == code
}
