package path

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DiffOptions say which differences of round trips are changes. The zero value
// is the default.
type DiffOptions struct {
	// RTT is by how much the round trips to a hop must differ; 0 means
	// DefaultDiffRTT. If it is negative, round trips are not compared.
	RTT time.Duration

	// RTTFactor is how many times the shorter the longer must be as well; 0
	// means DefaultDiffRTTFactor. A factor of 1 or less bounds nothing.
	RTTFactor float64
}

// The bounds for round trips. A trace across a continent has to become a
// quarter slower to show, and one across a room 10 ms.
const (
	DefaultDiffRTT       = 10 * time.Millisecond
	DefaultDiffRTTFactor = 1.25
)

// ChangeKind says what has changed.
type ChangeKind uint8

// The kinds of changes: those of the trace as a whole, then those of hops.
const (
	ChangedTarget   ChangeKind = iota + 1 // the target's address
	ChangedSource                         // the source's address
	ChangedNextHop                        // the first step from the source
	ChangedProtocol                       // that of the probes
	ChangedProbe                          // what else of the probes shapes the answers: length, TOS, DF, destination port
	ChangedReached                        // whether the target answered
	ChangedLength                         // the target's hop

	HopAdded     // on the path in b only; After has its responders, * where it is silent
	HopRemoved   // on the path in a only; Before has its responders
	HopMoved     // on the path before others in a, and behind them in b, or the other way round
	HopReplaced  // other responders than before, none of them the same
	ResponderNew // After answers too, besides one that did before
	ResponderGone
	HopSilent  // answered in a and doesn't in b
	HopAnswers // the other way round

	ChangedReply          // the kind of the replies
	ChangedRTT            // Shift has by how much
	ChangedLoss           // how many probes were answered
	ChangedReplyTTL       // the TTL with which replies arrive: the length of the way back
	ChangedQuotedTTL      // of a time-exceeded: what was left when the router gave up
	ChangedQuotedTOS      // against that sent
	ChangedQuotedID       // against that sent
	ChangedQuotedLength   // against that sent
	ChangedQuotedChecksum // whether it is shown, or zero
)

var changeKinds = [...]string{
	ChangedTarget: "target", ChangedSource: "source", ChangedNextHop: "next-hop", ChangedProtocol: "protocol",
	ChangedProbe: "probe", ChangedReached: "reached", ChangedLength: "length",
	HopAdded: "hop-added", HopRemoved: "hop-removed", HopMoved: "hop-moved", HopReplaced: "hop-replaced",
	ResponderNew: "responder-new", ResponderGone: "responder-gone", HopSilent: "hop-silent", HopAnswers: "hop-answers",
	ChangedReply: "reply", ChangedRTT: "rtt", ChangedLoss: "loss", ChangedReplyTTL: "reply-ttl",
	ChangedQuotedTTL: "quoted-ttl", ChangedQuotedTOS: "quoted-tos", ChangedQuotedID: "quoted-id",
	ChangedQuotedLength: "quoted-length", ChangedQuotedChecksum: "quoted-checksum",
}

// String returns the kind as the JSON output spells it.
func (k ChangeKind) String() string { return changeKinds[k] }

// Change is one difference between a trace a and a later trace b. Where hops
// in a row changed alike it stands for all of them.
type Change struct {
	Kind ChangeKind

	// HopA and HopB are the hop in either trace: the first, of several. They
	// are 0 where a trace has no such hop, and of a change of the whole trace.
	HopA, HopB uint8
	// LastA and LastB are the last hop, of several; else equal to the first.
	LastA, LastB uint8
	// Onward says that of several hops the last is the last on the path that
	// can show such a change at all.
	Onward bool

	Before, After string        // in a and in b; empty where there is nothing
	Shift         time.Duration // of ChangedRTT: After less Before

	// Doubtful says that the change may be chance: an address that was not
	// drawn among those of a balanced hop, a probe lost, a router that limits
	// its answers.
	Doubtful bool
}

// Changes are what Diff found: those of the whole trace first, then by hop.
type Changes []Change

// String returns a line for each change, without a line break at the end.
func (c Changes) String() string {
	lines := make([]string, len(c))
	for i := range c {
		lines[i] = c[i].String()
	}
	return strings.Join(lines, "\n")
}

// Certain returns the changes that are not doubtful.
func (c Changes) Certain() Changes {
	return slices.DeleteFunc(slices.Clone(c), func(c Change) bool { return c.Doubtful })
}

