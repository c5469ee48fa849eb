package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
)

// Explanation says in words what the Evidence shows. No line of it is longer than
// render.Columns, unless a single word is.
type Explanation struct {
	*Evidence
	Names   map[netip.Addr]string // of routers; may be nil
	Painter dissect.Painter
}

// enough is how much text is written at once.
const enough = 64 << 10

// Overview writes what is noteworthy of each hop, and the findings.
func (x *Explanation) Overview(w io.Writer) error {
	var b bytes.Buffer
	x.header(&b)
	for _, sentence := range render.Unseen(x.path) {
		b.WriteString(render.Wrap("", "  ", sentence))
	}
	switch {
	case x.path.Cut:
		b.WriteString("the recording lacks the end of the trace\n")
	case x.path.Interrupted:
		b.WriteString("the trace was interrupted\n")
	}
	if port := x.portWords(); port != "" {
		b.WriteString(port + "\n")
	}
	out := x.lines(w)
	for h := range x.path.EachHop() {
		b.WriteByte('\n')
		if x.block(&b, &h); b.Len() > enough {
			if _, err := b.WriteTo(out); err != nil {
				return err
			}
		}
	}
	if n := len(x.broken); n > 0 {
		b.WriteString(render.Wrap("\n", "", fmt.Sprintf("%d ICMP %s can't be read: %s %s",
			n, render.Plural("error", n), render.Plural("frame", n), render.Numbers(x.broken))))
	}
	if n := x.unread; n > 0 {
		b.WriteString(render.Wrap("\n", "", fmt.Sprintf("%d more %s of others came than are compared with the probes",
			n, map[bool]string{true: "reply", false: "replies"}[n == 1])))
	}
	b.WriteString("\n" + render.Findings(x.path))
	if len(x.path.Probes) > 0 {
		b.WriteString("\n--hop N and --probe N show all fields of a hop's probes, or of one.\n")
	}
	_, err := b.WriteTo(out)
	return err
}

// Hop writes all that is known of the probes that stand at a hop.
func (x *Explanation) Hop(w io.Writer, ttl uint8) error {
	at := x.path.Hop(ttl)
	if len(at.Probes) == 0 {
		return &MissingError{Wanted: fmt.Sprintf("hop %d", ttl), There: x.hopsThere()}
	}
	var b bytes.Buffer
	x.header(&b)
	for i := range at.Probes {
		b.WriteByte('\n')
		x.probe(&b, &at.Probes[i])
	}
	_, err := x.lines(w).Write(b.Bytes())
	return err
}

// Probe writes all that is known of the probe with a number.
func (x *Explanation) Probe(w io.Writer, number int) error {
	if number < 0 || number >= len(x.path.Probes) {
		return &MissingError{Wanted: fmt.Sprintf("probe %d", number), There: x.probesThere()}
	}
	var b bytes.Buffer
	x.header(&b)
	b.WriteByte('\n')
	x.probe(&b, &x.path.Probes[number])
	_, err := x.lines(w).Write(b.Bytes())
	return err
}

// lines is the writer of all that is written to w.
func (x *Explanation) lines(w io.Writer) io.Writer {
	if x.Painter.Coloured {
		return render.Lines(w, dissect.Paints()...)
	}
	return render.Lines(w)
}

// MissingError says that there is no such hop or probe, and which there are.
type MissingError struct{ Wanted, There string }

// Error says so in one line.
func (e *MissingError) Error() string { return fmt.Sprintf("there is no %s: %s", e.Wanted, e.There) }

func (x *Explanation) hopsThere() string {
	var hops []int
	for _, h := range x.path.Hops() {
		if h.TTL != 0 && len(h.Probes) > 0 {
			hops = append(hops, int(h.TTL))
		}
	}
	if len(hops) == 0 {
		return "the trace has none"
	}
	return "the trace has " + render.Plural("hop", len(hops)) + " " + render.Numbers(hops)
}

func (x *Explanation) probesThere() string {
	switch n := len(x.path.Probes); n {
	case 0:
		return "the trace has none"
	case 1:
		return "the trace has probe 0 alone"
	default:
		return fmt.Sprintf("the trace has probes 0 to %d", n-1)
	}
}

