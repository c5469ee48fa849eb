package path

import (
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/tracewire/tracewire/matcher"
)

// sight is what a pair of hops shows of an aspect.
type sight struct {
	shown    bool // false if one of the traces doesn't tell
	changed  bool
	key      string // hops in a row are one change if their keys are equal
	before   string
	after    string
	doubtful bool
}

func same() sight { return sight{shown: true} }

// aspect is something that can change at a hop.
type aspect struct {
	kind ChangeKind
	look func(*pair) sight

	// joined says that a change of several hops lists the values of each.
	joined bool
	// local says that a change is doubtful if hops behind it don't show it.
	local bool
}

var aspects = []aspect{
	{kind: HopAdded, look: lookAdded, joined: true},
	{kind: HopRemoved, look: lookRemoved, joined: true},
	{kind: HopMoved, look: lookMoved},
	{kind: HopReplaced, look: lookReplaced},
	{kind: ResponderNew, look: lookNew},
	{kind: ResponderGone, look: lookGone},
	{kind: HopSilent, look: lookSilent, joined: true},
	{kind: HopAnswers, look: lookAnswers, joined: true},
	{kind: ChangedReply, look: lookReply},
	{kind: ChangedLoss, look: lookLoss, local: true},
	{kind: ChangedReplyTTL, look: lookReplyTTL},
	{kind: ChangedQuotedTTL, look: ofRouter(quotedTTL)},
	{kind: ChangedQuotedTOS, look: ofPath(quotedTOS)},
	{kind: ChangedQuotedID, look: ofPath(quotedID)},
	{kind: ChangedQuotedLength, look: ofPath(quotedLength)},
	{kind: ChangedQuotedChecksum, look: ofRouter(quotedChecksum)},
}

// changes are those of an aspect, each of as many hops in a row as changed alike.
// Hops that don't tell are passed over.
func (s *aspect) changes(pairs []pair) []placed {
	var found []placed
	key, open := "", false
	for i := range pairs {
		if pairs[i].moved != (s.kind == HopMoved) {
			continue // that it moved is all that is told of such a hop
		}
		v := s.look(&pairs[i])
		switch {
		case !v.shown:
		case !v.changed:
			open = false
		case open && v.key == key:
			s.extend(&found[len(found)-1].Change, &pairs[i], v)
		default:
			c := Change{Kind: s.kind, Before: v.before, After: v.after, Doubtful: v.doubtful}
			c.at(&pairs[i])
			found = append(found, placed{i, c})
			key, open = v.key, true
		}
	}
	for i := range found {
		c := &found[i].Change
		last := open && i == len(found)-1
		c.Onward = last && (c.LastA != c.HopA || c.LastB != c.HopB)
		c.Doubtful = c.Doubtful || s.local && !last
	}
	return found
}

