package render

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// text writes the lines that Linux traceroute 2.1 writes.
type text struct {
	w        io.Writer
	notes    io.Writer
	names    Namer
	more     TextOptions
	line     bytes.Buffer // that is being made
	target   netip.Addr
	queries  int
	captured bool           // the probes are those of a capture: no field stands for one that was never sent
	cut      bool           // the trace was interrupted before the hop was final: nor for one that is abandoned
	written  map[uint8]bool // by hop: its line; true if a reply that ends a path had come by then

	held []path.Event          // of hops, whose lines are written when the ways back are known
	ways func(*path.Reply) int // see findings.WaysBack; nil while they are not known

	seeksMTU bool // probes that are too long are no answer of a hop
	mtu      int  // the length of the longest that got to the hop before
}

// TextOptions say what text shows besides what traceroute shows of itself.
type TextOptions struct {
	// Extensions asks for the ICMP extensions of replies, as traceroute -e
	// shows them: behind the address, which is repeated where they change.
	Extensions bool

	// Back asks for the hops on the way back, behind the address, where the reply
	// took another way: guessed, as traceroute --back does, from the reply's TTL.
	// traceroute shows a difference of one hop too, and those which can't be told
	// (findings.WaysBack). What farther hops show says which can be: the lines from
	// the first such hop on are written when the trace is over.
	Back bool

	// Info asks for the flags of TCP answers, as traceroute -O info shows them.
	Info bool

	// Findings asks for what the path does to packets, behind its hops.
	Findings bool
}

// NewText is New of the format text, with options.
func NewText(w, notes io.Writer, n Namer, o TextOptions) Renderer {
	return noting{&text{w: Lines(w), notes: Lines(notes), names: n, more: o}, Lines(notes)}
}

// Untraced implements Renderer.
func (t *text) Untraced(*path.Path, string) error { return nil }

// Event implements Renderer.
func (t *text) Event(e path.Event) error {
	b := &t.line
	b.Reset()
	switch e.Kind {
	case path.Started:
		p := e.Path
		t.queries, t.captured, t.written = p.Parameters.Queries, p.Clock.Captured, map[uint8]bool{}
		t.seeksMTU, t.mtu = p.Parameters.MTU, p.Parameters.Length
		t.held, t.ways = nil, nil
		t.target = p.Target.Addr
		header(b, p)
	case path.Answer:
		t.names.Want(e.Reply.From)
	case path.Decided:
		if !t.hold(e) {
			t.decided(b, e)
		}
	case path.Ended:
		t.release(b, e.Path)
		t.belated(b, e.Path)
		if t.more.Findings {
			b.WriteString(Findings(e.Path))
		}
	}
	if b.Len() > 0 {
		if _, err := t.w.Write(b.Bytes()); err != nil {
			return err
		}
	}
	if e.Kind == path.Ended {
		return t.note(e.Path)
	}
	return nil
}

// decided writes the line of a hop, or of one whose hop is not known.
func (t *text) decided(b *bytes.Buffer, e path.Event) {
	if e.Hop.TTL == 0 {
		t.stranger(b, &e.Hop)
		return
	}
	t.cut = e.Path != nil && e.Path.Interrupted
	t.hop(b, &e.Hop)
}

// hold holds the line of a hop until the trace is over, if ways back are wanted and
// that of a reply at the hop, or at one before it, seems to be another than the way
// there.
func (t *text) hold(e path.Event) bool {
	differs := func(p path.Probe) bool { return p.Reply != nil && p.Reply.Detour() != 0 }
	if !t.more.Back || len(t.held) == 0 && !slices.ContainsFunc(e.Hop.Probes, differs) {
		return false
	}
	e.Hop.Probes = slices.Clone(e.Hop.Probes)
	t.held = append(t.held, e)
	return true
}

// release writes the lines that were held.
func (t *text) release(b *bytes.Buffer, p *path.Path) {
	if t.more.Back {
		t.ways = findings.WaysBack(p)
	}
	for _, e := range t.held {
		t.decided(b, e)
	}
	t.held = nil
}