func (x *Explanation) header(b *bytes.Buffer) {
	p := x.path
	abandoned := ""
	if n := count(p.Probes, func(p *path.Probe) bool { return p.Status == path.Abandoned }); n > 0 {
		abandoned = fmt.Sprintf(", %d abandoned", n)
	}
	alone := count(p.Probes, isUncaptured)
	b.WriteString(render.Wrap("", "  ", fmt.Sprintf("%s trace to %s (%v) from %v: %d %s sent, %d answered, %d late%s%s",
		report.ProtocolName(p.Protocol), render.Name(p.Target.Host), p.Target.Addr, p.Source.Addr,
		p.Counters.Sent, render.Plural("probe", p.Counters.Sent), p.Counters.Received-alone, p.Counters.Late, abandoned, aloneWords("; ", alone))))
	if also := p.Source.Also; len(also) > 0 {
		b.WriteString(render.Wrap("", "  ", fmt.Sprintf("the probes left by %s; replies were captured on %[1]s, %s",
			render.Printable(p.Source.Interface), render.Printable(strings.Join(also, ", ")))))
	}
}

// isUncaptured reports whether a probe is known by its reply alone.
func isUncaptured(p *path.Probe) bool { return p.TTL == 0 && p.Reply != nil }

// aloneWords say how many replies are all that is known of their probes, behind some
// words; "" if there are none.
func aloneWords(before string, n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return before + "1 reply to a probe that was not captured"
	}
	return fmt.Sprintf("%s%d replies to probes that were not captured", before, n)
}

// count returns how many of the probes are as wanted.
func count(probes []path.Probe, wanted func(*path.Probe) bool) (n int) {
	for i := range probes {
		if wanted(&probes[i]) {
			n++
		}
	}
	return n
}

// named is who sent a reply.
func (x *Explanation) named(r *path.Reply) string {
	if name := x.Names[r.From]; name != "" {
		return fmt.Sprintf("%v (%s)", r.From, render.Name(name))
	}
	return r.From.String()
}

// block writes a hop: who answered, how many probes, and what is noteworthy.
func (x *Explanation) block(b *bytes.Buffer, h *path.Hop) {
	number := " ?"
	if h.TTL != 0 {
		number = fmt.Sprintf("%2d", h.TTL)
	}
	b.WriteString(render.Wrap(number+"  ", "      ", x.summary(h)))
	for _, r := range x.remarks(h) {
		b.WriteString(render.Wrap("      ", "        ", r.text+" ("+render.Plural("probe", len(r.probes))+" "+render.Numbers(r.probes)+")"))
	}
}

// summary is a hop on a line.
func (x *Explanation) summary(h *path.Hop) string {
	var who []string
	seen := map[netip.Addr]bool{}
	var shortest, longest time.Duration
	answered := 0
	for i := range h.Probes {
		p := &h.Probes[i]
		if p.Reply == nil {
			continue
		}
		if from := p.Reply.From; !seen[from] {
			seen[from] = true
			who = append(who, x.named(p.Reply))
		}
		if p.Status != path.Replied {
			continue
		}
		answered++
		if p.Reply.HasRTT && (shortest == 0 || p.Reply.RTT < shortest) {
			shortest = p.Reply.RTT
		}
		longest = max(longest, p.Reply.RTT)
	}
	if len(h.Probes) == 0 {
		return map[bool]string{true: "no reply from here", false: "not probed"}[len(x.elsewhere[h.TTL]) > 0]
	}
	text := cmp.Or(list(who), "no reply")
	alone := count(h.Probes, isUncaptured)
	overshot := count(h.Probes, func(p *path.Probe) bool { return p.Overshot(h.TTL) })
	if sent := len(h.Probes) - alone; sent > 0 {
		text += fmt.Sprintf(": %d of %d answered in time%s", answered-alone, sent-overshot, aloneWords("; ", alone))
	} else {
		text += aloneWords(": ", alone)
	}
	switch {
	case longest == 0:
	case longest == shortest:
		text += ", " + duration(longest)
	default:
		text += fmt.Sprintf(", %s to %s", duration(shortest), duration(longest))
	}
	if overshot > 0 {
		text += fmt.Sprintf("; %d more went beyond it", overshot)
	}
	return text
}