func (s *aspect) extend(c *Change, p *pair, v sight) {
	c.until(p)
	if s.joined {
		c.Before, c.After = joined(c.Before, v.before), joined(c.After, v.after)
	}
	c.Doubtful = c.Doubtful && v.doubtful
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// at sets the hop of a change.
func (c *Change) at(p *pair) {
	if p.a != nil {
		c.HopA = p.a.ttl
	}
	if p.b != nil {
		c.HopB = p.b.ttl
	}
	c.until(p)
}

// until sets the last hop of a change.
func (c *Change) until(p *pair) {
	if p.a != nil {
		c.LastA = p.a.ttl
	}
	if p.b != nil {
		c.LastB = p.b.ttl
	}
}

func lookAdded(p *pair) sight {
	if p.a != nil {
		return same()
	}
	return sight{shown: true, changed: true, after: p.b.responders()}
}

func lookRemoved(p *pair) sight {
	if p.b != nil {
		return same()
	}
	return sight{shown: true, changed: true, before: p.a.responders()}
}

func lookMoved(p *pair) sight {
	v := distinct(p.a.responders(), p.b.responders(), false)
	v.key = fmt.Sprint(p.a.ttl) // each for itself
	return v
}

// distinct is a change that only the same change continues.
func distinct(before, after string, doubtful bool) sight {
	return sight{shown: true, changed: true, key: before + "→" + after, before: before, after: after, doubtful: doubtful}
}

func lookReplaced(p *pair) sight {
	if !p.both() || len(shared(p.a, p.b)) > 0 {
		return same()
	}
	return distinct(p.a.responders(), p.b.responders(), false)
}

func lookNew(p *pair) sight {
	if !p.both() || len(shared(p.a, p.b)) == 0 {
		return same()
	}
	added := lacking(p.b, p.a)
	if len(added) == 0 {
		return same()
	}
	return distinct("", list(added), mayBeChance(p.b.count(added), len(p.b.answers), len(p.a.answers)))
}

func lookGone(p *pair) sight {
	if !p.both() || len(shared(p.a, p.b)) == 0 {
		return same()
	}
	gone := lacking(p.a, p.b)
	if len(gone) == 0 {
		return same()
	}
	return distinct(list(gone), "", mayBeChance(p.a.count(gone), len(p.a.answers), len(p.b.answers)))
}

func lookSilent(p *pair) sight {
	if p.a == nil || p.b == nil {
		return same()
	}
	return silence(p.a, p.b, func(v *sight, who string) { v.before = who })
}

func lookAnswers(p *pair) sight {
	if p.a == nil || p.b == nil {
		return same()
	}
	return silence(p.b, p.a, func(v *sight, who string) { v.after = who })
}

// silence compares a hop that may have answered with one that may be silent.
func silence(heard, mute *station, set func(*sight, string)) sight {
	switch {
	case len(heard.answers) == 0:
		return sight{} // two silent hops: neither changed nor the end of a change
	case !mute.silent():
		return sight{shown: len(mute.answers) > 0}
	}
	v := sight{shown: true, changed: true, doubtful: mayBeChance(len(heard.answers), heard.asked, mute.asked)}
	set(&v, heard.responders())
	return v
}

// mayBeChance reports whether it is likelier than 1 in 20 that something which
// was seen k times of n is seen none of m times though nothing has changed. How
// often it happens is not known better than that it happened k times: it
// is reckoned as if one more time it hadn't.
func mayBeChance(k, n, m int) bool {
	return math.Pow(1-float64(k)/float64(n+1), float64(m)) > 0.05
}

// lookReply compares kinds and codes. A refusal that is new is no chance.
func lookReply(p *pair) sight {
	v := ofPath(func(_ *station, probe *Probe) (string, bool) { return kindOf(probe.Reply), true })(p)
	v.doubtful = false
	return v
}

func kindOf(r *Reply) string {
	switch {
	case !r.IsQuoted(), r.Kind == matcher.TimeExceeded:
		return r.Kind.String()
	case r.MTU != 0:
		return fmt.Sprintf("%v (type %d code %d, MTU %d)", r.Kind, r.ICMPType, r.ICMPCode, r.MTU)
	}
	return fmt.Sprintf("%v (type %d code %d)", r.Kind, r.ICMPType, r.ICMPCode)
}

// fewest is how many probes a hop must have got for its loss to be compared.
const fewest = 10

func lookLoss(p *pair) sight {
	if !p.both() || p.a.asked < fewest || p.b.asked < fewest {
		return sight{}
	}
	ka, na, kb, nb := float64(len(p.a.answers)), float64(p.a.asked), float64(len(p.b.answers)), float64(p.b.asked)
	mean := (ka + kb) / (na + nb)
	apart := ka/na - kb/nb
	if math.Abs(apart) <= 3*math.Sqrt(mean*(1-mean)*(1/na+1/nb)) {
		return same()
	}
	return sight{
		shown: true, changed: true, key: fmt.Sprint(apart > 0),
		before: fmt.Sprintf("%d of %d", len(p.a.answers), p.a.asked), after: fmt.Sprintf("%d of %d", len(p.b.answers), p.b.asked),
	}
}

// lookReplyTTL compares the way back. That it became longer by as much as the
// way there is no news.
func lookReplyTTL(p *pair) sight {
	if !p.both() {
		return sight{}
	}
	who := shared(p.a, p.b)
	before, after := replyTTLs(p.a, who), replyTTLs(p.b, who)
	if len(who) == 0 {
		return sight{}
	}
	longer := int(p.b.ttl) - int(p.a.ttl)
	for _, x := range before {
		if slices.Contains(after, x) || slices.Contains(after, x-longer) {
			return same()
		}
	}
	v := distinct(numbers(before), numbers(after), false)
	v.key = fmt.Sprint(after[len(after)-1] - before[len(before)-1])
	return v
}

func replyTTLs(s *station, who []netip.Addr) []int {
	var all []int
	for i := range s.answers {
		if r := s.answers[i].Reply; slices.Contains(who, r.From) {
			all = append(all, int(r.TTL))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func numbers(all []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", or), "[]")
}

// ofRouter compares what depends on who answers, where the same do.
func ofRouter(value func(*station, *Probe) (string, bool)) func(*pair) sight {
	return func(p *pair) sight {
		if !p.both() || len(shared(p.a, p.b)) == 0 {
			return sight{}
		}
		return ofPath(value)(p)
	}
}

// ofPath compares what the path did to the probes by then: of those that the
// same routers answered, or of all if there are none such.
func ofPath(value func(*station, *Probe) (string, bool)) func(*pair) sight {
	return func(p *pair) sight {
		if !p.both() {
			return sight{}
		}
		who := shared(p.a, p.b)
		before, after := values(p.a, who, value), values(p.b, who, value)
		switch {
		case len(before) == 0 || len(after) == 0:
			return sight{}
		case slices.Equal(before, after):
			return same()
		}
		overlap := slices.ContainsFunc(before, func(s string) bool { return slices.Contains(after, s) })
		return distinct(strings.Join(before, or), strings.Join(after, or), overlap)
	}
}

// values are those that the answers of some routers show, or of all if who is
// empty.
func values(s *station, who []netip.Addr, value func(*station, *Probe) (string, bool)) []string {
	var all []string
	for i := range s.answers {
		p := &s.answers[i]
		if len(who) > 0 && !slices.Contains(who, p.Reply.From) {
			continue
		}
		if v, ok := value(s, p); ok {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

const asSent = "as sent"

// or stands between values that differ among the answers at one hop.
const or = " or "

// quotedTTL is compared of time-exceeded only: the hop of other errors is
// computed from it.
func quotedTTL(_ *station, p *Probe) (string, bool) {
	return fmt.Sprint(p.Reply.Quoted.TTL), p.Reply.Kind == matcher.TimeExceeded
}

func quotedTOS(s *station, p *Probe) (string, bool) {
	if p.Reply.Quoted.TOS == s.path.Parameters.TOS {
		return asSent, p.Reply.IsQuoted()
	}
	return fmt.Sprintf("%#02x", p.Reply.Quoted.TOS), p.Reply.IsQuoted()
}

// quotedID tells how an ID was rewritten, not to what: every probe has another.
func quotedID(_ *station, p *Probe) (string, bool) {
	quoted, swapped := p.Reply.Quoted.ID, bits.ReverseBytes16(p.ID)
	switch {
	case !p.Reply.IsQuoted(), quoted == p.ID && p.ID == swapped:
		return "", false // it would look the same with its bytes swapped
	case quoted == p.ID:
		return asSent, true
	case quoted == 0:
		return "zero", true
	case quoted == swapped:
		return "byte-swapped", true
	}
	return "rewritten", true
}

func quotedLength(s *station, p *Probe) (string, bool) {
	if p.Reply.Quoted.Length == s.path.Parameters.Length {
		return asSent, p.Reply.IsQuoted()
	}
	return fmt.Sprint(p.Reply.Quoted.Length), p.Reply.IsQuoted()
}

func quotedChecksum(_ *station, p *Probe) (string, bool) {
	switch q := p.Reply.Quoted; {
	case !q.HasChecksum:
		return "not shown", p.Reply.IsQuoted()
	case q.Checksum == 0:
		return "zero", true
	}
	return "shown", p.Reply.IsQuoted()
}
