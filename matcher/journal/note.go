package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// prefix is what the comments begin with that are notes. Version 1, which earlier
// programs wrote, says the same.
const (
	prefix  = "tracewire/2 "
	prefix1 = "tracewire/1 "
)

// ErrNote is wrapped by the errors of Parse: a comment that claims to be a note,
// and is none.
var ErrNote = errors.New("journal: broken note")

// Note is an Entry that is no frame, or what there is to say about a frame: what is set
// in it.
type Note struct {
	Trace int `json:"trace"` // which of the file's traces, from 1

	Start  *Start  `json:"start,omitempty"`
	Sent   *Sent   `json:"sent,omitempty"`
	Failed *Failed `json:"failed,omitempty"`
	Passed *Passed `json:"passed,omitempty"`
	Missed *Missed `json:"missed,omitempty"`
	Read   *Read   `json:"read,omitempty"`
	Cut    *Cut    `json:"cut,omitempty"`
	End    *End    `json:"end,omitempty"`
}

// Nanos is a time as nanoseconds since 1970.
type Nanos int64

// At is the Nanos of a time.
func At(t time.Time) Nanos { return Nanos(t.UnixNano()) }

// Time is the time, in UTC.
func (n Nanos) Time() time.Time { return time.Unix(0, int64(n)).UTC() }

// Start begins a trace: what is known before the first probe.
type Start struct {
	At         Nanos             `json:"at"`
	Run        uint64            `json:"run,omitempty"` // the same in traces that have numbers beside each other
	Target     target            `json:"target"`
	Source     source            `json:"source"`
	Protocol   layers.IPProtocol `json:"protocol"` // its number
	Tool       string            `json:"tool"`
	Parameters parameters        `json:"parameters"`
}

type target struct {
	Host string     `json:"host"`
	Addr netip.Addr `json:"addr"`
}

type source struct {
	Addr       netip.Addr `json:"addr"`
	Interface  string     `json:"interface"`
	MAC        mac        `json:"mac"`
	NextHop    netip.Addr `json:"next_hop"`
	NextHopMAC mac        `json:"next_hop_mac"`
	Also       []string   `json:"also,omitempty"`
}

// mac is a link address as people write it, or empty.
type mac net.HardwareAddr

// MarshalText implements encoding.TextMarshaler.
func (m mac) MarshalText() ([]byte, error) { return []byte(net.HardwareAddr(m).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *mac) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = nil
		return nil
	}
	parsed, err := net.ParseMAC(string(text))
	*m = mac(parsed)
	return err
}

// wait is a path.Wait.
type wait struct {
	Max  time.Duration `json:"max"`
	Here float64       `json:"here"`
	Near float64       `json:"near"`
}

// parameters are path.Parameters, field for field.
type parameters struct {
	FirstTTL uint8         `json:"first_ttl"`
	MaxTTL   uint8         `json:"max_ttl"`
	Queries  int           `json:"queries"`
	InFlight int           `json:"in_flight"`
	Wait     wait          `json:"wait"`
	Interval time.Duration `json:"interval"`
	SrcPort  uint16        `json:"src_port"`
	DstPort  uint16        `json:"dst_port"`
	ID       uint16        `json:"id"`
	Length   int           `json:"length"`
	TOS      uint8         `json:"tos"`
	DF       bool          `json:"df"`
	Seed     uint64        `json:"seed"`

	FlowLabel uint32       `json:"flow_label,omitempty"`
	Classic   bool         `json:"classic,omitempty"`
	MTU       bool         `json:"mtu,omitempty"`
	Payload   []byte       `json:"payload,omitempty"`
	TCP       *craft.TCP   `json:"tcp,omitempty"`
	Gateways  []netip.Addr `json:"gateways,omitempty"`
}

// Sent is a probe that is about to be handed to the system.
type Sent struct {
	TTL      uint8  `json:"ttl"`
	Round    int    `json:"round"`
	ID       uint16 `json:"id"`
	SrcPort  uint16 `json:"src_port"`
	DstPort  uint16 `json:"dst_port"`
	Sequence uint32 `json:"sequence,omitempty"`
	Length   int    `json:"length,omitempty"`
	Called   Nanos  `json:"called"`
	Key      key    `json:"key"`
}

