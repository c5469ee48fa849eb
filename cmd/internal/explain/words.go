package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// typeWords are ICMP types in words, and their codes (RFC 792, 1122 section 3.2.2,
// 1812 section 5.2.7; RFC 4443).
type typeWords struct {
	name  string
	codes []string
}

var words4 = map[uint8]typeWords{
	3: {"destination unreachable", []string{
		"net unreachable", "host unreachable", "protocol unreachable", "port unreachable", "fragmentation needed",
		"source route failed", "destination net unknown", "destination host unknown", "source host isolated",
		"net prohibited", "host prohibited", "net unreachable for this TOS", "host unreachable for this TOS",
		"administratively prohibited", "host precedence violation", "precedence cutoff",
	}},
	11: {"time exceeded", []string{"TTL exceeded in transit", "fragment reassembly time exceeded"}},
	12: {"parameter problem", []string{"pointer indicates the error", "missing a required option", "bad length"}},
}

var words6 = map[uint8]typeWords{
	1: {"destination unreachable", []string{
		"no route to destination", "administratively prohibited", "beyond scope of source address", "address unreachable",
		"port unreachable", "source address failed policy", "reject route to destination",
	}},
	2: {"packet too big", []string{""}},
	3: {"time exceeded", []string{"hop limit exceeded in transit", "fragment reassembly time exceeded"}},
	4: {"parameter problem", []string{"erroneous header field", "unrecognized next header", "unrecognized IPv6 option"}},
}

// icmpWords are the type and the code of an ICMP error.
func icmpWords(r *path.Reply) (typ, code string) {
	all := words4
	if r.From.Is6() {
		all = words6
	}
	typ, code = fmt.Sprint(r.ICMPType), fmt.Sprint(r.ICMPCode)
	w, known := all[r.ICMPType]
	if !known {
		return typ, code
	}
	typ += " (" + w.name + ")"
	if n := int(r.ICMPCode); n < len(w.codes) && w.codes[n] != "" {
		code += " (" + w.codes[n] + ")"
	}
	return typ, code
}

// matchedWords says what ties a reply to its probe.
func (e *Evidence) matchedWords(p *path.Probe, r *path.Reply) string {
	quote := e.quotedKey(r)
	switch r.MatchedBy {
	case matcher.ByCookie:
		if r.IsQuoted() {
			return "it quotes the probe's cookie" + e.disagreement(p, quote)
		}
		return "it returns the probe's cookie"
	case matcher.ByFields:
		if !r.IsQuoted() {
			return "it answers the probe's own ports and sequence number"
		}
		if key, seen := e.keyOf(p.Number); seen && quote != nil {
			agree, _ := agreement(&key, quote)
			return "no cookie is visible; destination, " + list(agree) + " are the probe's, and no other's"
		}
		return "no cookie is visible; destination, source port, ID and checksum or sequence number are the probe's, and no other's"
	case matcher.ByTranslation:
		return "at least three replies to different probes agree on what the path rewrites, or a cookie proves it: " + r.Translation.String()
	case matcher.ByTwo:
		if key, seen := e.keyOf(p.Number); seen && quote != nil {
			agree, _ := agreement(&key, quote)
			return "no cookie is visible; destination, " + list(agree) + " are the probe's, and no other's; " + r.Translation.String()
		}
		return "no cookie is visible; the destination and two of source port, ID and checksum or sequence number are the probe's, and no other's; " + r.Translation.String()
	case matcher.ByPorts:
		return "no other probe has the ports; " + r.Translation.String() + ", as in all replies from here on"
	case matcher.ByOrder:
		return "several probes look alike; this was the earliest without a reply"
	case matcher.Alone:
		return "unverified: it quotes nothing, and no other probe can have drawn it"
	case matcher.Ambiguous:
		return "unverified: it quotes nothing, and several probes can have drawn it: its round trip is not known"
	}
	return "the probe is not known"
}

// quotedKey is what a reply's frame quotes of a probe's Key.
func (e *Evidence) quotedKey(r *path.Reply) *craft.Key {
	f, kept := e.received(r)
	if !kept || !r.IsQuoted() {
		return nil
	}
	key, err := craft.KeyOf(quoteOf(&f, r))
	if err != nil {
		return nil
	}
	return &key
}

// disagreement says what a quote that has the probe's cookie does not have of it.
func (e *Evidence) disagreement(p *path.Probe, quote *craft.Key) string {
	key, seen := e.keyOf(p.Number)
	if !seen || quote == nil {
		return ""
	}
	if _, differ := agreement(&key, quote); len(differ) > 0 {
		return ", though not its " + list(differ)
	}
	return ""
}

