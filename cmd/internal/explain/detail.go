package explain

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// item writes a name and what it is, as a line below others.
func item(b *bytes.Buffer, name, text string) {
	b.WriteString(render.Wrap(fmt.Sprintf("  %-16s ", name), strings.Repeat(" ", 19), text))
}

// probe writes all that is known of a probe.
func (x *Explanation) probe(b *bytes.Buffer, p *path.Probe) {
	if p.TTL == 0 {
		fmt.Fprintf(b, "probe %d, known by its reply alone\n", p.Number)
	} else {
		fmt.Fprintf(b, "probe %d: TTL %d, round %d\n", p.Number, p.TTL, p.Round)
		x.departure(b, p)
	}
	if p.Status != path.Replied {
		for i, reason := range x.silence(p) {
			item(b, [...]string{"no reply in time", ""}[min(i, 1)], reason)
		}
	}
	compared := x.rejected(b, p)
	further := 0
	for r := range replies(p) {
		b.WriteByte('\n')
		x.reply(b, p, r, further)
		further++
		if c, ok := x.compare(p, r); ok {
			compared = true
			b.WriteByte('\n')
			x.comparison(b, &c, p, r)
		} else if r.IsQuoted() {
			b.WriteString("  not visible: the frame of this reply is not in the capture\n")
		}
	}
	if f, seen := x.sent(p); seen && !compared {
		b.WriteByte('\n')
		fmt.Fprintf(b, "as sent, frame %d\n", x.frameOf[p.Number])
		headers := dissect.Frame(&f, x.ours())
		x.Painter.Fields(b, headers)
		x.Painter.Hexdump(b, f.Data, headers)
	}
}

// rejected compares a probe that has no reply with those that failed a check.
func (x *Explanation) rejected(b *bytes.Buffer, p *path.Probe) (compared bool) {
	for _, s := range x.suspectsOf(p).shown {
		r := &path.Reply{Reply: s.reply}
		if s.reply.Kind == matcher.TimeExceeded {
			r.Hop = p.TTL
		}
		if c, ok := x.compare(p, r); ok {
			fmt.Fprintf(b, "\nnot its reply, frame %d\n", s.reply.Frame)
			x.comparison(b, &c, p, r)
			compared = true
		}
	}
	return compared
}

// departure writes when and how the probe left.
func (x *Explanation) departure(b *bytes.Buffer, p *path.Probe) {
	if f, seen := x.sent(p); seen {
		item(b, "frame", fmt.Sprintf("%d, %d bytes", x.frameOf[p.Number], f.Length))
	} else {
		item(b, "frame", "not visible: it is not in the capture")
	}
	if !p.Sent.IsZero() {
		item(b, "sent", fmt.Sprintf("%s, by the clock of the %s", p.Sent.UTC().Format("2006-01-02 15:04:05.000000000"), clocks[p.SentClock]))
	}
	if p.SentClock == path.Kernel && !p.Called.IsZero() {
		item(b, "call to wire", duration(p.Sent.Sub(p.Called)))
	}
}

var clocks = [...]string{path.Kernel: "kernel", path.User: "program, before it handed the probe over", path.Capture: "capture"}

// reply writes a reply's own header, its times, and why it is this probe's.
func (x *Explanation) reply(b *bytes.Buffer, p *path.Probe, r *path.Reply, n int) {
	title := "reply"
	if n > 0 {
		title = fmt.Sprintf("further reply %d", n)
	}
	if r.Frame != 0 {
		title += fmt.Sprintf(", frame %d", r.Frame)
	}
	fmt.Fprintln(b, title)
	item(b, "from", x.named(r))
	for _, f := range x.outer(r) {
		item(b, f.name, f.quoted)
	}
	if r.IsQuoted() {
		typ, code := icmpWords(r)
		item(b, "ICMP type", typ)
		item(b, "ICMP code", code)
		if r.MTU != 0 {
			item(b, "next MTU", fmt.Sprint(r.MTU))
		}
	} else {
		item(b, "kind", r.Kind.String())
	}
	for i, line := range extensionWords(r.Extensions) {
		item(b, [...]string{"extension", ""}[min(i, 1)], line)
	}
	x.times(b, p, r)
	item(b, "matched by", orUnknown(r.MatchedBy.String())+": "+x.matchedWords(p, r))
	hop := "hop not known: "
	if r.Hop != 0 {
		hop = fmt.Sprintf("hop %d, %v: ", r.Hop, r.Basis)
	}
	item(b, "placed at", hop+placedWords(p, r))
}

