// Package explain shows what the probes of a trace looked like on the wire, what
// the path did to them, and why some drew no reply.
//
// A Path says which frames of a capture its probes and replies are. Gather
// fetches these in a second reading of the capture; all else is a function of the
// two.
package explain

import (
	"context"
	"errors"
	"iter"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// Evidence is what a capture holds of a trace.
type Evidence struct {
	path    *path.Path
	end     uint8 // the hop at which the path ends
	waits   *path.Waits
	frames  frames // of probes and replies, and of suspects
	frameOf []int  // by probe: the number of the frame that it was captured in; 0 if there is none

	elsewhere [256][]int // by TTL: the probes that another hop answered
	unplaced  bool       // there are replies to probes that are not known

	suspects []doubts // by probe: replies that failed a check; nil if there are none
	unread   int      // replies of which it was not looked for the probe
	broken   []int    // frames: ICMP errors that can't be read

	message  matcher.Message
	comparer comparer
}

// What is kept of other traffic: packets to the target, and ICMP errors. Each of these
// is compared with every probe, so often in all.
const (
	maxOthers   = 100_000
	maxSuspect  = 10_000
	comparisons = 10_000_000
)

// Gather reads the capture that p was found in, from its beginning, and keeps the
// frames of p's probes and replies. It returns the error that ended the capture
// with what was gathered by then.
func Gather(ctx context.Context, from capture.Source, p *path.Path) (*Evidence, error) {
	g := newGatherer(p)
	for f, err := range from.Frames(ctx) {
		if err != nil {
			return g.finish(), err
		}
		if !f.IsWatermark() {
			g.observe(&f)
		}
	}
	return g.finish(), context.Cause(ctx)
}

type gatherer struct {
	*Evidence
	wanted    []wanted      // by number
	sentAt    map[int64]int // probes of which no frame is known, by the stamp of the one that they left with
	unmatched []suspect
	others    map[craft.Key]bool // other programs' packets to the target
}

func newGatherer(p *path.Path) *gatherer {
	g := &gatherer{
		Evidence: &Evidence{path: p, end: p.End(), waits: p.Waits(), frameOf: make([]int, len(p.Probes))},
		sentAt:   map[int64]int{}, others: map[craft.Key]bool{},
	}
	g.wanted = make([]wanted, 0, 2*len(p.Probes))
	for i := range p.Probes {
		probe := &p.Probes[i]
		switch {
		case probe.Frame != 0:
			g.wanted = append(g.wanted, wanted{probe.Frame, i})
		case p.Clock.Captured && !probe.Sent.IsZero():
			g.sentAt[probe.Sent.UnixNano()] = i
		}
		g.unplaced = g.unplaced || probe.Sent.IsZero() && probe.Reply != nil
		if r := probe.Reply; r != nil && r.Hop != probe.TTL {
			g.elsewhere[probe.TTL] = append(g.elsewhere[probe.TTL], i)
		}
		for r := range replies(probe) {
			g.wanted = append(g.wanted, wanted{r.Frame, -1})
		}
	}
	sortWanted(g.wanted)
	g.frames.kept = make([]kept, 0, len(g.wanted)+len(g.sentAt))
	return g
}

// replies are all replies to a probe, the first one first.
func replies(p *path.Probe) iter.Seq[*path.Reply] {
	return func(yield func(*path.Reply) bool) {
		if p.Reply != nil && !yield(p.Reply) {
			return
		}
		for i := range p.Extra {
			if !yield(&p.Extra[i]) {
				return
			}
		}
	}
}

func (g *gatherer) observe(f *frame.Frame) {
	err := g.read(f)
	named, isNamed := find(g.wanted, f.Number)
	if probe, ok := g.probeAt(f, named, isNamed); ok {
		g.frames.keep(f)
		g.frameOf[probe] = f.Number
		return
	}
	if isNamed {
		g.frames.keep(f)
		return
	}
	m := &g.message
	switch {
	case errors.Is(err, matcher.ErrUnrelated):
		if len(g.unmatched) < maxSuspect && !m.Time.Before(g.path.Started) && m.ReadAside(f) {
			g.doubt(f, suspect{reply: m.Reply, quote: m.Of, aside: true})
		}
	case errors.Is(err, matcher.ErrMalformed):
		g.broken = append(g.broken, f.Number)
	case err != nil || m.Time.Before(g.path.Started):
	case m.IsReply && (m.Reply.IsQuoted() || m.Reply.From == g.path.Target.Addr) && len(g.unmatched) < maxSuspect:
		g.doubt(f, suspect{reply: m.Reply, quote: m.Of})
	case m.IsProbe && len(g.others) < maxOthers && !isReset(&m.Packet):
		g.others[identity(&m.Key)] = true
	}
}

// isReset reports whether a packet is a RST, which the system sends in reply to a
// SYN-ACK that it did not ask for: nothing answers it.
func isReset(p *craft.Packet) bool {
	const flags, rst = 13, 4
	return p.Protocol == layers.IPProtocolTCP && len(p.Payload) > flags && p.Payload[flags]&rst != 0
}

// doubt keeps what may be meant for a probe.
func (g *gatherer) doubt(f *frame.Frame, s suspect) {
	g.unmatched = append(g.unmatched, s)
	g.frames.keep(f)
}

// read reads a frame: of a trace that was found, as one that was captured anywhere.
func (e *Evidence) read(f *frame.Frame) error {
	if e.path.Clock.Captured {
		return e.message.Read(f)
	}
	return e.message.ReadOwn(f)
}

// probeAt is the probe that a frame is, which the path may name.
func (g *gatherer) probeAt(f *frame.Frame, named wanted, isNamed bool) (probe int, ok bool) {
	if isNamed && named.probe >= 0 {
		return named.probe, true
	}
	if probe, ok = g.sentAt[f.Time.UnixNano()]; !ok || !g.message.IsProbe {
		return 0, false
	}
	p, m := &g.path.Probes[probe], &g.message
	return probe, m.Packet.TTL == p.TTL && m.Packet.Dst == g.path.Target.Addr && m.Key.SrcPort == p.SrcPort && m.Key.DstPort == p.DstPort
}

// keyOf is the Key of a probe that was captured, without a cookie if its program puts
// none there.
func (e *Evidence) keyOf(probe int) (key craft.Key, ok bool) {
	f, ok := e.frames.frame(e.frameOf[probe])
	if !ok {
		return key, false
	}
	if _ = e.read(&f); !e.message.IsProbe { // whatever else it is
		return key, false
	}
	if key = e.message.Key; !e.ours() {
		key.Cookie, key.HasCookie = 0, false
	}
	return key, true
}

// ours reports whether the probes are this program's.
func (e *Evidence) ours() bool { return e.path.Tool == "tracewire" }

// identity is what of a Key a quote has to repeat.
func identity(k *craft.Key) craft.Key {
	return craft.Key{Dst: k.Dst, SrcPort: k.SrcPort, DstPort: k.DstPort, ID: k.ID, Protocol: k.Protocol}
}

// dropped reports whether the capture lost frames.
func (e *Evidence) dropped() bool { return e.path.Counters.Dropped > 0 }

// sent is the frame that a probe was captured in.
func (e *Evidence) sent(probe *path.Probe) (frame.Frame, bool) {
	return e.frames.frame(e.frameOf[probe.Number])
}

// received is the frame of a reply.
func (e *Evidence) received(r *path.Reply) (frame.Frame, bool) {
	f, ok := e.frames.frame(r.Frame)
	return f, ok && r.Frame != 0
}
