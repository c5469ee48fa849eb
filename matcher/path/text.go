package path

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tracewire/tracewire/matcher"
)

// String returns the path as Linux traceroute prints it, with addresses for names: a
// line that says where it goes, and one for each hop. It does not end with a line feed.
// Nothing in it can control a terminal.
func (p *Path) String() string {
	var b strings.Builder
	b.WriteString(p.heading())
	for _, h := range p.Hops() {
		b.WriteString("\n" + h.String())
	}
	return b.String()
}

func (p *Path) heading() string {
	s := fmt.Sprintf("traceroute to %s (%v)", printable(p.Target.Host), p.Target.Addr)
	if n := p.Parameters.MaxTTL; n != 0 {
		s += fmt.Sprintf(", %d hops max", n)
	}
	if n := p.Parameters.Length; n != 0 {
		s += fmt.Sprintf(", %d byte packets", n)
	}
	return s
}

// printable quotes a name that could be mistaken for the text around it, or move a cursor.
func printable(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) || r == ' ' || r == '(' || r == '\ufffd' {
			return strconv.Quote(s)
		}
	}
	return s
}

// String returns the hop as a line of traceroute, without a line feed: its distance,
// or ? if that is not known; then, in the order of sending, the round trip of each
// probe that was answered in time, * for the others, and before it the address that
// replied, if it is another than before. Probes that went beyond the end of the path
// and were not answered are left out.
func (h Hop) String() string {
	var b strings.Builder
	if h.TTL == 0 {
		b.WriteString(" ? ")
	} else {
		fmt.Fprintf(&b, "%2d ", h.TTL)
	}
	last := ""
	for i := range h.Probes {
		p := &h.Probes[i]
		if p.Overshot(h.TTL) {
			continue
		}
		if p.Reply == nil || p.Status != Replied {
			b.WriteString(" *")
			continue
		}
		if from := p.Reply.From.String(); from != last {
			last = from
			b.WriteString(" " + from)
		}
		b.WriteString(p.Reply.time())
		if mark := p.Reply.Mark(); mark != "" {
			b.WriteString(" " + mark)
		}
	}
	return b.String()
}

// time is the round trip as traceroute prints it, or * if it is not known.
func (r *Reply) time() string {
	if !r.HasRTT {
		return " *"
	}
	return "  " + milliseconds(r.RTT)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64) + " ms"
}

// String returns the event on a line, without a line feed: its kind, and what it says.
func (e Event) String() string {
	s := e.Kind.String() + ": "
	switch e.Kind {
	case Started:
		return s + e.Path.heading()
	case ProbeOut:
		return s + e.Probe.name()
	case Answer:
		s += fmt.Sprintf("%s, %v from %v", e.Probe.name(), e.Reply.Kind, e.Reply.From)
		if e.Reply.HasRTT {
			s += ", " + milliseconds(e.Reply.RTT)
		}
		if e.Reply.Hop != 0 {
			s += fmt.Sprintf(", hop %d", e.Reply.Hop)
		}
		return s
	case GaveUp:
		if s += e.Probe.name(); e.Probe.Status == Unsent {
			s += ", unsent"
		}
		return s
	case Decided:
		return s + strings.TrimSpace(e.Hop.String())
	case Ended:
		return s + e.Path.outcome()
	}
	return s
}

func (p *Probe) name() string {
	if p.TTL == 0 {
		return fmt.Sprintf("probe %d, TTL not known", p.Number)
	}
	return fmt.Sprintf("probe %d, TTL %d", p.Number, p.TTL)
}

// outcome is how a trace ended.
func (p *Path) outcome() string {
	s := fmt.Sprintf("%v not reached", p.Target.Addr)
	if p.Reached() {
		s = fmt.Sprintf("%v reached", p.Target.Addr)
	}
	if end := p.End(); end != 0 {
		s += fmt.Sprintf(", the path ends at hop %d", end)
	}
	if p.Interrupted {
		s += ", interrupted"
	}
	return s
}

// The marks of destination-unreachable, by code. Port-unreachable is how a path is
// expected to end.
var (
	// RFC 792, RFC 1122 section 3.2.2.1 and RFC 1812 section 5.2.7.1.
	unreachable4 = map[uint8]string{
		0: "!N", 1: "!H", 2: "!P", 3: "", 5: "!S", 6: "!N", 7: "!H", 8: "!N", 9: "!X", 10: "!X",
		11: "!N", 12: "!H", 13: "!X", 14: "!V", 15: "!C",
	}
	// RFC 4443 section 3.1, of whose codes traceroute knows these.
	unreachable6 = map[uint8]string{0: "!N", 1: "!X", 2: "!H", 3: "!H", 4: ""}
)

// Mark returns what traceroute prints behind the round trip of an ICMP error that is not
// a time-exceeded: !H, !X, or for a code without a letter !<14>. It is empty for other
// replies and for port-unreachable, with which a path is expected to end.
func (r *Reply) Mark() string {
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
		if mark, ok := marks[r.ICMPCode]; ok {
			return mark
		}
		return fmt.Sprintf("!<%d>", r.ICMPCode)
	}
	return ""
}
