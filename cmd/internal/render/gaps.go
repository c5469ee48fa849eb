package render

import (
	"fmt"
	"io"
	"slices"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
)

// Unseen says, a sentence for each, what happened on this host that a probe without
// a reply may be due to: its * is then not the network's silence.
func Unseen(p *path.Path) (sentences []string) {
	for _, cause := range []frame.Cause{frame.Overrun, frame.NoCarrier, frame.AddressRemoved} {
		if s := unseenBy(p, cause); s != "" {
			sentences = append(sentences, s)
		}
	}
	var unsent []int
	for i := range p.Probes {
		if p.Probes[i].Status == path.Unsent {
			unsent = append(unsent, p.Probes[i].Number)
		}
	}
	if n := len(unsent); n > 0 {
		sentences = append(sentences, fmt.Sprintf("%d %s of %s never left, since the system refused to send: the * of such a probe is no router's",
			n, Plural("probe", n), hopsOf(p, unsent)))
	}
	return sentences
}

// unseenBy is what Unseen says of the gaps of a cause, or "".
func unseenBy(p *path.Path, cause frame.Cause) string {
	var probes []int
	lasted := 0.0 // seconds
	frames, some := 0, false
	for i := range p.Gaps {
		if g := &p.Gaps[i]; g.Cause == cause {
			some = true
			frames += g.Frames
			lasted += g.To.Sub(g.From).Seconds()
			probes = append(probes, p.ObscuredBy(g)...)
		}
	}
	if !some {
		return ""
	}
	what := ""
	switch cause {
	case frame.Overrun:
		what = fmt.Sprintf("the capture lost %d %s", frames, Plural("frame", frames))
	case frame.NoCarrier:
		what = fmt.Sprintf("the link of %s was lost for %.3f s", Printable(p.Source.Interface), lasted)
	case frame.AddressRemoved:
		what = fmt.Sprintf("%v was removed from %s", p.Source.Addr, CapturedOn(p))
	}
	slices.Sort(probes)
	probes = slices.Compact(probes)
	n := len(probes)
	if n == 0 {
		return what + "; no probe was without a reply then"
	}
	what += fmt.Sprintf(": %d %s of %s may have been answered", n, Plural("*", n), hopsOf(p, probes))
	if !p.Reached() {
		what += ", and the target reached"
	}
	if cause == frame.Overrun && !p.Clock.Captured {
		what += ": fewer at once (--at-once, -N) lose less"
	}
	return what
}

// CapturedOn names the interfaces that were captured on for a trace, or is empty if
// nobody knows: "eth0 or eth1".
func CapturedOn(p *path.Path) string {
	if p.Source.Interface == "" {
		return ""
	}
	names := Printable(p.Source.Interface)
	for _, also := range p.Source.Also {
		names += " or " + Printable(also)
	}
	return names
}

// hopsOf names the hops at which probes stand.
func hopsOf(p *path.Path, probes []int) string {
	var at []int
	for _, h := range p.Hops() {
		if slices.ContainsFunc(h.Probes, func(one path.Probe) bool {
			_, found := slices.BinarySearch(probes, one.Number)
			return found
		}) {
			at = append(at, int(h.TTL))
		}
	}
	return Plural("hop", len(at)) + " " + Numbers(at)
}

// noting is a Renderer that also notes what happened on this host.
type noting struct {
	Renderer
	notes io.Writer
}

// Event implements Renderer.
func (n noting) Event(e path.Event) error {
	if err := n.Renderer.Event(e); err != nil || e.Kind != path.Ended {
		return err
	}
	for _, sentence := range Unseen(e.Path) {
		if _, err := fmt.Fprintf(n.notes, "tracewire: %s: %s\n", Printable(e.Path.Target.Host), sentence); err != nil {
			return err
		}
	}
	return nil
}