// remark is something noteworthy, and the probes that show it.
type remark struct {
	text   string
	probes []int
}

// remarks are what is noteworthy of a hop, in the order in which it shows.
func (x *Explanation) remarks(h *path.Hop) (all []remark) {
	places := map[string]int{} // in all, by text
	add := func(probe int, text string) {
		at, ok := places[text]
		if !ok {
			at = len(all)
			places[text] = at
			all = append(all, remark{text: text})
		}
		if r := &all[at]; len(r.probes) == 0 || r.probes[len(r.probes)-1] != probe { // probe by probe
			r.probes = append(r.probes, probe)
		}
	}
	if h.TTL != 0 {
		for _, i := range x.elsewhere[h.TTL] {
			p := &x.path.Probes[i]
			r := p.Reply
			add(p.Number, fmt.Sprintf("sent to this hop, but answered at hop %d: %v, %s", r.Hop, r.From, answerWords(r)))
		}
	}
	for i := range h.Probes {
		p := &h.Probes[i]
		if p.TTL != 0 && p.Status != path.Replied {
			for _, reason := range x.silence(p) {
				add(p.Number, reason)
			}
		}
		for r := range replies(p) {
			for _, text := range x.noteworthy(p, r) {
				add(p.Number, text)
			}
		}
		if n := len(p.Extra); n > 0 {
			add(p.Number, fmt.Sprintf("%d further %s came", n, map[bool]string{true: "reply", false: "replies"}[n == 1]))
		}
	}
	return all
}

// noteworthy is what is not as usual in a reply.
func (x *Explanation) noteworthy(p *path.Probe, r *path.Reply) (all []string) {
	switch {
	case !r.IsQuoted():
	case r.IsPortUnreachable() && r.From != x.path.Target.Addr:
		all = append(all, answerWords(r)+", but from an address that is not the target's: a firewall that rejects, or the target by another address")
	case !usual(r):
		all = append(all, answerWords(r))
	}
	for _, to := range x.changes(p, r) {
		all = append(all, to.remark()+shiftWords(&to, r))
	}
	all = append(all, extensionWords(r.Extensions)...)
	if r.Basis == path.ByArithmetic {
		all = append(all, "the hop may be one nearer: only the quoted TTL says where it is")
	}
	return all
}

// remark is a change in words. Values that every probe has of its own are left to the
// table.
func (to *row) remark() string {
	switch to.name {
	case "TTL", "hop limit", "ID", "checksum", "sequence", "tuned word", "cookie":
		return fmt.Sprintf("%s %s: %s", to.header, to.name, to.verdict)
	}
	return fmt.Sprintf("%s %s: sent %s, quoted %s", to.header, to.name, to.sent, to.quoted)
}

// shiftWords name the constant by which a path shifts the checksums of datagrams or the
// sequence numbers of segments, behind the change that shows it.
func shiftWords(to *row, r *path.Reply) string {
	isToken := to.header == "UDP" && to.name == "checksum" || to.header == "TCP" && to.name == "sequence"
	if !isToken || r.Translation.Token != matcher.TokenShifted {
		return ""
	}
	return fmt.Sprintf(", shifted by the constant %#04x", r.Translation.Shift)
}

// answerWords are what a reply says, in words.
func answerWords(r *path.Reply) string {
	if !r.IsQuoted() {
		return r.Kind.String()
	}
	typ, code := icmpWords(r)
	return "ICMP type " + typ + ", code " + code
}

// portWords say what a TCP trace shows of the target's port.
func (x *Explanation) portWords() string {
	port := x.path.Parameters.DstPort
	switch render.PortState(x.path) {
	case "open":
		return fmt.Sprintf("port %d is open: the target answered with SYN-ACK", port)
	case "closed":
		return fmt.Sprintf("port %d is closed: the target answered with RST", port)
	case "filtered":
		return fmt.Sprintf("port %d is filtered: neither a SYN-ACK nor a RST came from the target", port)
	}
	return ""
}

// usual reports whether an ICMP error is of the sort that a trace lives by.
func usual(r *path.Reply) bool {
	return r.Kind == matcher.TimeExceeded || r.IsPortUnreachable()
}