// header writes the line that begins a trace. A capture of nothing but replies
// tells less: then words stand in the place of the numbers.
func header(b *bytes.Buffer, p *path.Path) {
	hops, packets := "hops not known", "packet length not known"
	if n := p.Parameters.MaxTTL; n != 0 {
		hops = fmt.Sprintf("%d hops max", n)
	}
	if n := p.Parameters.Length; n != 0 {
		packets = fmt.Sprintf("%d byte packets", n)
	}
	fmt.Fprintf(b, "traceroute to %s (%v), %s, %s\n", Name(p.Target.Host), p.Target.Addr, hops, packets)
}

// belated writes the line of the hop at which the path ends once more, if the reply
// that says so came in time, but after the line was written: what reads the lines
// finds the destination in the last one.
func (t *text) belated(b *bytes.Buffer, p *path.Path) {
	if r := t.cameLater(p); r == nil || r.Late || r.From != t.target {
		return
	}
	h := p.Hop(p.End())
	t.hop(b, &h)
	t.written[h.TTL] = false // as it was, for the note
}

// ends reports whether a reply is one that a path can end with.
func ends(r *path.Reply) bool { return r.Kind != matcher.TimeExceeded }

// hop writes the line of a hop: its number, and a field for each query.
func (t *text) hop(b *bytes.Buffer, h *path.Hop) {
	drop := ""
	if t.seeksMTU {
		h = withoutTooBig(h)
		drop = t.drop(h)
	}
	shown := t.fields(h, t.wanted(h))
	if len(shown) == 0 {
		return
	}
	names := t.names.Wait(inTime(shown))
	fmt.Fprintf(b, "%2d ", h.TTL)
	t.written[h.TTL] = slices.ContainsFunc(h.Probes, func(p path.Probe) bool { return p.Reply != nil && ends(p.Reply) })
	last, lastExtensions := netip.Addr{}, ""
	for i := range shown {
		r := shown[i].Reply
		if shown[i].Status != path.Replied {
			b.WriteString(" *")
			continue
		}
		if extensions := t.extensions(r); r.From != last || extensions != lastExtensions {
			last, lastExtensions = r.From, extensions
			b.WriteString(" " + t.responder(r.From, names) + extensions + t.back(r) + t.flags(r))
		}
		if !r.HasRTT {
			b.WriteString(" *")
			continue
		}
		b.WriteString("  ")
		b.Write(strconv.AppendFloat(b.AvailableBuffer(), float64(r.RTT)/float64(time.Millisecond), 'f', 3, 64))
		b.WriteString(" ms")
		b.WriteString(drop)
		drop = ""
		if mark := t.mark(r); mark != "" {
			b.WriteString(" " + mark)
		}
	}
	b.WriteByte('\n')
}

// drop is what stands behind the first time of a hop to which only shorter probes
// get than to the hop before, whether a router has said so or not.
func (t *text) drop(h *path.Hop) string {
	longest := 0
	for i := range h.Probes {
		if timed(&h.Probes[i]) {
			longest = max(longest, h.Probes[i].Length)
		}
	}
	if longest == 0 || longest >= t.mtu {
		return ""
	}
	t.mtu = longest
	return fmt.Sprintf(" F=%d", longest)
}

// withoutTooBig is a hop without the probes that were too long to get farther:
// they are about the hop behind it.
func withoutTooBig(h *path.Hop) *path.Hop {
	kept := path.Hop{TTL: h.TTL}
	for _, p := range h.Probes {
		if p.Reply == nil || p.Reply.Kind != matcher.PacketTooBig {
			kept.Probes = append(kept.Probes, p)
		}
	}
	return &kept
}

// back is how many hops a reply has come by, if that is wanted and it took another
// way than the probe: the rule is that of the findings.
func (t *text) back(r *path.Reply) string {
	if t.ways == nil {
		return ""
	}
	if hops := t.ways(r); hops != 0 {
		return fmt.Sprintf(" '-%d'", hops)
	}
	return ""
}

