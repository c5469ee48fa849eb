package render

import (
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"time"

	_ "embed"

	"github.com/tracewire/tracewire/matcher/path"
)

// Schema is the JSON Schema of what the formats json and jsonl write.
//
//go:embed tracewire-1.schema.json
var Schema string

// schemaName is the version of the output that Schema describes.
const schemaName = "tracewire/1"

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

type targetJSON struct {
	Host string     `json:"host"`
	Addr netip.Addr `json:"addr"`
}

type sourceJSON struct {
	Addr       netip.Addr  `json:"addr"`
	Interface  string      `json:"interface"`
	MAC        *string     `json:"mac"`
	NextHop    *netip.Addr `json:"next_hop"`
	NextHopMAC *string     `json:"next_hop_mac"`
}

type optionsJSON struct {
	FirstTTL uint8         `json:"first_ttl"`
	MaxTTL   uint8         `json:"max_ttl"`
	Queries  int           `json:"queries"`
	InFlight int           `json:"in_flight"`
	Wait     time.Duration `json:"wait_ns"`
	Here     float64       `json:"wait_here"`
	Near     float64       `json:"wait_near"`
	Interval time.Duration `json:"interval_ns"`
	SrcPort  uint16        `json:"src_port"`
	DstPort  uint16        `json:"dst_port"`
	ID       uint16        `json:"id"`
	Length   int           `json:"length"`
	TOS      uint8         `json:"tos"`
	DF       bool          `json:"dont_fragment"`
	Seed     uint64        `json:"seed"`
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
	TTL    uint8       `json:"ttl"`
	Probes []probeJSON `json:"probes"`
}

// sentJSON is a probe as it left.
type sentJSON struct {
	Number     int            `json:"number"`
	TTL        uint8          `json:"ttl"`
	Round      int            `json:"round"`
	ID         uint16         `json:"id"`
	SrcPort    uint16         `json:"src_port"`
	DstPort    uint16         `json:"dst_port"`
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
	Hop           uint8          `json:"hop"`
	Basis         string         `json:"hop_basis"`
	ICMPType      *uint8         `json:"icmp_type"`
	ICMPCode      *uint8         `json:"icmp_code"`
	MTU           *uint32        `json:"mtu"`
	TTL           uint8          `json:"ttl"`
	Late          bool           `json:"late"`
	MatchedBy     string         `json:"matched_by"`
	Quoted        *quotedJSON    `json:"quoted"`
}

type quotedJSON struct {
	TTL      uint8   `json:"ttl"`
	TOS      uint8   `json:"tos"`
	ID       uint16  `json:"id"`
	Length   int     `json:"length"`
	Checksum *uint16 `json:"checksum"`
}