// agreement lists which parts of a probe's identity a quote shows, and which it
// shows otherwise.
func agreement(key, quote *craft.Key) (agree, differ []string) {
	protocol, port := craft.ProtocolOf(key.Protocol), "source port"
	if !protocol.HasPorts() {
		port = "identifier"
	}
	swapped := *quote
	swapped.SrcPort, swapped.Short, swapped.Dst, swapped.DstPort = key.SrcPort+1, true, key.Dst, key.DstPort
	for _, part := range []struct {
		name          string
		same, visible bool
	}{
		{"destination", key.Dst == quote.Dst, key.Dst != quote.Dst},
		{"destination port", key.DstPort == quote.DstPort, key.DstPort != quote.DstPort},
		{port, key.SrcPort == quote.SrcPort, true},
		{"ID", key.Agreement(&swapped) == 1, key.Dst.Is4()},
		{protocol.Token.String(), key.Token == quote.Token, !quote.Short},
	} {
		switch {
		case !part.visible:
		case part.same:
			agree = append(agree, part.name)
		default:
			differ = append(differ, part.name)
		}
	}
	return agree, differ
}

// failedCheck says why a reply that quotes something like a probe is not its
// reply.
func (e *Evidence) failedCheck(probe int, quote *craft.Key) string {
	key, _ := e.keyOf(probe)
	if key.HasCookie && quote.HasCookie && key.Cookie != quote.Cookie {
		return fmt.Sprintf("it quotes another cookie, 0x%016x for 0x%016x", quote.Cookie, key.Cookie)
	}
	agree, differ := agreement(&key, quote)
	switch {
	case len(differ) == 0 || len(agree) >= 2 && quote.Dst == key.Dst && quote.DstPort == key.DstPort:
		return "several probes fit what it quotes equally well"
	case len(agree) == 0:
		return "it quotes another " + list(differ)
	}
	return "of what it quotes only the " + list(agree) + " " + verb(len(agree)) + " the probe's, not the " + list(differ)
}

// failedAnswer says why an answer of the target is not a probe's.
func (e *Evidence) failedAnswer(probe int, s *suspect) string {
	key, _ := e.keyOf(probe)
	differs := key.Token != s.quote.Token
	switch {
	case key.HasCookie && s.quote.HasCookie && key.Cookie != s.quote.Cookie:
		return fmt.Sprintf("it returns another cookie, 0x%016x for 0x%016x", s.quote.Cookie, key.Cookie)
	case s.reply.Kind == matcher.EchoReply && differs:
		return "it returns another sequence number"
	case s.reply.Kind == matcher.EchoReply:
		return "it does not return the probe's data"
	case s.reply.Kind != matcher.UDP && differs:
		return "it acknowledges another sequence number"
	}
	return "nothing in it says which probe it answers"
}

// asideWords says what an ICMP message means that is no reply.
func asideWords(r *matcher.Reply) string {
	is6 := r.From.Is6()
	switch {
	case !is6 && r.ICMPType == 4:
		return "a source quench: it asks to send less, and tells of no hop"
	case !is6 && r.ICMPType == 5:
		return "a redirect: it names another gateway, and tells of no hop"
	case r.ICMPCode == 1:
		return "time exceeded of code 1 (fragment reassembly time exceeded): fragments of the probe went missing there; its TTL did not run out, so it tells of no hop"
	}
	return fmt.Sprintf("ICMP type %d, code %d, which tells of no hop", r.ICMPType, r.ICMPCode)
}