// Diff names what changed from a to b, two traces of one path; nil Options are
// the defaults, and a nil Path is one of which nothing is known. The same
// paths always give the same changes; there are none between a path and itself.
//
// Hops are compared with those they correspond to, so a router that is new on
// the path is one change, not one at every hop behind it. What is not known in
// one of the traces is not a change: a hop that was not probed, a quote too
// short to show a field, the hops behind a router that refused to forward.
//
// Round trips are compared by the shortest at each hop, which the load of a
// router does not change, among the replies in time. Only the longer can be
// chance: it must come from two probes or more, or the next hop must confirm
// it. A shift is told once, with the first hop that shows it. Round trips
// of a trace during which the clock was set are not compared.
//
// Loss is compared where at least ten probes were sent to a hop in both traces,
// and is a change if it is three standard errors apart; a hop that falls
// silent altogether is a change of its own.
//
// Whether a change may be chance is said with it (Doubtful), not left out; but
// the round trips of single probes are.
//
// Balancers choose the way by the flow: two traces from different source ports
// may differ though the network hasn't changed.
func Diff(a, b *Path, o *DiffOptions) Changes {
	a, b = orEmpty(a), orEmpty(b)
	found := traceChanges(a, b)
	pairs := align(a, b)
	var hops []placed
	for i := range aspects {
		hops = append(hops, aspects[i].changes(pairs)...)
	}
	hops = append(hops, rttChanges(pairs, o.orDefault())...)
	slices.SortStableFunc(hops, func(x, y placed) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.Kind, y.Kind))
	})
	for _, h := range hops {
		found = append(found, h.Change)
	}
	return found
}

// placed is a change of hops, with the index of the first pair that shows it.
type placed struct {
	at int
	Change
}

func orEmpty(p *Path) *Path {
	if p == nil {
		return &Path{}
	}
	return p
}

func (o *DiffOptions) orDefault() DiffOptions {
	var chosen DiffOptions
	if o != nil {
		chosen = *o
	}
	if chosen.RTT == 0 {
		chosen.RTT = DefaultDiffRTT
	}
	if chosen.RTTFactor == 0 {
		chosen.RTTFactor = DefaultDiffRTTFactor
	}
	return chosen
}

// traceChanges are the changes of the trace as a whole.
func traceChanges(a, b *Path) Changes {
	var found Changes
	compare := func(kind ChangeKind, before, after string) {
		if before != after {
			found = append(found, Change{Kind: kind, Before: before, After: after})
		}
	}
	compareAddrs := func(kind ChangeKind, before, after netip.Addr) {
		if before.IsValid() && after.IsValid() {
			compare(kind, before.String(), after.String())
		}
	}
	compareAddrs(ChangedTarget, a.Target.Addr, b.Target.Addr)
	compareAddrs(ChangedSource, a.Source.Addr, b.Source.Addr)
	compareAddrs(ChangedNextHop, a.Source.NextHop, b.Source.NextHop)
	empty := len(a.Probes) == 0 || len(b.Probes) == 0
	if !empty {
		compare(ChangedProtocol, protocol(a), protocol(b))
		compare(ChangedProbe, describe(a), describe(b))
	}
	if a.Reached() != b.Reached() || empty && len(a.Probes) != len(b.Probes) {
		compare(ChangedReached, ending(a, b), ending(b, a))
	}
	if a.End() != 0 && b.End() != 0 && a.Reached() && b.Reached() && a.End() != b.End() {
		found = append(found, Change{
			Kind: ChangedLength, HopA: a.End(), HopB: b.End(), LastA: a.End(), LastB: b.End(),
			Before: fmt.Sprint(a.End()), After: fmt.Sprint(b.End()),
		})
	}
	return found
}

// protocol is a path's protocol as people call it.
func protocol(p *Path) string { return strings.TrimSuffix(strings.ToLower(p.Protocol.String()), "v4") }

// describe says what routers may treat a path's probes by.
func describe(path *Path) string {
	p := &path.Parameters
	s := fmt.Sprintf("%d bytes, TOS %#02x", p.Length, p.TOS)
	if p.DstPort != 0 { // an echo has none
		s += fmt.Sprintf(", destination port %d", p.DstPort)
	}
	if p.DF {
		s += ", don't fragment"
	}
	return s
}

// ending says whether p reached its target, and if not, how far it got; and why no
// farther, if it could not have found the target where other found it.
func ending(p, other *Path) string {
	if p.Reached() {
		return "reached"
	}
	s := "not reached: nobody answers"
	if all := stations(p); len(all) > 0 {
		last := &all[len(all)-1]
		s = fmt.Sprintf("not reached: the last answer is from hop %d, %s", last.ttl, last.responders())
	}
	switch {
	case len(p.Probes) == 0:
		return "not reached: nothing was sent"
	case p.Cut:
		return s + " (the recording lacks the end of the trace)"
	case p.Interrupted:
		return s + " (the trace was interrupted)"
	case p.Parameters.MaxTTL < other.End():
		return fmt.Sprintf("%s (the trace goes to hop %d only)", s, p.Parameters.MaxTTL)
	}
	return s
}
