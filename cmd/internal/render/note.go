package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// cameLater is the reply that the path ends with, if the line of its hop was written
// before it came; else nil.
func (t *text) cameLater(p *path.Path) *path.Reply {
	end := p.End()
	if shown, written := t.written[end]; !written || shown {
		return nil
	}
	h := p.Hop(end)
	for i := range h.Probes {
		if r := h.Probes[i].Reply; r != nil && ends(r) {
			return r
		}
	}
	return nil
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

// interrupted says that a trace was interrupted, or its recording cut, and how many
// probes were waited for then.
func interrupted(p *path.Path) string {
	what, then := "interrupted", ", while"
	if p.Cut {
		what, then = "the recording lacks the end of the trace", ", when"
	}
	n := 0
	for i := range p.Probes {
		if p.Probes[i].Status == path.Abandoned {
			n++
		}
	}
	if n == 0 {
		return what
	}
	return fmt.Sprintf("%s%s %d %s waited for", what, then, n, map[bool]string{true: "probe was", false: "probes were"}[n == 1])
}

// note says on standard error what is no line of a hop: programs that read the lines
// take no others. Whether a reply is verified is not known of others' probes.
func (t *text) note(p *path.Path) error {
	var notes []string
	if p.Flooded && !p.Clock.Captured {
		notes = append(notes, "many packets look like replies to these probes, but failed the checks: somebody forges them")
	}
	if p.Unverified() && !p.Clock.Captured {
		notes = append(notes, fmt.Sprintf("unverified: nothing in what %v answered shows that it got the probes", p.Target.Addr))
	}
	if late := t.cameLater(p); late != nil {
		notes = append(notes, fmt.Sprintf("the path ends at hop %d, where %v answered %s after that line was written",
			p.End(), late.From, strings.TrimSpace(late.Kind.String()+" "+t.mark(late))))
	}
	if isUnfinished(p) {
		notes = append(notes, interrupted(p))
	}
	if r := otherAddress(p); r != nil {
		notes = append(notes, fmt.Sprintf("%v answers port unreachable at hop %d, and nothing is behind it: it is probably %v itself, by another address",
			r.From, r.Hop, p.Target.Addr))
	}
	if note := portNote(p); note != "" {
		notes = append(notes, note)
	}
	for _, n := range notes {
		if _, err := fmt.Fprintf(t.notes, "tracewire: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

// otherAddress is a reply of what is probably the target by another address, or nil.
func otherAddress(p *path.Path) *path.Reply {
	some := func(probe path.Probe) bool {
		return probe.Reply != nil && probe.Reply.IsPortUnreachable() && probe.Reply.From != p.Target.Addr
	}
	if !slices.ContainsFunc(p.Probes, some) { // as of most: there is nothing to find
		return nil
	}
	for _, f := range findings.Of(p) {
		if f.Kind == findings.OtherAddress {
			return p.Probes[f.Evidence[0]].Reply
		}
	}
	return nil
}

// portNote is what a TCP trace shows of the port.
func portNote(p *path.Path) string {
	port := p.Parameters.DstPort
	switch state := PortState(p); {
	case p.Clock.Captured:
		return ""
	case state == "filtered":
		return fmt.Sprintf("port %d is filtered: no answer came from %v", port, p.Target.Addr)
	case state != "":
		return fmt.Sprintf("port %d is %s", port, state)
	}
	return ""
}

// PortState is what a trace with TCP SYNs shows of the target's port, as nmap calls
// it: open, closed, or filtered if neither came, though the trace was not
// interrupted. It is empty where that is not known.
func PortState(p *path.Path) string {
	if p.Protocol != layers.IPProtocolTCP || len(p.Probes) == 0 || !asksForPort(p) {
		return ""
	}
	state := "filtered"
	for i := range p.Probes {
		switch probe := &p.Probes[i]; {
		case probe.Reply == nil || probe.Reply.From != p.Target.Addr:
		case probe.Reply.Kind == matcher.SYNACK:
			return "open"
		case probe.Reply.Kind == matcher.RST:
			state = "closed"
		}
	}
	if state == "filtered" && (p.Interrupted || p.Clock.Captured) {
		return ""
	}
	return state
}

// asksForPort reports whether TCP probes are such that a SYN-ACK says that the port is
// open, and a RST that it is closed: SYNs, with or without ECN. What other programs
// send in a capture is.
func asksForPort(p *path.Path) bool {
	flags := p.Parameters.TCP.Flags &^ (craft.FlagECE | craft.FlagCWR)
	return p.Clock.Captured || flags == 0 || flags == craft.FlagSYN
}
