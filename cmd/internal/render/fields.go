package render

import (
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// stampFormat is RFC 3339 with all nine digits of a nanosecond.
const stampFormat = "2006-01-02T15:04:05.000000000Z07:00"

// stamp is a time in JSON: null when it is not known.
type stamp time.Time

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().AppendFormat(nil, `"`+stampFormat+`"`), nil
}

type sourceJSON struct {
	Addr       netip.Addr  `json:"addr"`
	Interface  *string     `json:"interface"`
	MAC        *string     `json:"mac"`
	NextHop    *netip.Addr `json:"next_hop"`
	NextHopMAC *string     `json:"next_hop_mac"`
	Also       []string    `json:"also"`
}

type optionsJSON struct {
	FirstTTL   *uint8         `json:"first_ttl"`
	MaxTTL     *uint8         `json:"max_ttl"`
	Queries    *int           `json:"queries"`
	InFlight   *int           `json:"in_flight"`
	Wait       *time.Duration `json:"wait_ns"`
	Here       *float64       `json:"wait_here"`
	Near       *float64       `json:"wait_near"`
	Interval   *time.Duration `json:"interval_ns"`
	SrcPort    *uint16        `json:"src_port"`
	DstPort    *uint16        `json:"dst_port"`
	Identifier *uint16        `json:"identifier"`
	ID         *uint16        `json:"id"`
	Length     *int           `json:"length"`
	TOS        *uint8         `json:"tos"`
	DF         *bool          `json:"dont_fragment"`
	FlowLabel  *uint32        `json:"flow_label"`
	Classic    *bool          `json:"classic"`
	MTU        *bool          `json:"seek_mtu"`
	Payload    *string        `json:"payload"`
	TCP        *tcpJSON       `json:"tcp"`
	Gateways   []netip.Addr   `json:"gateways"`
	Seed       *uint64        `json:"seed"`
}

// tcpJSON is what is chosen of TCP probes.
type tcpJSON struct {
	Flags      []string `json:"flags"`
	MSS        *uint16  `json:"mss"`
	SACK       bool     `json:"sack"`
	Timestamps bool     `json:"timestamps"`
	Scale      *uint8   `json:"window_scale"`
}

// newTCP is nil for probes of another protocol.
func newTCP(t craft.TCP) *tcpJSON {
	j := &tcpJSON{Flags: t.Flags.Names(), MSS: pointer(t.MSS), SACK: t.SACK, Timestamps: t.Timestamps}
	if t.Scaling {
		j.Scale = &t.Scale
	}
	return j
}

type clockJSON struct {
	TX      string `json:"tx"`
	RX      string `json:"rx"`
	Stepped bool   `json:"stepped"`
}

type countersJSON struct {
	Sent      int `json:"sent"`
	Received  int `json:"received"`
	Late      int `json:"late"`
	Duplicate int `json:"duplicate"`
	Foreign   int `json:"foreign"`
	Malformed int `json:"malformed"`
	Evicted   int `json:"evicted"`
	Dropped   int `json:"capture_dropped"`
}

type hopJSON struct {
	TTL    *uint8      `json:"ttl"`
	Probes []probeJSON `json:"probes"`
}

// sentJSON is a probe as it left.
type sentJSON struct {
	Number     int            `json:"number"`
	TTL        *uint8         `json:"ttl"`
	Round      *int           `json:"round"`
	ID         *uint16        `json:"id"`
	SrcPort    *uint16        `json:"src_port"`
	DstPort    *uint16        `json:"dst_port"`
	Identifier *uint16        `json:"identifier"`
	Sequence   *uint32        `json:"sequence"`
	Length     *int           `json:"length"`
	Sent       stamp          `json:"sent"`
	SentClock  *string        `json:"sent_clock"`
	CallToWire *time.Duration `json:"call_to_wire_ns"`
}

type probeJSON struct {
	sentJSON
	Status string      `json:"status"`
	Reply  *replyJSON  `json:"reply"`
	Extra  []replyJSON `json:"extra_replies"`
}

