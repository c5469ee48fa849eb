package explain

import (
	"fmt"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// suspect is what came back and is no reply to a probe: it shows something of one, but
// not enough; or it is an aside, an ICMP message that tells of no hop.
type suspect struct {
	reply matcher.Reply
	quote craft.Key // of an answer: what it returns
	aside bool

	// among are the probes that it may equally well be meant for, nil if that is one
	// alone, and more is how many others are.
	among    []int
	more     int
	stranger bool // it shows nothing of these probes but where they went
}

// doubts are the suspects of a probe: the first few, and how many came after these.
type doubts struct {
	shown []*suspect
	more  int
}

// Of a flood that may be meant for a probe, and of the probes that a suspect may be
// meant for, so many are said.
const (
	maxShown = 5
	maxNamed = 100
)

// finish says which probes each reply that nobody got is likeliest to be meant for.
func (g *gatherer) finish() *Evidence {
	if len(g.unmatched) == 0 {
		return g.Evidence
	}
	g.suspects = make([]doubts, len(g.path.Probes))
	left, keys := comparisons, g.keys()
	var likeliest []int
	for n := range g.unmatched {
		s := &g.unmatched[n]
		if g.others[identity(&s.quote)] {
			continue
		}
		if left -= len(g.path.Probes); left < 0 {
			g.unread++
			continue
		}
		likeliest = g.likeliest(s, keys, likeliest[:0])
		g.suspect(s, likeliest)
	}
	return g.Evidence
}

// likeliest appends the probes that a suspect is likeliest to be meant for to all. Of
// two that it shows as much of, one without a reply is.
func (g *gatherer) likeliest(s *suspect, keys []craft.Key, all []int) []int {
	most := 0
	for i := range g.path.Probes {
		p := &g.path.Probes[i]
		if keys[i].Protocol == 0 || p.Sent.After(s.reply.Received) {
			continue
		}
		likeness := 2 * g.likeness(s, &keys[i], p)
		switch {
		case likeness > 0 && p.Reply == nil:
			likeness++
		case likeness == 0 && g.isStranger(s, &keys[i], p):
			likeness = 1
		}
		if likeness > most {
			most, all = likeness, all[:0]
		}
		if likeness == most && most > 0 {
			all = append(all, i)
		}
	}
	s.stranger = most == 1
	return all
}

// likeness is how much of a probe a suspect shows.
func (g *gatherer) likeness(s *suspect, key *craft.Key, p *path.Probe) int {
	if !s.aside && !s.reply.IsQuoted() {
		return answers(key, &s.quote, p)
	}
	return alike(key, &s.quote)
}

// isStranger reports whether a suspect that shows nothing of a probe quotes a packet to
// the same port of the target, and came while the probe was waited for.
func (g *gatherer) isStranger(s *suspect, key *craft.Key, p *path.Probe) bool {
	return s.reply.IsQuoted() && p.Reply == nil && s.quote.Protocol == key.Protocol && s.quote.Dst == key.Dst &&
		s.quote.DstPort == key.DstPort && s.reply.Received.Sub(p.Sent) <= g.waits.Of(p.Number)
}

// suspect notes a suspect of probes, which are all as likely.
func (g *gatherer) suspect(s *suspect, probes []int) {
	if len(probes) > 1 {
		s.more = max(0, len(probes)-maxNamed)
	}
	for _, i := range probes {
		d := &g.suspects[i]
		if len(d.shown) == maxShown {
			d.more++
			continue
		}
		if d.shown = append(d.shown, s); len(probes) > 1 && s.among == nil {
			s.among = append(s.among, probes[:len(probes)-s.more]...)
		}
	}
}

// keys are the Keys of all probes: of one that was not captured the zero Key.
func (g *gatherer) keys() []craft.Key {
	all := make([]craft.Key, len(g.path.Probes))
	for i := range all {
		all[i], _ = g.keyOf(i)
	}
	return all
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
// alike except for what it returns: 0 if it is of another flow.
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

// suspectsOf are the suspects of a probe.
func (e *Evidence) suspectsOf(p *path.Probe) doubts {
	if p.Number >= len(e.suspects) {
		return doubts{}
	}
	return e.suspects[p.Number]
}

// reason says why a probe that has suspects has no reply.
func (d *doubts) reason() string {
	asides, strangers, own := 0, 0, 0
	for _, s := range d.shown {
		switch {
		case s.aside:
			asides++
		case s.stranger:
			strangers++
		case s.among == nil:
			own++
		}
	}
	switch {
	case asides == len(d.shown):
		return "it left, and what came back tells of no hop"
	case own > 0:
		return "it left, and what came back failed a check"
	case asides+strangers == len(d.shown):
		return "it left, and what came back meanwhile failed every check"
	}
	return "it left, and what may be its reply failed a check"
}

// suspicions say what a probe's suspects are, and which check they failed.
func (e *Evidence) suspicions(p *path.Probe) (all []string) {
	d := e.suspectsOf(p)
	for _, s := range d.shown {
		all = append(all, e.suspicion(p, s))
	}
	if d.more > 0 {
		all = append(all, fmt.Sprintf("%d more like these came", d.more))
	}
	return all
}

// suspicion says what a suspect of a probe is. If it may be meant for others too, it is
// said of all in the same words.
func (e *Evidence) suspicion(p *path.Probe, s *suspect) string {
	came := fmt.Sprintf("frame %d came from %v", s.reply.Frame, s.reply.From)
	if s.among == nil {
		came = duration(s.reply.Received.Sub(p.Sent)) + " later " + came
	}
	switch {
	case s.aside:
		came += ": " + asideWords(&s.reply)
	case s.reply.IsQuoted():
		came += fmt.Sprintf(", %v, but %s", s.reply.Kind, e.failedCheck(p.Number, &s.quote))
	default:
		came += fmt.Sprintf(", %v, but %s", s.reply.Kind, e.failedAnswer(p.Number, s))
	}
	return came + s.amongWords()
}

// amongWords name the probes that a suspect may be meant for, if they are several.
func (s *suspect) amongWords() (words string) {
	if s.stranger {
		words = "; it may be about another program's packet"
	}
	switch {
	case s.among == nil:
		return words
	case s.more > 0:
		words += fmt.Sprintf("; it may be meant for any of probes %s and %d more", render.Numbers(s.among), s.more)
	default:
		words += "; it may be meant for any of probes " + render.Numbers(s.among)
	}
	return words
}