// flags are those of a TCP answer, if they are wanted, as traceroute -O info shows them.
func (t *text) flags(r *path.Reply) string {
	switch {
	case !t.more.Info:
	case r.Kind == matcher.SYNACK:
		return " <syn,ack>"
	case r.Kind == matcher.RST:
		return " <rst,ack>"
	}
	return ""
}

// extensions are those of a reply, if they are wanted, behind a space.
func (t *text) extensions(r *path.Reply) string {
	if !t.more.Extensions || r.Extensions == nil || len(r.Extensions.Objects) == 0 {
		return ""
	}
	return " " + Name(r.Extensions.String())
}

// wanted is how many fields the line of a hop has. A program that sent fewer
// probes to this hop than to others, or none, didn't lose the rest; nor is a probe
// lost that went beyond the end of the path, or that an interrupt kept from being
// waited for.
func (t *text) wanted(h *path.Hop) int {
	if !t.captured && !t.cut {
		return t.queries
	}
	n := 0
	for i := range h.Probes {
		if p := &h.Probes[i]; !p.Overshot(h.TTL) && (t.captured || p.Status != path.Abandoned) {
			n++
		}
	}
	if t.captured {
		n = max(1, n)
	}
	return min(t.queries, n)
}

// stranger writes the line of one whose replies are to probes that are not
// known: neither is its hop, nor are the round trips.
func (t *text) stranger(b *bytes.Buffer, h *path.Hop) {
	from := h.Probes[0].Reply.From
	b.WriteString(" ?  " + t.responder(from, t.names.Wait([]netip.Addr{from})))
	last := ""
	for i := range h.Probes {
		if extensions := t.extensions(h.Probes[i].Reply); extensions != last {
			b.WriteString(extensions)
			last = extensions
		}
		b.WriteString(" *")
		if mark := t.mark(h.Probes[i].Reply); mark != "" {
			b.WriteString(" " + mark)
		}
	}
	b.WriteByte('\n')
}

// inTime lists the addresses that a line shows.
func inTime(shown []path.Probe) []netip.Addr {
	var all []netip.Addr
	for i := range shown {
		if p := &shown[i]; p.Status == path.Replied && !slices.Contains(all, p.Reply.From) {
			all = append(all, p.Reply.From)
		}
	}
	return all
}

// responder is an address as a line shows it: with its name, and itself for a
// name if it has none; alone if names are not looked up.
func (t *text) responder(a netip.Addr, names map[netip.Addr]string) string {
	if names == nil {
		return a.String()
	}
	name, ok := names[a]
	if !ok {
		name = a.String()
	}
	return fmt.Sprintf("%s (%v)", Name(name), a)
}

// fields chooses which n of a hop's probes stand on its line, in the order of
// sending: those answered in time before those that weren't, and among them
// one that says why the path ends here if there is such.
func (t *text) fields(h *path.Hop, n int) []path.Probe {
	chosen := make([]bool, len(h.Probes))
	left := n
	choose := func(wanted func(*path.Probe) bool, most int) {
		for i := range h.Probes {
			if left > 0 && most > 0 && !chosen[i] && wanted(&h.Probes[i]) {
				chosen[i] = true
				left--
				most--
			}
		}
	}
	choose(func(p *path.Probe) bool { return timed(p) && t.mark(p.Reply) != "" }, 1)
	choose(timed, n)
	choose(func(p *path.Probe) bool { return p.Status == path.Replied }, n)
	choose(func(*path.Probe) bool { return true }, n)

	shown := make([]path.Probe, 0, n)
	for i, yes := range chosen {
		if yes {
			shown = append(shown, h.Probes[i])
		}
	}
	for ; left > 0; left-- {
		shown = append(shown, path.Probe{Status: path.Timeout})
	}
	return shown
}

func timed(p *path.Probe) bool { return p.Status == path.Replied && p.Reply.HasRTT }

// mark is the reply's Mark, and of a port-unreachable its code if it is not the
// target's: the path ends there, and not as expected.
func (t *text) mark(r *path.Reply) string {
	if r.IsPortUnreachable() && r.From != t.target {
		return fmt.Sprintf("!<%d>", r.ICMPCode)
	}
	return r.Mark()
}