type replyJSON struct {
	From          netip.Addr     `json:"from"`
	Name          *string        `json:"name"`
	Received      stamp          `json:"received"`
	RTT           *time.Duration `json:"rtt_ns"`
	WireToProgram *time.Duration `json:"wire_to_program_ns"`
	Kind          string         `json:"kind"`
	Hop           *uint8         `json:"hop"`
	Basis         *string        `json:"hop_basis"`
	ICMPType      *uint8         `json:"icmp_type"`
	ICMPCode      *uint8         `json:"icmp_code"`
	MTU           *uint32        `json:"mtu"`
	TTL           uint8          `json:"ttl"`
	Late          bool           `json:"late"`
	MatchedBy     *string        `json:"matched_by"`
	Quoted        *quotedJSON    `json:"quoted"`

	Extensions *extensionsJSON `json:"extensions"`
}

type quotedJSON struct {
	TTL      uint8   `json:"ttl"`
	TOS      uint8   `json:"tos"`
	ID       *uint16 `json:"id"`
	Length   int     `json:"length"`
	Checksum *uint16 `json:"checksum"`
}

// headers says which fields the headers of a trace's probes have, and which
// names those have who answered.
type headers struct {
	protocol   string // as the output spells it
	ports      bool
	identifier bool // of ICMP echo; it stands where others have their source port
	sequence   bool
	ipv4       bool // an ID, and the don't-fragment flag
	names      map[netip.Addr]string
}

var protocols = map[layers.IPProtocol]headers{
	layers.IPProtocolUDP:    {protocol: "udp", ports: true},
	layers.IPProtocolTCP:    {protocol: "tcp", ports: true, sequence: true},
	layers.IPProtocolICMPv4: {protocol: "icmp", identifier: true, sequence: true},
	layers.IPProtocolICMPv6: {protocol: "icmpv6", identifier: true, sequence: true},
}

func headersOf(p *path.Path) headers {
	h := protocols[p.Protocol]
	h.ipv4 = p.Target.Addr.Is4()
	return h
}

// pointer returns nil for the zero value, else a pointer to it: in JSON, null
// or the value.
func pointer[T comparable](v T) *T { return known(false, v) }

// known returns a pointer to a value, or nil for a zero that nobody is sure of.
func known[T comparable](sure bool, v T) *T {
	var zero T
	if !sure && v == zero {
		return nil
	}
	return &v
}

// field is known for a field that headers may lack: then it is nil.
func field[T comparable](has, sure bool, v T) *T {
	if !has {
		return nil
	}
	return known(sure, v)
}

// mtuJSON is where the MTU of a path is smaller than before, or known at first.
type mtuJSON struct {
	Hop   uint8  `json:"hop"`
	MTU   int    `json:"mtu"`
	Known string `json:"known"`
}

// newMTUs is nil for a path whose MTU was not sought, or not found.
func newMTUs(p *path.Path) (all []mtuJSON) {
	for _, s := range tracewire.MTUs(p) {
		all = append(all, mtuJSON{s.Hop, s.MTU, s.Known.String()})
	}
	return all
}

// newSource is nil if no source is known, as of a host without a route.
func newSource(p *path.Path) *sourceJSON {
	s := &p.Source
	if !s.Addr.IsValid() {
		return nil
	}
	return &sourceJSON{
		Addr: s.Addr, Interface: pointer(s.Interface), MAC: pointer(s.MAC.String()),
		NextHop: pointer(s.NextHop), NextHopMAC: pointer(s.NextHopMAC.String()), Also: s.Also,
	}
}

// newOptions leaves out what a capture doesn't tell of somebody else's trace:
// nearly everything if it has replies only. It is nil if not even the protocol is
// known, as of a host without an address.
func newOptions(p *path.Path) *optionsJSON {
	if p.Protocol == 0 {
		return nil
	}
	o, h := &p.Parameters, headersOf(p)
	chosen, shown := !p.Clock.Captured, o.MaxTTL != 0
	j := &optionsJSON{
		FirstTTL: pointer(o.FirstTTL), MaxTTL: pointer(o.MaxTTL), Queries: pointer(o.Queries), InFlight: pointer(o.InFlight),
		Wait: pointer(o.Wait.Max), Here: known(chosen, o.Wait.Here), Near: known(chosen, o.Wait.Near),
		Interval: known(chosen, o.Interval),
		SrcPort:  field(h.ports, shown, o.SrcPort), DstPort: field(h.ports, shown, o.DstPort),
		Identifier: field(h.identifier, shown, o.SrcPort), ID: field(h.ipv4, shown, o.ID),
		Length: pointer(o.Length), TOS: known(shown, o.TOS), DF: field(h.ipv4, shown, o.DF), Seed: pointer(o.Seed),
		FlowLabel: field(!h.ipv4, chosen, o.FlowLabel), Classic: known(chosen, o.Classic), MTU: known(chosen, o.MTU),
		Payload: pointer(hex.EncodeToString([]byte(o.Payload))), Gateways: o.Gateways,
	}
	if chosen && p.Protocol == layers.IPProtocolTCP {
		j.TCP = newTCP(o.TCP)
	}
	return j
}