// pointer returns nil for the zero value, else a pointer to it: in JSON, null
// or the value.
func pointer[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func newSource(s path.Source) sourceJSON {
	return sourceJSON{
		Addr: s.Addr, Interface: s.Interface, MAC: pointer(s.MAC.String()),
		NextHop: pointer(s.NextHop), NextHopMAC: pointer(s.NextHopMAC.String()),
	}
}

func newOptions(p path.Parameters) optionsJSON {
	return optionsJSON{
		FirstTTL: p.FirstTTL, MaxTTL: p.MaxTTL, Queries: p.Queries, InFlight: p.InFlight,
		Wait: p.Wait.Max, Here: p.Wait.Here, Near: p.Wait.Near, Interval: p.Interval,
		SrcPort: p.SrcPort, DstPort: p.DstPort, ID: p.ID, Length: p.Length,
		TOS: p.TOS, DF: p.DF, Seed: p.Seed,
	}
}

// newClock says which clocks stamped the probes: one, or mixed.
func newClock(p *path.Path) clockJSON {
	used := map[path.SentClock]bool{}
	for i := range p.Probes {
		if p.Probes[i].Status != path.Unsent {
			used[p.Probes[i].SentClock] = true
		}
	}
	c := clockJSON{TX: path.Kernel.String(), RX: path.Kernel.String(), Stepped: p.Clock.Stepped}
	switch {
	case len(used) > 1:
		c.TX = "mixed"
	case used[path.User]:
		c.TX = path.User.String()
	}
	return c
}

func newHop(h *path.Hop, names map[netip.Addr]string) hopJSON {
	j := hopJSON{TTL: h.TTL, Probes: make([]probeJSON, len(h.Probes))}
	for i := range h.Probes {
		j.Probes[i] = newProbe(&h.Probes[i], names)
	}
	return j
}

func newSent(p *path.Probe) sentJSON {
	j := sentJSON{
		Number: p.Number, TTL: p.TTL, Round: p.Round, ID: p.ID, SrcPort: p.SrcPort, DstPort: p.DstPort,
		Sent: stamp(p.Sent),
	}
	if p.Status != path.Unsent {
		clock := p.SentClock.String()
		j.SentClock = &clock
	}
	if p.SentClock == path.Kernel && !p.Called.IsZero() {
		d := p.Sent.Sub(p.Called)
		j.CallToWire = &d
	}
	return j
}

func newProbe(p *path.Probe, names map[netip.Addr]string) probeJSON {
	j := probeJSON{sentJSON: newSent(p), Status: p.Status.String(), Extra: []replyJSON{}}
	if p.Reply != nil {
		r := newReply(p.Reply, names)
		j.Reply = &r
	}
	for i := range p.Extra {
		j.Extra = append(j.Extra, newReply(&p.Extra[i], names))
	}
	return j
}

func newReply(r *path.Reply, names map[netip.Addr]string) replyJSON {
	j := replyJSON{
		From: r.From, Name: pointer(names[r.From]), Received: stamp(r.Received), Kind: r.Kind.String(),
		Hop: r.Hop, Basis: r.Basis.String(), TTL: r.TTL, Late: r.Late, MatchedBy: r.MatchedBy.String(),
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
		j.Quoted = &quotedJSON{TTL: r.Quoted.TTL, TOS: r.Quoted.TOS, ID: r.Quoted.ID, Length: r.Quoted.Length}
		if r.Quoted.HasChecksum {
			j.Quoted.Checksum = &r.Quoted.Checksum
		}
	}
	return j
}

// document writes each trace as one JSON document on a line.
type document struct {
	w     io.Writer
	names Namer
}

// Event implements Renderer.
func (d *document) Event(e path.Event) error {
	switch e.Kind {
	case path.Answer:
		d.names.Want(e.Reply.From)
		return nil
	case path.Ended:
		return d.write(e.Path)
	}
	return nil
}

func (d *document) write(p *path.Path) error {
	names := d.names.Wait(responders(p.Probes))
	hops := p.Hops()
	j := struct {
		Schema      string       `json:"schema"`
		Target      targetJSON   `json:"target"`
		Source      sourceJSON   `json:"source"`
		Protocol    string       `json:"protocol"`
		Options     optionsJSON  `json:"options"`
		Clock       clockJSON    `json:"clock"`
		Started     stamp        `json:"started"`
		Ended       stamp        `json:"ended"`
		Reached     bool         `json:"reached"`
		Interrupted bool         `json:"interrupted"`
		Hops        []hopJSON    `json:"hops"`
		Counters    countersJSON `json:"counters"`
	}{
		schemaName, targetJSON(p.Target), newSource(p.Source), protocol(p), newOptions(p.Parameters), newClock(p),
		stamp(p.Started), stamp(p.Ended), p.Reached(), p.Interrupted, make([]hopJSON, len(hops)), countersJSON(p.Counters),
	}
	for i := range hops {
		j.Hops[i] = newHop(&hops[i], names)
	}
	return encode(d.w, j)
}

func protocol(p *path.Path) string { return strings.ToLower(p.Protocol.String()) }

// encode writes a value as JSON on a line of its own.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// lines writes each event as a JSON object on a line.
type lines struct {
	w     io.Writer
	names Namer
}

// Event implements Renderer.
func (l *lines) Event(e path.Event) error {
	var j any
	switch e.Kind {
	case path.Started:
		j = l.start(e.Path)
	case path.ProbeOut:
		j = struct {
			Event string `json:"event"`
			sentJSON
		}{e.Kind.String(), newSent(&e.Probe)}
	case path.Answer:
		l.names.Want(e.Reply.From)
		j = struct {
			Event  string    `json:"event"`
			Number int       `json:"number"`
			TTL    uint8     `json:"ttl"`
			Status string    `json:"status"`
			First  bool      `json:"first"`
			Reply  replyJSON `json:"reply"`
		}{e.Kind.String(), e.Probe.Number, e.Probe.TTL, e.Probe.Status.String(), len(e.Probe.Extra) == 0, newReply(e.Reply, nil)}
	case path.GaveUp:
		j = struct {
			Event  string `json:"event"`
			Number int    `json:"number"`
			TTL    uint8  `json:"ttl"`
			Status string `json:"status"`
		}{e.Kind.String(), e.Probe.Number, e.Probe.TTL, e.Probe.Status.String()}
	case path.Decided:
		j = struct {
			Event string `json:"event"`
			hopJSON
		}{e.Kind.String(), newHop(&e.Hop, l.names.Wait(responders(e.Hop.Probes)))}
	case path.Ended:
		j = l.end(e.Path)
	}
	return encode(l.w, j)
}

func (l *lines) start(p *path.Path) any {
	return struct {
		Event    string      `json:"event"`
		Schema   string      `json:"schema"`
		Target   targetJSON  `json:"target"`
		Source   sourceJSON  `json:"source"`
		Protocol string      `json:"protocol"`
		Options  optionsJSON `json:"options"`
		Started  stamp       `json:"started"`
	}{path.Started.String(), schemaName, targetJSON(p.Target), newSource(p.Source), protocol(p), newOptions(p.Parameters), stamp(p.Started)}
}

func (l *lines) end(p *path.Path) any {
	return struct {
		Event       string       `json:"event"`
		Target      targetJSON   `json:"target"`
		Clock       clockJSON    `json:"clock"`
		Ended       stamp        `json:"ended"`
		Reached     bool         `json:"reached"`
		Interrupted bool         `json:"interrupted"`
		Counters    countersJSON `json:"counters"`
	}{path.Ended.String(), targetJSON(p.Target), newClock(p), stamp(p.Ended), p.Reached(), p.Interrupted, countersJSON(p.Counters)}
}
