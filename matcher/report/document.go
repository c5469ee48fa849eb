package report

import (
	"net/netip"
	"time"
)

// Document is a trace as JSON, or a host that could not be traced. Its fields are in
// the order in which they are written, and Schema has more of each. Durations are in
// nanoseconds.
type Document struct {
	Schema      string   `json:"schema"` // Version
	Target      Target   `json:"target"`
	Error       string   `json:"error,omitempty"` // why the host could not be traced; absent if it was
	Source      *Source  `json:"source"`          // null only where there is an error
	Protocol    *string  `json:"protocol"`        // udp, tcp, icmp or icmpv6; null only where there is an error
	Tool        *string  `json:"tool"`            // the program that sent the probes, or that they look like
	Options     *Options `json:"options"`         // null only where there is an error
	Clock       Clock    `json:"clock"`
	Started     Stamp    `json:"started"`
	Ended       Stamp    `json:"ended"`
	Reached     bool     `json:"reached"`     // the target itself answered
	Interrupted bool     `json:"interrupted"` // the trace was ended before it had concluded
	Hops        []Hop    `json:"hops"`        // up to the end of the path; then responders at an unknown distance
	Counters    Counters `json:"counters"`
	Gaps        []Gap    `json:"gaps"` // in the order of time

	PathMTU  []MTU     `json:"path_mtu"` // null if it was not sought, or not found
	Findings []Finding `json:"findings"` // by hop and kind
}

// Marshal returns the document as a line, with its line feed.
func (d *Document) Marshal() ([]byte, error) { return JSON(d) }

// Target is where a trace goes.
type Target struct {
	Host string      `json:"host"` // as the user named it
	Addr *netip.Addr `json:"addr"` // null only where there is an error
}

// Source is where a trace comes from, and its first step on the wire.
type Source struct {
	Addr       netip.Addr  `json:"addr"`
	Interface  *string     `json:"interface"` // null if a capture does not name it
	MAC        *string     `json:"mac"`       // null on a link without MAC addresses
	NextHop    *netip.Addr `json:"next_hop"`  // the target itself if it is on the link
	NextHopMAC *string     `json:"next_hop_mac"`
	Also       []string    `json:"also"` // further interfaces that were captured on; null if there are none
}

// Options are the settings that shaped a trace. If it was found in a capture, they are
// what its probes show; what they do not show is null.
type Options struct {
	FirstTTL   *uint8         `json:"first_ttl"`
	MaxTTL     *uint8         `json:"max_ttl"`
	Queries    *int           `json:"queries"`   // probes for each TTL
	InFlight   *int           `json:"in_flight"` // most probes outstanding at a time
	Wait       *time.Duration `json:"wait_ns"`   // the longest wait for a reply
	Here       *float64       `json:"wait_here"` // see path.Wait
	Near       *float64       `json:"wait_near"` // see path.Wait
	Interval   *time.Duration `json:"interval_ns"`
	SrcPort    *uint16        `json:"src_port"`   // of the first probe; null for ICMP
	DstPort    *uint16        `json:"dst_port"`   // of the first probe; null for ICMP
	Identifier *uint16        `json:"identifier"` // null except for ICMP
	ID         *uint16        `json:"id"`         // IP ID of the first probe; null for IPv6
	Length     *int           `json:"length"`     // of the IP packets, in bytes
	TOS        *uint8         `json:"tos"`
	DF         *bool          `json:"dont_fragment"` // null for IPv6
	FlowLabel  *uint32        `json:"flow_label"`    // null for IPv4
	Classic    *bool          `json:"classic"`       // the destination port rises from probe to probe
	MTU        *bool          `json:"seek_mtu"`
	Payload    *string        `json:"payload"` // in hexadecimal
	TCP        *TCP           `json:"tcp"`     // null for other protocols, and in captures
	Gateways   []netip.Addr   `json:"gateways"`
	Seed       *uint64        `json:"seed"`
}

// TCP is the header of TCP probes.
type TCP struct {
	Flags      []string `json:"flags"` // as craft.TCPFlags.Names returns them
	MSS        *uint16  `json:"mss"`   // null without this option
	SACK       bool     `json:"sack"`
	Timestamps bool     `json:"timestamps"`
	Scale      *uint8   `json:"window_scale"` // null without this option
}

// Clock says where the times of a trace come from.
type Clock struct {
	TX      string `json:"tx"` // kernel, user, mixed, or capture
	RX      string `json:"rx"` // kernel or capture
	Stepped bool   `json:"stepped"`
}

// Counters count what was sent and what came back: see path.Counters.
type Counters struct {
	Sent      int `json:"sent"`
	Received  int `json:"received"`
	Late      int `json:"late"`
	Duplicate int `json:"duplicate"`
	Foreign   int `json:"foreign"`
	Malformed int `json:"malformed"`
	Evicted   int `json:"evicted"`
	Dropped   int `json:"capture_dropped"`
}

// Hop is a distance from the source, and the probes that were answered there, or were
// sent there and not answered. A null TTL is not known: the hop is a responder.
type Hop struct {
	TTL    *uint8  `json:"ttl"`
	Probes []Probe `json:"probes"`
}

