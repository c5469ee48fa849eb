// Package explain shows what the probes of a trace looked like on the wire, what
// the path did to them, and why some drew no reply.
//
// A Path says which frames of a capture its probes and replies are. Gather
// fetches these in a second reading of the capture; all else is a function of the
// two.
package explain

import (
	"bytes"
	"context"
	"errors"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// Evidence is what a capture holds of a trace.
type Evidence struct {
	path   *path.Path
	end    uint8 // the hop at which the path ends
	waits  *path.Waits
	frames map[int]kept      // by number: of probes and replies
	probes map[int]int       // by probe: the frame that it was captured in
	keys   map[int]craft.Key // by probe: of that frame

	elsewhere [256][]int // by TTL: the probes that another hop answered

	suspects map[int][]suspect // by probe: replies that failed a check
	unread   int               // replies of which it was not looked for the probe
	broken   []int             // frames: ICMP errors that can't be read
}

// suspect is what came back and is no reply to a probe: it shows something of one, but
// not enough; or it is an aside, an ICMP message that tells of no hop.
type suspect struct {
	reply matcher.Reply
	quote craft.Key // of an answer: what it returns
	aside bool
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
	wanted    map[int]bool  // frames of replies
	probeOf   map[int]int   // by frame: the probe
	sentAt    map[int64]int // probes of which no frame is known, by the stamp of the one that they left with
	message   matcher.Message
	unmatched []suspect
	doubtful  map[int]kept       // by number: of unmatched
	others    map[craft.Key]bool // other programs' packets to the target
}

func newGatherer(p *path.Path) *gatherer {
	g := &gatherer{
		Evidence: &Evidence{
			path: p, end: p.End(), waits: p.Waits(), frames: map[int]kept{}, probes: map[int]int{}, keys: map[int]craft.Key{}, suspects: map[int][]suspect{},
		},
		wanted: map[int]bool{}, probeOf: map[int]int{}, sentAt: map[int64]int{}, doubtful: map[int]kept{}, others: map[craft.Key]bool{},
	}
	for i := range p.Probes {
		probe := &p.Probes[i]
		switch {
		case probe.Frame != 0:
			g.probeOf[probe.Frame] = i
		case p.Clock.Captured && !probe.Sent.IsZero():
			g.sentAt[probe.Sent.UnixNano()] = i
		}
		if r := probe.Reply; r != nil && r.Hop != probe.TTL {
			g.elsewhere[probe.TTL] = append(g.elsewhere[probe.TTL], i)
		}
		for _, r := range replies(probe) {
			g.wanted[r.Frame] = true
		}
	}
	return g
}

// replies are all replies to a probe, the first one first.
func replies(p *path.Probe) (all []*path.Reply) {
	if p.Reply != nil {
		all = append(all, p.Reply)
	}
	for i := range p.Extra {
		all = append(all, &p.Extra[i])
	}
	return all
}

func (g *gatherer) observe(f *frame.Frame) {
	read := g.message.ReadOwn
	if g.path.Clock.Captured { // anywhere
		read = g.message.Read
	}
	err := read(f)
	if probe, is := g.probeAt(f); is {
		g.keep(f)
		g.probes[probe] = f.Number
		if g.message.IsProbe {
			g.keys[probe] = g.key(g.message.Key)
		}
		return
	}
	if g.wanted[f.Number] {
		g.keep(f)
		return
	}
	m := &g.message
	switch {
	case errors.Is(err, matcher.ErrUnrelated):
		if len(g.unmatched) < maxSuspect && !m.Time.Before(g.path.Started) && m.ReadAside(f) {
			g.doubt(f, suspect{m.Reply, m.Of, true})
		}
	case errors.Is(err, matcher.ErrMalformed):
		g.broken = append(g.broken, f.Number)
	case err != nil || m.Time.Before(g.path.Started):
	case m.IsReply && (m.Reply.IsQuoted() || m.Reply.From == g.path.Target.Addr) && len(g.unmatched) < maxSuspect:
		g.doubt(f, suspect{m.Reply, m.Of, false})
	case m.IsProbe && len(g.others) < maxOthers:
		g.others[identity(&m.Key)] = true
	}
}

// doubt keeps what may be meant for a probe.
func (g *gatherer) doubt(f *frame.Frame, s suspect) {
	g.unmatched = append(g.unmatched, s)
	g.doubtful[f.Number] = cloned(f)
}

// probeAt is the probe that a frame is.
func (g *gatherer) probeAt(f *frame.Frame) (probe int, is bool) {
	if probe, is = g.probeOf[f.Number]; is {
		return probe, true
	}
	if probe, is = g.sentAt[f.Time.UnixNano()]; !is || !g.message.IsProbe {
		return 0, false
	}
	p, m := &g.path.Probes[probe], &g.message
	return probe, m.Packet.TTL == p.TTL && m.Packet.Dst == g.path.Target.Addr && m.Key.SrcPort == p.SrcPort && m.Key.DstPort == p.DstPort
}

func (g *gatherer) keep(f *frame.Frame) { g.frames[f.Number] = cloned(f) }

// kept is what is kept of a frame: there may be many.
type kept struct {
	data      []byte
	length    int
	link      frame.LinkType
	direction frame.Direction
}

func cloned(f *frame.Frame) kept {
	return kept{data: bytes.Clone(f.Data), length: f.Length, link: f.Link, direction: f.Direction}
}

// frame is the frame with a number, as far as it is kept.
func (e *Evidence) frame(number int) (frame.Frame, bool) {
	k, ok := e.frames[number]
	return frame.Frame{Number: number, Data: k.data, Length: k.length, Link: k.link, Direction: k.direction}, ok
}

// key is a probe's Key, without a cookie if its program puts none there.
func (e *Evidence) key(k craft.Key) craft.Key {
	if !e.ours() {
		k.Cookie, k.HasCookie = 0, false
	}
	return k
}

// ours reports whether the probes are this program's.
func (e *Evidence) ours() bool { return e.path.Tool == "tracewire" }

// identity is what of a Key a quote has to repeat.
func identity(k *craft.Key) craft.Key {
	return craft.Key{Dst: k.Dst, SrcPort: k.SrcPort, DstPort: k.DstPort, ID: k.ID, Protocol: k.Protocol}
}

// finish says which probe each reply that nobody got is likeliest to be meant for.
func (g *gatherer) finish() *Evidence {
	left := comparisons
	for _, s := range g.unmatched {
		if g.others[identity(&s.quote)] {
			continue
		}
		if left -= len(g.path.Probes); left < 0 {
			g.unread++
			continue
		}
		best, likeness := -1, 0
		for i := range g.path.Probes {
			p := &g.path.Probes[i]
			key, sent := g.keys[i]
			if !sent || p.Sent.After(s.reply.Received) {
				continue
			}
			n := alike(&key, &s.quote)
			if !s.aside && !s.reply.IsQuoted() {
				n = answers(&key, &s.quote, p)
			}
			if n > likeness || n == likeness && n > 0 && p.Reply == nil {
				best, likeness = i, n
			}
		}
		if best >= 0 {
			g.suspects[best] = append(g.suspects[best], s)
			g.frames[s.reply.Frame] = g.doubtful[s.reply.Frame]
		}
	}
	return g.Evidence
}

// alike is how much of a probe's identity a quote shows: 0 if it may as well be
// another's.
func alike(probe, quote *craft.Key) int {
	if probe.Protocol != quote.Protocol {
		return 0
	}
	elsewhere := *quote // with the destination rewritten
	elsewhere.Dst, elsewhere.DstPort = probe.Dst, probe.DstPort
	n := probe.Agreement(&elsewhere)
	if quote.Dst == probe.Dst && quote.DstPort == probe.DstPort || n >= 2 {
		return n
	}
	return 0
}

// answers is how likely an answer of the target is meant for a probe, of which all are
// alike but for what it returns: 0 if it is of another flow.
func answers(probe, returned *craft.Key, p *path.Probe) int {
	switch {
	case !probe.Same(craft.Flow, returned):
		return 0
	case p.Reply != nil:
		return 1
	case !probe.Same(craft.PortToken, returned):
		return 2
	}
	return 3
}

// dropped reports whether the capture lost frames.
func (e *Evidence) dropped() bool { return e.path.Counters.Dropped > 0 }

// sent is the frame that a probe was captured in.
func (e *Evidence) sent(probe *path.Probe) (frame.Frame, bool) {
	number, known := e.probes[probe.Number]
	if !known {
		return frame.Frame{}, false
	}
	return e.frame(number)
}

// received is the frame of a reply.
func (e *Evidence) received(r *path.Reply) (frame.Frame, bool) {
	f, ok := e.frame(r.Frame)
	return f, ok && r.Frame != 0
}
