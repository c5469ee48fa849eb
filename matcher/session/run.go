package session

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// run is what one program sent to a target, as far as can be told.
type run struct {
	group    *group
	recorder recorder
	inUse    int // packets in it, see spare
	path     *path.Path
	own      path.Path // what path points to, unless the run waits to be told
	style    style
	climb    climb
	extent   extent

	first, latest sighting // probes
	last, replied int64    // when anything came, and when a reply did, in nanoseconds since 1970
	dull          bool     // it became too long for something that is no trace: nothing more is kept
	over          bool
	number        int  // of the runs of the capture, in the order in which they were found
	place         int  // in order; -1 if it is not there
	before, after *run // in idle
	evicted       int  // from the window, when it began
	held          int  // packets, while it is no trace

	syns     map[uint32]uint32 // of TCP: the sequence number of the latest SYN from and to two ports
	passed   int               // probes that are the one before, but that a router has passed on: it is in a loop
	exceeded int               // replies that are a router's time-exceeded
	refused  int               // port-unreachables
	orphans  int               // replies to probes that are not in the capture
	router   netip.Addr        // who sent the first of these,
	routers  bool              // and whether others did too
}

// What is kept of a run that is no trace so far.
const (
	maxLevel   = 64  // probes that have all the same TTL
	maxAimless = 256 // probes that no router answers, and whose TTLs don't climb
	maxOrphans = 64  // replies without a probe, all from one router
)

// begin begins the run of a probe, or of what a reply quotes of one, which is not
// added yet.
func (r *run) begin(g *group, s *sighting) {
	src, dst := s.src.netip(s.is6), s.dst.netip(s.is6)
	r.own = path.Path{
		Target: path.Target{Addr: dst}, // whose name is told when it is a trace
		Source: path.Source{Addr: src},
		Parameters: path.Parameters{
			Wait: path.Wait{Max: Wait}, SrcPort: s.sport, DstPort: s.dport,
			Length: int(s.length), TOS: s.tos, DF: s.df,
		},
		Protocol: layers.IPProtocol(s.protocol), Clock: path.Clock{Captured: true}, Started: s.time(),
	}
	if !s.is6 {
		r.own.Parameters.ID = s.id
	}
	r.group, r.path, r.first, r.last = g, &r.own, *s, s.at
	if r.recorder.Recorder == nil {
		r.recorder.Recorder = path.NewRecorder(r.path, nil)
	} else {
		r.recorder.Reuse(r.path)
	}
}

// extent is how far the ports and the IDs of all probes of a run go, those too of
// which only the reply was captured.
type extent struct {
	sports, dports span
	ids            turns
	n              int
}

func (e *extent) add(s *sighting) {
	e.n++
	e.sports.add(s.sport, e.n == 1)
	e.dports.add(s.dport, e.n == 1)
	e.ids.add(s.id, e.n == 1)
}

// mayHold reports whether a reply may be to one of the probes: an answer has both
// of its ports, a quote the destination port and the source port or the ID.
func (e *extent) mayHold(m *matcher.Message) bool {
	of := &m.Of
	if !e.dports.reach(of.DstPort, 0) {
		return false
	}
	return e.sports.reach(of.SrcPort, 0) ||
		m.Reply.IsQuoted() && (e.ids.reach(of.ID, 0) || e.ids.reach(bits.ReverseBytes16(of.ID), 0))
}

// add adds a probe. The first that is captured tells more than all that replies
// quoted before, in their own order.
func (r *run) add(s *sighting) {
	if r.climb.n == 0 {
		r.style = style{}
	}
	fills := r.gaps(s)
	r.extent.add(s)
	if r.touch(s.at); r.resent(s) {
		r.climb.again(s.ttl)
	} else {
		if r.climb.n > 0 && s.isPassedOn(&r.latest) {
			r.passed++
		}
		r.style.add(s, fills)
		r.climb.add(s.ttl)
		r.latest = *s
	}
	if r.dull {
		return
	}
	key := s.key()
	probe := r.recorder.Found(&key, s.ttl, s.time())
	s.describe(probe)
	probe.Round = r.climb.sent[s.ttl]
	if s.flags&flagSYN != 0 {
		if r.syns == nil {
			r.syns = map[uint32]uint32{}
		}
		r.syns[s.ports()] = s.token
	}
	r.judge()
}

// asked reports whether a SYN of the run had the ports of a segment.
func (r *run) asked(s *sighting) bool {
	_, asked := r.syns[s.ports()]
	return asked
}

// asks reports whether a SYN goes again, which the run has sent.
func (r *run) asks(s *sighting) bool {
	sequence, asked := r.syns[s.ports()]
	return asked && sequence == s.token
}

// resent reports whether a SYN goes again, of a program that sends each probe
// from a port of its own: its system does that.
func (r *run) resent(s *sighting) bool {
	return r.asks(s) && r.style.sport.up+r.style.sport.jump > 0 && r.climb.has(s.ttl)
}

