package journal

import (
	"fmt"
	"strings"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// Sentence says to people what a frame is to the trace with a number, by the Event
// that it caused: "probe 17: TTL 6, round 2", "time-exceeded from 10.0.0.6 for
// probe 17, RTT 12.345 ms, hop 6, MPLS 24015"; of any but the first trace, it says
// which. It is "" for an Event that is no frame's. What is said of a reply is what
// was known then.
func Sentence(trace int, e *path.Event) string {
	of := ""
	if trace > 1 {
		of = fmt.Sprintf("trace %d, ", trace)
	}
	switch e.Kind {
	case path.ProbeOut:
		return of + fmt.Sprintf("probe %d: TTL %d, round %d", e.Probe.Number, e.Probe.TTL, e.Probe.Round)
	case path.Answer:
		return of + replySentence(e)
	}
	return ""
}

func replySentence(e *path.Event) string {
	var b strings.Builder
	r := e.Reply
	fmt.Fprintf(&b, "%v from %v for probe %d", r.Kind, r.From, e.Probe.Number)
	if r.HasRTT {
		fmt.Fprintf(&b, ", RTT %.3f ms", r.RTT.Seconds()*1000)
	} else {
		b.WriteString(", RTT not known")
	}
	fmt.Fprintf(&b, ", hop %d", r.Hop)
	for _, label := range r.Extensions.Labels() {
		fmt.Fprintf(&b, ", MPLS %d", label.Label)
	}
	switch {
	case len(e.Probe.Extra) > 0:
		b.WriteString(", a further reply")
	case r.Late:
		b.WriteString(", late")
	}
	if r.MatchedBy == matcher.Ambiguous {
		b.WriteString(", or for another probe")
	}
	return b.String()
}
