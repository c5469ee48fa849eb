// Package journal is what a recording tells besides its frames: what the program
// did that is not on the wire. Its notes are comments in the capture file,
// beside sentences for people; in the order of the file, notes and frames are
// all that a path.Recorder was given, so that it gives the same Path again.
//
// A note is the word tracewire/1, a space, and JSON. Sentences are not parsed.
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

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// prefix is what the comments begin with that are notes.
const prefix = "tracewire/1 "

// ErrNote is wrapped by the errors of Parse: a comment that claims to be a note,
// and is none.
var ErrNote = errors.New("journal: broken note")

// Note is one thing that happened in a trace: what is set in it.
type Note struct {
	Trace int `json:"trace"` // which of the file's traces, from 1

	Start  *Start  `json:"start,omitempty"`
	Sent   *Sent   `json:"sent,omitempty"`
	Failed *Failed `json:"failed,omitempty"`
	Passed *Passed `json:"passed,omitempty"`
	Read   *Read   `json:"read,omitempty"`
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
	Addr       netip.Addr       `json:"addr"`
	Interface  string           `json:"interface"`
	MAC        net.HardwareAddr `json:"mac"`
	NextHop    netip.Addr       `json:"next_hop"`
	NextHopMAC net.HardwareAddr `json:"next_hop_mac"`
}

// parameters are path.Parameters, field for field.
type parameters struct {
	FirstTTL uint8         `json:"first_ttl"`
	MaxTTL   uint8         `json:"max_ttl"`
	Queries  int           `json:"queries"`
	InFlight int           `json:"in_flight"`
	Wait     path.Wait     `json:"wait"`
	Interval time.Duration `json:"interval"`
	SrcPort  uint16        `json:"src_port"`
	DstPort  uint16        `json:"dst_port"`
	ID       uint16        `json:"id"`
	Length   int           `json:"length"`
	TOS      uint8         `json:"tos"`
	DF       bool          `json:"df"`
	Seed     uint64        `json:"seed"`
}

// Sent is a probe that is about to be handed to the system.
type Sent struct {
	TTL      uint8  `json:"ttl"`
	Round    int    `json:"round"`
	ID       uint16 `json:"id"`
	SrcPort  uint16 `json:"src_port"`
	DstPort  uint16 `json:"dst_port"`
	Sequence uint32 `json:"sequence,omitempty"`
	Called   Nanos  `json:"called"`
	Key      key    `json:"key"`
}

// key is what a craft.Key has besides the destination, the protocol and the
// ports.
type key struct {
	ID     uint16  `json:"id"`
	Token  uint32  `json:"token"`
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

// Read says when the program had the frame that the comment is on.
type Read struct {
	At Nanos `json:"at"`
}

// End ends a trace.
type End struct {
	At          Nanos `json:"at"`
	Interrupted bool  `json:"interrupted"`
	Dropped     int   `json:"dropped"` // frames that the capture lost
}

// StartOf is the Start of a Path.
func StartOf(p *path.Path, at time.Time) *Start {
	return &Start{
		At: At(at), Target: target(p.Target), Source: source(p.Source), Protocol: p.Protocol, Tool: p.Tool,
		Parameters: parameters(p.Parameters),
	}
}

// Path is the Path that a trace began with.
func (s *Start) Path() *path.Path {
	return &path.Path{
		Target: path.Target(s.Target), Source: path.Source(s.Source), Protocol: s.Protocol, Tool: s.Tool,
		Parameters: path.Parameters(s.Parameters),
	}
}

// SentOf is the Sent of a probe and its Key.
func SentOf(p *path.Probe, k *craft.Key) *Sent {
	s := &Sent{
		TTL: p.TTL, Round: p.Round, ID: p.ID, SrcPort: p.SrcPort, DstPort: p.DstPort, Sequence: p.Sequence,
		Called: At(p.Called), Key: key{ID: k.ID, Token: k.Token},
	}
	if k.HasCookie {
		s.Key.Cookie = &k.Cookie
	}
	return s
}

// Probe is the probe as it was recorded, and its Key.
func (s *Sent) Probe(dst netip.Addr, protocol layers.IPProtocol) (path.Probe, craft.Key) {
	k := craft.Key{
		Dst: dst, Protocol: protocol, SrcPort: s.SrcPort, DstPort: s.DstPort, ID: s.Key.ID, Token: s.Key.Token,
	}
	if s.Key.Cookie != nil {
		k.Cookie, k.HasCookie = *s.Key.Cookie, true
	}
	return path.Probe{
		TTL: s.TTL, Round: s.Round, ID: s.ID, SrcPort: s.SrcPort, DstPort: s.DstPort, Sequence: s.Sequence,
		Called: s.Called.Time(),
	}, k
}

// Comment is the note as a comment.
func (n *Note) Comment() string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // it holds nothing that JSON has not
	}
	return prefix + string(b)
}

// Parse reads a comment that may be a note. It is nil for any other comment; the
// errors wrap ErrNote.
func Parse(comment string) (*Note, error) {
	text, is := strings.CutPrefix(comment, prefix)
	if !is {
		return nil, nil
	}
	n := &Note{}
	if err := json.Unmarshal([]byte(text), n); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	return n, n.check()
}

// check refuses what a Recorder could not take.
func (n *Note) check() error {
	switch {
	case n.Trace < 1:
		return fmt.Errorf("%w: trace %d", ErrNote, n.Trace)
	case n.Start != nil && (!n.Start.Target.Addr.IsValid() || !n.Start.Source.Addr.IsValid()):
		return fmt.Errorf("%w: a trace without addresses", ErrNote)
	case n.Start != nil && (n.Start.Parameters.FirstTTL == 0 || n.Start.Parameters.Wait.Max <= 0):
		return fmt.Errorf("%w: a trace without parameters", ErrNote)
	case n.Sent != nil && n.Sent.TTL == 0:
		return fmt.Errorf("%w: a probe without a TTL", ErrNote)
	}
	return nil
}