func orUnknown(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// times writes the intervals of a round trip that are known.
func (x *Explanation) times(b *bytes.Buffer, p *path.Probe, r *path.Reply) {
	switch {
	case r.HasRTT:
		late := ""
		if r.Late {
			late = ", late"
		}
		item(b, "wire to wire", duration(r.RTT)+", the round trip"+late)
	default:
		item(b, "wire to wire", "not known")
	}
	if !r.Read.IsZero() {
		item(b, "wire to program", duration(r.Read.Sub(r.Received)))
	}
}

// outer are the fields of the reply's own IP header that tell something.
func (x *Explanation) outer(r *path.Reply) (all []row) {
	f, kept := x.received(r)
	if !kept {
		return []row{{name: "TTL", quoted: fmt.Sprint(r.TTL)}}
	}
	headers := fromIP(dissect.Frame(&f, false))
	if len(headers) == 0 {
		return nil
	}
	for _, name := range []string{"TTL", "hop limit", "ID", "flags", "DSCP", "ECN", "flow label", "total length", "payload length"} {
		if field := headers[0].Field(name); field != nil {
			all = append(all, row{name: name, quoted: field.Text()})
		}
	}
	return all
}

// comparison writes the table of fields, and both packets.
func (x *Explanation) comparison(b *bytes.Buffer, c *comparison, p *path.Probe, r *path.Reply) {
	fmt.Fprintf(b, "  %-15s %-18s %-18s %s\n", "field", "sent", "quoted", "verdict")
	last := ""
	for _, to := range c.rows {
		if to.header != last {
			fmt.Fprintln(b, to.header)
			last = to.header
		}
		x.row(b, &to)
	}
	if c.packet != nil {
		fmt.Fprintf(b, "\nas sent, frame %d, from its IP header on\n", x.frameOf[p.Number])
		x.Painter.Hexdump(b, c.packet, dissect.Quote(c.packet, x.ours()))
	}
	fmt.Fprintf(b, "\nas quoted in frame %d, %d bytes\n", r.Frame, len(c.quote))
	x.Painter.Hexdump(b, c.quote, c.quoted)
}

// row writes a line of the table: two where values are too long for their columns.
func (x *Explanation) row(b *bytes.Buffer, to *row) {
	const width = 18
	sent, quoted := to.sent, to.quoted
	if sent == "" {
		sent = "-"
	}
	if quoted == "" {
		quoted = "-"
	}
	verdict := x.mark(to)
	switch {
	case len(sent) <= width && len(quoted) <= width:
		fmt.Fprintf(b, "  %-15s %-18s %-18s %s\n", to.name, sent, quoted, verdict)
	case sent == quoted && len(sent) <= 2*width:
		fmt.Fprintf(b, "  %-15s %-37s %s\n", to.name, sent, verdict)
	case sent == quoted:
		fmt.Fprintf(b, "  %-15s %s\n  %53s %s\n", to.name, sent, "", verdict)
	default:
		fmt.Fprintf(b, "  %-15s %s\n  %-15s %s\n  %53s %s\n", to.name, sent, "", quoted, "", verdict)
	}
}

// mark is the verdict, in red on a terminal if the field was changed.
func (x *Explanation) mark(to *row) string {
	if to.changed && x.Painter.Coloured {
		return "\x1b[31m" + to.verdict + "\x1b[0m"
	}
	return to.verdict
}