// Departure is a probe as it left. If the probe is known by its reply alone, all of it
// is null except the number and what the reply shows.
type Departure struct {
	Number     int            `json:"number"` // from 0, in the order of sending
	TTL        *uint8         `json:"ttl"`
	Round      *int           `json:"round"`      // from 1
	ID         *uint16        `json:"id"`         // null for IPv6
	SrcPort    *uint16        `json:"src_port"`   // null for ICMP
	DstPort    *uint16        `json:"dst_port"`   // null for ICMP
	Identifier *uint16        `json:"identifier"` // null except for ICMP
	Sequence   *uint32        `json:"sequence"`   // of ICMP and TCP
	Length     *int           `json:"length"`     // of the IP packet, in bytes
	Sent       Stamp          `json:"sent"`       // null if it never left
	SentClock  *string        `json:"sent_clock"` // kernel, user or capture; null where Sent is
	CallToWire *time.Duration `json:"call_to_wire_ns"`
}

// Probe is a probe and its replies.
type Probe struct {
	Departure
	Status string  `json:"status"` // reply, late, timeout, unsent or abandoned
	Reply  *Reply  `json:"reply"`  // the first
	Extra  []Reply `json:"extra_replies"`
}

// Reply is a reply to a probe.
type Reply struct {
	From          netip.Addr     `json:"from"`
	Name          *string        `json:"name"`
	Received      Stamp          `json:"received"`
	RTT           *time.Duration `json:"rtt_ns"` // null if it is not known which probe was answered
	WireToProgram *time.Duration `json:"wire_to_program_ns"`
	Kind          string         `json:"kind"`      // as matcher.Kind spells it
	Hop           *uint8         `json:"hop"`       // null if the probe is not known
	Basis         *string        `json:"hop_basis"` // as path.Basis spells it
	ICMPType      *uint8         `json:"icmp_type"` // null except for ICMP errors
	ICMPCode      *uint8         `json:"icmp_code"` // null except for ICMP errors
	MTU           *uint32        `json:"mtu"`       // that a packet-too-big states
	TTL           uint8          `json:"ttl"`       // the reply's own, as it arrived
	Late          bool           `json:"late"`
	MatchedBy     *string        `json:"matched_by"` // as matcher.Rule spells it
	Quoted        *Quote         `json:"quoted"`     // null except for ICMP errors

	Extensions *Extensions `json:"extensions"` // null if there are none
}

// Quote is what an ICMP error quotes of the probe.
type Quote struct {
	TTL      uint8   `json:"ttl"`
	TOS      uint8   `json:"tos"`
	ID       *uint16 `json:"id"`     // null for IPv6
	Length   int     `json:"length"` // of the whole packet, in bytes
	Checksum *uint16 `json:"checksum"`
}

// Extensions are the multi-part extensions of an ICMP error (RFC 4884).
type Extensions struct {
	Text     string   `json:"text"`   // as traceroute -e prints them
	Offset   int      `json:"offset"` // how many bytes of the quote precede them
	Stated   *int     `json:"stated"` // what the message says that Offset is
	Verified bool     `json:"verified"`
	Objects  []Object `json:"objects"`
}

// Object is an object of an ICMP extension. If its class is known, Labels, Interface
// or Node has what it says; if it is not, or the object is malformed, Payload does.
type Object struct {
	Class     uint8      `json:"class"`
	Type      uint8      `json:"type"`
	Length    int        `json:"length"` // in bytes, as its header states it
	Malformed bool       `json:"malformed"`
	Labels    []Label    `json:"labels"`
	Interface *Interface `json:"interface"`
	Node      *Node      `json:"node"`
	Payload   *string    `json:"payload"` // in hexadecimal
}

// Label is an entry of an MPLS label stack (RFC 4950).
type Label struct {
	Label  uint32 `json:"label"`
	TC     uint8  `json:"tc"`
	Bottom bool   `json:"bottom"`
	TTL    uint8  `json:"ttl"`
}

// Interface is what a router says of one of its interfaces (RFC 5837).
type Interface struct {
	Role    string      `json:"role"` // as matcher.InterfaceRole spells it
	Index   *uint32     `json:"index"`
	Name    *string     `json:"name"`
	Address *netip.Addr `json:"address"`
	MTU     *uint32     `json:"mtu"`
}

// Node is what a router says of itself.
type Node struct {
	Address *netip.Addr `json:"address"`
	Name    *string     `json:"name"`
}

// Gap is a time during which the capture lost frames, or could not get any.
type Gap struct {
	From   Stamp  `json:"from"`
	To     Stamp  `json:"to"`
	Cause  string `json:"cause"`  // as frame.Cause spells it
	Frames *int   `json:"frames"` // how many were lost
	Probes []int  `json:"probes"` // numbers of the probes that may have been answered then
}

// MTU is where the MTU of a path is known at first, or smaller than before.
type MTU struct {
	Hop   uint8  `json:"hop"`
	MTU   int    `json:"mtu"`   // in bytes of the IP packet
	Known string `json:"known"` // as plan.SizeBasis spells it
}

// Finding is what the path did to the probes: see findings.Finding.
type Finding struct {
	Kind       string `json:"kind"`     // as findings.Kind spells it
	HopFrom    *uint8 `json:"hop_from"` // null where findings.Finding has 0
	HopTo      *uint8 `json:"hop_to"`   // null where findings.Finding has 0
	Evidence   []int  `json:"evidence"` // numbers of probes
	Detail     string `json:"detail"`
	Confidence string `json:"confidence"` // as findings.Confidence spells it
}