// key is what a craft.Key has besides the destination, the protocol and the
// ports.
type key struct {
	ID     uint16  `json:"id"`
	Token  uint32  `json:"token"`
	Query  uint16  `json:"query,omitempty"`
	Data   uint16  `json:"data,omitempty"`
	Cookie *uint64 `json:"cookie,string,omitempty"`
}

// Failed says that the system refused to send a probe.
type Failed struct {
	Probe int `json:"probe"` // its number
}

// Passed is a watermark of the capture that made a difference.
type Passed struct {
	At   Nanos         `json:"at"`
	Step time.Duration `json:"step,omitempty"`
}

// Missed is a gap in the capture (see frame.Gap).
type Missed struct {
	From   Nanos       `json:"from"`
	To     Nanos       `json:"to,omitempty"` // 0 while it lasts
	Cause  frame.Cause `json:"cause"`
	Frames int         `json:"frames,omitempty"`
	Addr   *netip.Addr `json:"addr,omitempty"`
}

// gap is the gap.
func (m *Missed) gap() frame.Gap {
	g := frame.Gap{From: m.From.Time(), Cause: m.Cause, Frames: m.Frames}
	if m.To != 0 {
		g.To = m.To.Time()
	}
	if m.Addr != nil {
		g.Addr = *m.Addr
	}
	return g
}

// Read says when the program had the frame that the comment is on.
type Read struct {
	At Nanos `json:"at"`
}

// Cut says that the frame which the comment is on is of no trace, and was cut
// behind its headers, since who traced may not see the traffic of others: what is
// left is not to be taken for a reply. One trace says so for all.
type Cut struct {
	Failed []int `json:"failed,omitempty"` // the traces by whose flow's checks the frame has failed
}

// End ends a trace.
type End struct {
	At          Nanos `json:"at"`
	Interrupted bool  `json:"interrupted"`
	Dropped     int   `json:"dropped"` // frames that the capture lost
}

func sourceOf(s *path.Source) source {
	return source{s.Addr, s.Interface, mac(s.MAC), s.NextHop, mac(s.NextHopMAC), s.Also}
}

func (s *source) path() path.Source {
	return path.Source{
		Addr: s.Addr, Interface: s.Interface, MAC: net.HardwareAddr(s.MAC), NextHop: s.NextHop, NextHopMAC: net.HardwareAddr(s.NextHopMAC),
		Also: s.Also,
	}
}

func parametersOf(p *path.Parameters) parameters {
	return parameters{
		FirstTTL: p.FirstTTL, MaxTTL: p.MaxTTL, Queries: p.Queries, InFlight: p.InFlight, Wait: wait(p.Wait), Interval: p.Interval,
		SrcPort: p.SrcPort, DstPort: p.DstPort, ID: p.ID, Length: p.Length, TOS: p.TOS, DF: p.DF, Seed: p.Seed,
		FlowLabel: p.FlowLabel, Classic: p.Classic, MTU: p.MTU, Payload: append([]byte(nil), p.Payload...), TCP: unlessZero(p.TCP), Gateways: p.Gateways,
	}
}

// unlessZero is nil for the zero value.
func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func (p *parameters) path() path.Parameters {
	q := path.Parameters{
		FirstTTL: p.FirstTTL, MaxTTL: p.MaxTTL, Queries: p.Queries, InFlight: p.InFlight, Wait: path.Wait(p.Wait), Interval: p.Interval,
		SrcPort: p.SrcPort, DstPort: p.DstPort, ID: p.ID, Length: p.Length, TOS: p.TOS, DF: p.DF, Seed: p.Seed,
		FlowLabel: p.FlowLabel, Classic: p.Classic, MTU: p.MTU, Payload: string(p.Payload), Gateways: p.Gateways,
	}
	if p.TCP != nil {
		q.TCP = *p.TCP
	}
	return q
}

// path is the Path that a trace began with.
func (s *Start) path() *path.Path {
	return &path.Path{
		Target: path.Target(s.Target), Source: s.Source.path(), Protocol: s.Protocol, Tool: s.Tool,
		Parameters: s.Parameters.path(),
	}
}

