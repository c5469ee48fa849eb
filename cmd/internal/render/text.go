package render

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// text writes the lines that Linux traceroute 2.1 writes.
type text struct {
	w        io.Writer
	notes    io.Writer
	names    Namer
	more     TextOptions
	line     bytes.Buffer // that is being made
	queries  int
	captured bool           // the probes are those of a capture: no field stands for one that was never sent
	cut      bool           // the trace was interrupted before the hop was final: nor for one that is abandoned
	written  map[uint8]bool // by hop: its line; true if a reply that ends a path had come by then

	seeksMTU bool // probes that are too long are no answer of a hop
	mtu      int  // the length of the longest that got to the hop before
}

// TextOptions say what text shows besides what traceroute shows of itself.
type TextOptions struct {
	// Extensions asks for the ICMP extensions of replies, as traceroute -e
	// shows them: behind the address, which is repeated where they change.
	Extensions bool

	// Back asks for the hops on the way back, behind the address, where the reply
	// took another way (path.Reply.Detour): guessed, as traceroute --back does, from
	// the reply's TTL. traceroute shows a difference of one hop too.
	Back bool

	// Findings asks for what the path does to packets, behind its hops.
	Findings bool
}

// NewText is New of the format text, with options.
func NewText(w, notes io.Writer, n Namer, o TextOptions) Renderer {
	return noting{&text{w: Lines(w), notes: Lines(notes), names: n, more: o}, Lines(notes)}
}

// Event implements Renderer.
func (t *text) Event(e path.Event) error {
	b := &t.line
	b.Reset()
	switch e.Kind {
	case path.Started:
		p := e.Path
		t.queries, t.captured, t.written = p.Parameters.Queries, p.Clock.Captured, map[uint8]bool{}
		t.seeksMTU, t.mtu = p.Parameters.MTU, p.Parameters.Length
		header(b, p)
	case path.Answer:
		t.names.Want(e.Reply.From)
	case path.Decided:
		if e.Hop.TTL == 0 {
			t.stranger(b, &e.Hop)
		} else {
			t.cut = e.Path != nil && e.Path.Interrupted
			t.hop(b, &e.Hop)
		}
	case path.Ended:
		if isUnfinished(e.Path) {
			b.WriteString(interrupted(e.Path))
		}
		if t.more.Findings {
			b.WriteString(Findings(e.Path))
		}
		if err := t.note(e.Path); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := t.w.Write(b.Bytes())
	return err
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

// isUnfinished reports whether a trace was interrupted while it had more to learn. A
// recording that lacks its end, as copies by other programs do, counts as
// interrupted too, though nothing may be missing from its hops.
func isUnfinished(p *path.Path) bool {
	if !p.Interrupted || p.End() == 0 {
		return p.Interrupted
	}
	for _, h := range p.Hops() {
		asked := 0
		for i := range h.Probes {
			if probe := &h.Probes[i]; !probe.Overshot(h.TTL) && probe.Status != path.Abandoned {
				asked++
			}
		}
		if h.TTL != 0 && asked < p.Parameters.Queries {
			return true
		}
	}
	return false
}

// interrupted is the line that ends a trace which was interrupted.
func interrupted(p *path.Path) string {
	n := 0
	for i := range p.Probes {
		if p.Probes[i].Status == path.Abandoned {
			n++
		}
	}
	switch n {
	case 0:
		return "interrupted\n"
	case 1:
		return "interrupted, while 1 probe was waited for\n"
	}
	return fmt.Sprintf("interrupted, while %d probes were waited for\n", n)
}

// note says where the path ends if the reply that told so came after that hop's
// line was written.
func (t *text) note(p *path.Path) error {
	end := p.End()
	if shown, written := t.written[end]; !written || shown {
		return nil
	}
	h := p.Hop(end)
	for i := range h.Probes {
		if r := h.Probes[i].Reply; r != nil && ends(r) {
			_, err := fmt.Fprintf(t.notes, "tracewire: the path ends at hop %d, where %v answered %s after that line was written\n",
				end, r.From, strings.TrimSpace(r.Kind.String()+" "+errorMark(r)))
			return err
		}
	}
	return nil
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
	shown := fields(h, t.wanted(h))
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
			b.WriteString(" " + t.responder(r.From, names) + extensions + t.back(r))
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
		if mark := errorMark(r); mark != "" {
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
// way than the probe: the rule is that of the finding asymmetry.
func (t *text) back(r *path.Reply) string {
	if !t.more.Back || r.Detour() == 0 {
		return ""
	}
	return fmt.Sprintf(" '-%d'", r.WayBack()+1)
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
	for i := range h.Probes {
		b.WriteString(" *")
		if mark := errorMark(h.Probes[i].Reply); mark != "" {
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
func fields(h *path.Hop, n int) []path.Probe {
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
	choose(func(p *path.Probe) bool { return timed(p) && errorMark(p.Reply) != "" }, 1)
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

// The marks of destination-unreachable, by code. Port-unreachable is how a
// path is expected to end.
var (
	// RFC 792, RFC 1122 section 3.2.2.1 and RFC 1812 section 5.2.7.1.
	unreachable4 = map[uint8]string{
		0: "!N", 1: "!H", 2: "!P", 3: "", 5: "!S", 6: "!N", 7: "!H", 8: "!N", 9: "!X", 10: "!X",
		11: "!N", 12: "!H", 13: "!X", 14: "!V", 15: "!C",
	}
	// RFC 4443 section 3.1, of whose codes traceroute knows these.
	unreachable6 = map[uint8]string{0: "!N", 1: "!X", 2: "!H", 3: "!H", 4: ""}
)

// errorMark is what follows a time when the reply was not the expected one.
func errorMark(r *path.Reply) string {
	switch r.Kind {
	case matcher.PacketTooBig:
		return fmt.Sprintf("!F-%d", r.MTU)
	case matcher.ParameterProblem:
		return fmt.Sprintf("!<%d-%d>", r.ICMPType, r.ICMPCode)
	case matcher.Unreachable:
		marks := unreachable4
		if r.From.Is6() {
			marks = unreachable6
		}
		if mark, known := marks[r.ICMPCode]; known {
			return mark
		}
		return fmt.Sprintf("!<%d>", r.ICMPCode)
	}
	return ""
}