// newClock says which clocks stamped the probes: one, or mixed.
func newClock(p *path.Path) clockJSON {
	used := map[path.SentClock]bool{}
	for i := range p.Probes {
		if !p.Probes[i].Sent.IsZero() {
			used[p.Probes[i].SentClock] = true
		}
	}
	replies := path.Kernel
	if p.Clock.Captured {
		replies = path.Capture
	}
	c := clockJSON{TX: replies.String(), RX: replies.String(), Stepped: p.Clock.Stepped}
	if len(used) > 1 {
		c.TX = "mixed"
		return c
	}
	for one := range used {
		c.TX = one.String()
	}
	return c
}

func (h *headers) hop(at *path.Hop) hopJSON {
	j := hopJSON{TTL: pointer(at.TTL), Probes: make([]probeJSON, len(at.Probes))}
	for i := range at.Probes {
		j.Probes[i] = h.probe(&at.Probes[i])
	}
	return j
}

func (h *headers) sent(p *path.Probe) sentJSON {
	shown := p.TTL != 0
	j := sentJSON{
		Number: p.Number, TTL: pointer(p.TTL), ID: field(h.ipv4, shown, p.ID),
		SrcPort: field(h.ports, shown, p.SrcPort), DstPort: field(h.ports, shown, p.DstPort),
		Identifier: field(h.identifier, shown, p.SrcPort), Sequence: field(h.sequence, shown, p.Sequence),
		Length: pointer(p.Length), Sent: stamp(p.Sent),
	}
	if shown {
		j.Round = &p.Round
	}
	if !p.Sent.IsZero() {
		clock := p.SentClock.String()
		j.SentClock = &clock
	}
	if p.SentClock == path.Kernel && !p.Called.IsZero() {
		d := p.Sent.Sub(p.Called)
		j.CallToWire = &d
	}
	return j
}

func (h *headers) probe(p *path.Probe) probeJSON {
	j := probeJSON{sentJSON: h.sent(p), Status: p.Status.String(), Extra: []replyJSON{}}
	if p.Reply != nil {
		r := h.reply(p.Reply)
		j.Reply = &r
	}
	for i := range p.Extra {
		j.Extra = append(j.Extra, h.reply(&p.Extra[i]))
	}
	return j
}

func (h *headers) reply(r *path.Reply) replyJSON {
	j := replyJSON{
		From: r.From, Name: pointer(h.names[r.From]), Received: stamp(r.Received), Kind: r.Kind.String(),
		Hop: pointer(r.Hop), Basis: pointer(r.Basis.String()), TTL: r.TTL, Late: r.Late, MatchedBy: pointer(r.MatchedBy.String()),
	}
	if r.HasRTT {
		j.RTT = &r.RTT
	}
	if !r.Read.IsZero() {
		d := r.Read.Sub(r.Received)
		j.WireToProgram = &d
	}
	if r.IsQuoted() {
		j.ICMPType, j.ICMPCode, j.MTU = &r.ICMPType, &r.ICMPCode, pointer(r.MTU)
		j.Quoted = h.quoted(&r.Quoted)
		j.Extensions = newExtensions(r.Extensions)
	}
	return j
}

func (h *headers) quoted(q *matcher.Quote) *quotedJSON {
	j := &quotedJSON{TTL: q.TTL, TOS: q.TOS, ID: field(h.ipv4, true, q.ID), Length: q.Length}
	if q.HasChecksum {
		j.Checksum = &q.Checksum
	}
	return j
}

// ProtocolName is a protocol as the output spells it.
func ProtocolName(p layers.IPProtocol) string { return protocols[p].protocol }