// probe is the probe as it was recorded, and its Key.
func (s *Sent) probe(dst netip.Addr, protocol layers.IPProtocol) (path.Probe, craft.Key) {
	k := craft.Key{
		Dst: dst, Protocol: protocol, SrcPort: s.SrcPort, DstPort: s.DstPort, ID: s.Key.ID, Token: s.Key.Token, Query: s.Key.Query,
		Data: s.Key.Data,
	}
	if s.Key.Cookie != nil {
		k.Cookie, k.HasCookie = *s.Key.Cookie, true
	}
	return path.Probe{
		TTL: s.TTL, Round: s.Round, ID: s.ID, SrcPort: s.SrcPort, DstPort: s.DstPort, Sequence: s.Sequence, Length: s.Length,
		Called: s.Called.Time(),
	}, k
}

// noteOf is the note of an entry of a trace.
func noteOf(e *path.Entry) Note {
	n := Note{Trace: e.Trace}
	switch e.Kind {
	case path.Start:
		n.Start = &Start{
			At: At(e.At), Run: e.Run, Target: target(e.Path.Target), Source: sourceOf(&e.Path.Source), Protocol: e.Path.Protocol,
			Tool: e.Path.Tool, Parameters: parametersOf(&e.Path.Parameters),
		}
	case path.Sent:
		p, k := &e.Probe, &e.Key
		n.Sent = &Sent{
			TTL: p.TTL, Round: p.Round, ID: p.ID, SrcPort: p.SrcPort, DstPort: p.DstPort, Sequence: p.Sequence, Length: p.Length,
			Called: At(p.Called), Key: key{ID: k.ID, Token: k.Token, Query: k.Query, Data: k.Data},
		}
		if k.HasCookie {
			cookie := k.Cookie
			n.Sent.Key.Cookie = &cookie
		}
	case path.Failed:
		n.Failed = &Failed{Probe: e.Number}
	case path.Watermark:
		n.Passed = &Passed{At: At(e.At), Step: e.Step}
	case path.Missed:
		n.Missed = &Missed{From: At(e.Gap.From), Cause: e.Gap.Cause, Frames: e.Gap.Frames}
		if !e.Gap.To.IsZero() {
			n.Missed.To = At(e.Gap.To)
		}
		if addr := e.Gap.Addr; addr.IsValid() {
			n.Missed.Addr = &addr
		}
	case path.End:
		n.End = &End{At: At(e.At), Interrupted: e.Interrupted, Dropped: e.Dropped}
	}
	return n
}

// entry is the entry that a note is of, in a trace that started so; its Kind is 0 if
// the note is about a frame.
func (n *Note) entry(started *Start) path.Entry {
	e := path.Entry{Trace: n.Trace}
	switch {
	case n.Start != nil:
		e.Kind, e.At, e.Run, e.Path = path.Start, n.Start.At.Time(), n.Start.Run, n.Start.path()
	case n.Sent != nil:
		e.Kind = path.Sent
		e.Probe, e.Key = n.Sent.probe(started.Target.Addr, started.Protocol)
	case n.Failed != nil:
		e.Kind, e.Number = path.Failed, n.Failed.Probe
	case n.Passed != nil:
		e.Kind, e.At, e.Step = path.Watermark, n.Passed.At.Time(), n.Passed.Step
	case n.Missed != nil:
		e.Kind, e.Gap = path.Missed, n.Missed.gap()
	case n.End != nil:
		e.Kind, e.At, e.Interrupted, e.Dropped = path.End, n.End.At.Time(), n.End.Interrupted, n.End.Dropped
	}
	return e
}

// Comment is the note as a comment.
func (n *Note) Comment() string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // it holds nothing that JSON has not
	}
	return prefix + string(b)
}

// Parse reads a comment that may be a note. It is nil for any other comment. A note
// that says what no trace can do is broken: the errors wrap ErrNote.
func Parse(comment string) (*Note, error) {
	text, ok := strings.CutPrefix(comment, prefix)
	if !ok {
		text, ok = strings.CutPrefix(comment, prefix1)
	}
	if !ok {
		return nil, nil
	}
	n := &Note{}
	if err := json.Unmarshal([]byte(text), n); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	if err := n.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	return n, nil
}