func (r *run) touch(at int64) { r.last = max(r.last, at) }

// mayTake reports whether it may be worth the while to offer a reply to the run.
func (r *run) mayTake(m *matcher.Message) bool {
	return !r.dull && r.climb.n > 0 && r.extent.mayHold(m)
}

// take offers a reply to the run, which may take it, or refuse it for all.
func (r *run) take(m *matcher.Message) bool {
	if r.recorder.Take(m) {
		r.heard(m)
		return true
	}
	kept, refused := r.recorder.Doubt(m)
	if kept {
		r.heard(m)
	}
	return kept || refused
}

// hold offers an ICMP error to the run that agrees with one of its probes in part.
func (r *run) hold(m *matcher.Message, ports bool) bool {
	if r.dull || r.climb.n == 0 || !r.recorder.Hold(m, ports) {
		return false
	}
	r.heard(m)
	return true
}

// refuses reports whether an ICMP error is forged: of a probe of this program it shows
// another cookie.
func (r *run) refuses(m *matcher.Message) bool { return !r.dull && r.recorder.IsForged(m) }

func (r *run) heard(m *matcher.Message) {
	if m.Reply.Kind == matcher.TimeExceeded {
		r.exceeded++
	}
	if isPortUnreachable(m) {
		r.refused++
	}
	r.replied = m.Time.UnixNano()
	r.touch(r.replied)
}

// orphan adds a reply to a probe that is not in the capture. What it quotes tells
// how the probes differ if there are no others.
func (r *run) orphan(m *matcher.Message, s *sighting) {
	r.extent.add(s)
	if r.climb.n == 0 {
		r.style.add(s, gaps{})
		r.latest = *s
	}
	r.touch(s.at)
	if r.dull {
		return
	}
	if r.orphans++; r.orphans == 1 {
		r.router = m.Reply.From
	}
	r.routers = r.routers || r.router != m.Reply.From
	r.heard(m)
	r.recorder.Orphan(&m.Reply, &m.Of)
	r.judge()
}

// judge gives up what is too long for something that is no trace.
func (r *run) judge() {
	c := &r.climb
	switch {
	case c.levels == 0 && !r.routers && r.orphans > maxOrphans:
	case c.levels == 1 && r.orphans == 0 && c.n >= maxLevel:
	case r.exceeded == 0 && c.n >= maxAimless && !c.up():
	default:
		return
	}
	r.dull = true
	r.syns = nil
}

// expects reports whether a packet with a TTL that is not low goes on where the
// run has got to.
func (r *run) expects(s *sighting) bool {
	c := &r.climb
	return c.highest >= lowTTL-2 && s.ttl >= c.lowest && int(s.ttl) <= int(c.highest)+2 && r.fit(s) >= strong
}

// isTrace reports whether the run is a trace, and not ordinary traffic with a
// low TTL or with an ICMP error about it.
func (r *run) isTrace() bool {
	c := &r.climb
	switch {
	case r.dull || r.passed > c.n/2:
		return false
	case c.levels == 0:
		return r.routers || r.orphans <= maxAlone && r.first.likeTracers()
	case r.exceeded == 0:
		return c.up() || r.isToNeighbour()
	case c.levels == 1:
		// TCP may be BGP's, which sends to neighbours with TTL 1.
		return c.lowest <= lowTTL && layers.IPProtocol(r.first.protocol) != layers.IPProtocolTCP
	}
	return c.lowest <= lowTTL || c.levels >= 3
}

// isToNeighbour reports whether the run is a traceroute to a neighbour, of which
// the first probes reach their target: a few, and a port was closed.
func (r *run) isToNeighbour() bool {
	const most = 10 // probes of a hop, of Linux traceroute
	return r.refused > 0 && r.climb.most <= most && r.first.likeFirst()
}

// aimless is how many packets are kept of a run that is no trace so far.
func (r *run) aimless() int {
	if r.dull || r.isTrace() {
		return 0
	}
	return r.climb.n + r.orphans
}

// maxAlone is how many replies of one router, without their probes, are taken
// for a trace's rather than for a loop under other traffic.
const maxAlone = 3

// finish concludes the run.
func (r *run) finish(evicted int) {
	p := r.path
	p.Ended = time.Unix(0, r.last).UTC()
	p.Target.Host = p.Target.Addr.String()
	p.Tool = r.tool()
	p.Counters.Evicted = evicted - r.evicted
	q := &p.Parameters
	q.FirstTTL, q.MaxTTL = r.climb.lowest, r.climb.highest
	q.Queries = r.climb.most
	r.recorder.Apply(&path.Entry{Kind: path.Watermark, At: p.Ended.Add(Wait + time.Nanosecond)})
	r.recorder.Undecided(r.recorder.Orphan)
	r.recorder.Apply(&path.Entry{Kind: path.End, At: p.Ended})
}