func verb(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// list joins words.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// placedWords says what places a reply at its hop.
func placedWords(p *path.Probe, r *path.Reply) string {
	switch r.Basis {
	case path.BySentTTL:
		return fmt.Sprintf("a time-exceeded is made where the TTL runs out, and the probe had TTL %d", p.TTL)
	case path.ByQuotedTTL:
		return fmt.Sprintf("the target quotes what was left of the TTL: %d sent, %d left", p.TTL, r.Quoted.TTL)
	case path.BySameAddress:
		return fmt.Sprintf("%v answered a time-exceeded there", r.From)
	case path.ByArithmetic:
		return fmt.Sprintf("of TTL %d it quotes %d left, and nothing else says where it is: it may be one hop nearer", p.TTL, r.Quoted.TTL)
	case path.ByLowestTTL:
		return "that is the lowest TTL which drew such a reply from there"
	}
	return "nothing says how far away it is"
}

// silence says why a probe has no reply in time. The first sentence is the reason.
func (e *Evidence) silence(p *path.Probe) (reasons []string) {
	if p.Status == path.Unsent {
		return []string{"it never left: the system refused to send it"}
	}
	waited := e.waits.Of(p.Number)
	suspected := e.suspectsOf(p)
	switch {
	case p.Reply != nil:
		late := p.Reply.Received.Sub(p.Sent) - waited
		reasons = append(reasons, fmt.Sprintf("its reply came %s after it, %s too late: the wait was %s",
			duration(p.Reply.Received.Sub(p.Sent)), duration(late), duration(waited)))
		return reasons
	case e.path.Obscured(p):
		return append(reasons, e.unseen(p))
	case p.SentClock == path.User && p.Status == path.Abandoned:
		over := map[bool]string{
			true: "the recording lacks the end of the trace", false: "the trace was over before a copy of it was captured, or a reply",
		}[e.path.Cut]
		reasons = append(reasons, "it was handed to the system, and "+over)
	case p.SentClock == path.User:
		reasons = append(reasons, "it was never seen leaving: it was handed to the system, but no copy of it was captured")
	case p.Overshot(e.end) && p.Status == path.Abandoned:
		reasons = append(reasons, "it was sent before it was known that the path ends here, and was not waited for")
	case p.Overshot(e.end):
		reasons = append(reasons, "it was sent before it was known that the path ends here, and drew no reply")
	case len(suspected.shown) > 0:
		reasons = append(reasons, suspected.reason())
	case p.Status == path.Abandoned && e.path.Cut:
		reasons = append(reasons, "it left, and the recording lacks the end of the trace")
	case p.Status == path.Abandoned && e.path.Clock.Captured && e.unplaced:
		reasons = append(reasons, "it left, and nothing that is known to be for it had come back when the capture ended: a reply at hop ? may be")
	case p.Status == path.Abandoned && e.path.Clock.Captured:
		reasons = append(reasons, "it left, and nothing had come back when the capture ended")
	case p.Status == path.Abandoned:
		reasons = append(reasons, "it left, and the trace was over before a reply came")
	case e.unplaced:
		reasons = append(reasons, fmt.Sprintf("it left, and nothing that is known to be for it came back within %s: a reply at hop ? may be", duration(waited)))
	default:
		reasons = append(reasons, fmt.Sprintf("it left, and nothing came back within %s", duration(waited)))
	}
	reasons = append(reasons, e.suspicions(p)...)
	if n := e.path.Counters.Dropped; e.dropped() && len(e.path.Gaps) == 0 {
		reasons = append(reasons, fmt.Sprintf("the capture lost %d %s during the trace, and what is missing may be among them", n, render.Plural("frame", n)))
	}
	return reasons
}

// unseen says why a reply to a probe, or the probe itself, may have been missed.
func (e *Evidence) unseen(p *path.Probe) string {
	for i := range e.path.Gaps {
		g := &e.path.Gaps[i]
		if !slices.Contains(e.path.ObscuredBy(g), p.Number) {
			continue
		}
		switch g.Cause {
		case frame.NoCarrier:
			return "nobody knows: the link was lost when it left, or while it was waited for"
		case frame.AddressRemoved:
			return "nobody knows: the source address was removed while it was waited for"
		}
	}
	return "nobody knows: the capture lost frames when it left, or while it was waited for, and its reply may be among them"
}

// duration is a time of a round trip: milliseconds with microseconds, or seconds.
// The unit is not broken off.
func duration(d time.Duration) string {
	if d >= time.Second || d <= -time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + "\u00a0s"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64) + "\u00a0ms"
}

// extensionWords are the extensions of a reply, to the last field: a line for each.
func extensionWords(x *matcher.Extensions) (lines []string) {
	if x == nil {
		return nil
	}
	for i := range x.Objects {
		o := &x.Objects[i]
		for _, l := range o.Labels {
			bottom := ""
			if l.Bottom {
				bottom = ", bottom of the stack"
			}
			lines = append(lines, fmt.Sprintf("MPLS label %d, TC %d, TTL %d%s", l.Label, l.TC, l.TTL, bottom))
		}
		if o.Interface != nil {
			lines = append(lines, interfaceWords(o.Interface))
		}
		if o.Node != nil && *o.Node != (matcher.NodeInfo{}) { // something could be read of it
			lines = append(lines, nodeWords(o.Node))
		}
		if o.Malformed || o.Labels == nil && o.Interface == nil && o.Node == nil {
			lines = append(lines, unknownWords(o))
		}
	}
	switch {
	case len(x.Objects) == 0:
		lines = append(lines, fmt.Sprintf("a structure at byte %d of the quote whose objects can't be trusted", x.Offset))
	case !x.Verified:
		lines = append(lines, "without a checksum that vouches for it")
	}
	if x.Stated != 0 && x.Stated != x.Offset {
		lines = append(lines, fmt.Sprintf("at byte %d of the quote, where the Length field says %d", x.Offset, x.Stated))
	}
	return lines
}

func interfaceWords(i *matcher.InterfaceInfo) string {
	words := []string{i.Role.String() + " interface"}
	if i.Role == matcher.NextHop {
		words[0] = "next hop"
	}
	if i.Index != 0 {
		words = append(words, fmt.Sprintf("index %d", i.Index))
	}
	if i.Name != "" {
		words = append(words, "name "+render.Name(strconv.Quote(i.Name)))
	}
	if i.Address != (netip.Addr{}) {
		words = append(words, fmt.Sprintf("address %v", i.Address))
	}
	if i.MTU != 0 {
		words = append(words, fmt.Sprintf("MTU %d", i.MTU))
	}
	return strings.Join(words, ", ")
}

func nodeWords(n *matcher.NodeInfo) string {
	words := []string{"the router calls itself"}
	if n.Name != "" {
		words = append(words, render.Name(strconv.Quote(n.Name)))
	}
	if n.Address.IsValid() {
		words = append(words, n.Address.String())
	}
	return strings.Join(words, " ")
}

func unknownWords(o *matcher.ExtensionObject) string {
	what := "object"
	if o.Malformed {
		what = "malformed object"
	}
	return fmt.Sprintf("%s of class %d, type %d, %d bytes: %x", what, o.Class, o.Type, o.Length, o.Payload)
}
