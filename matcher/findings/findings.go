// Package findings says what a path did to the probes of a trace, and what that
// is the sign of.
//
// It concludes from a path.Path alone: from what the probes had in their
// headers, what routers quote of that, with which TTL replies arrive, and which
// probes drew none. A finding is what the trace shows, not what may be so: a
// quote too short to show a field says nothing about it, and that there is no
// finding of a kind means that none could be seen. A NAT that repairs what is
// quoted, as Linux does, is no visible NAT.
//
// Three things are told apart throughout. A change that all routers from
// some hop on show was made on the path. One that a single router shows, and
// that those behind it don't, is in how that router quotes: the packets were
// not changed. And one that only the last router shows may be either.
//
// # The order of the rules
//
// Rules run one after another, and each sees what those before it explain: hops, or
// probes without a reply, by the key of the rule (record). A rule declares which keys
// it reads; it never looks at the text of a finding. What quotes show are typed values
// (shown.go), and the sentences are in one place (sentences.go, phrases.go). Between
// rules of which neither reads the other, the order only groups what belongs together.
// The order is:
//
//  1. Where hops are not what they seem: packets forwarded with TTL 0, loops (unless
//     that is what makes an address come twice), a TTL that a device sets. All that
//     compares ways or TTLs needs this. The ways back (WaysBack) need nothing else.
//  2. Tunnels, which explain odd TTLs, longer ways back and late replies.
//  3. What quotes and TTLs show that neither explains: rewritten fields, translated
//     addresses and ports, and then checksums that these don't explain; odd quoted
//     TTLs; asymmetry.
//  4. Who answers: spoofed replies, time exceeded from the target, refusals.
//  5. Why probes have no reply, each cause explaining its probes to the next one: this
//     host's capture missed frames, they were tests of the MTU, a hop limits its
//     replies. What is left is loss. Silence is what the capture doesn't explain.
//  6. Times, and what changes between probes: these need tunnels at most.
package findings

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
)

// Finding is something that the path, or a router on it, does to probes or
// replies.
type Finding struct {
	Kind Kind

	// HopFrom and HopTo are where it is. What happens to packets on their way
	// happens between the last hop that shows it not to have happened and the
	// first that shows it: HopFrom is then 0 where no hop does. What one router
	// does has its hop as both. A stretch of the path, as a tunnel or a loop, has
	// its first and its last hop that are visible. Both are 0 where the hop is not
	// known.
	HopFrom, HopTo uint8

	// Evidence are the numbers of the probes that show it, in order.
	Evidence []int

	// Detail is one sentence for a network engineer: what was seen, and what
	// else could look like that.
	Detail string

	Confidence Confidence
}

// Where says where a finding is, in words.
func (f *Finding) Where() string {
	switch {
	case f.HopTo == 0:
		return "at an unknown hop"
	case f.HopFrom == f.HopTo:
		return fmt.Sprintf("at hop %d", f.HopTo)
	case f.HopFrom == 0:
		return fmt.Sprintf("before hop %d", f.HopTo)
	}
	return fmt.Sprintf("hops %d to %d", f.HopFrom, f.HopTo)
}

// String is the finding on a line.
func (f *Finding) String() string {
	return fmt.Sprintf("%v %s (%v): %s", f.Kind, f.Where(), f.Confidence, f.Detail)
}

// Confidence is how far the evidence carries.
type Confidence uint8

// The degrees of confidence, the least first.
const (
	// Possible: the evidence is what the finding would cause, but something
	// else, which Detail names, would cause it about as often.
	Possible Confidence = iota + 1
	// Likely: one sign speaks for it, of which another cause is known but rare.
	Likely
	// Certain: no other cause is known, or signs that are independent of each
	// other agree.
	Certain
)

var confidences = [...]string{Possible: "possible", Likely: "likely", Certain: "certain"}

// String returns the confidence as the JSON output spells it.
func (c Confidence) String() string { return confidences[c] }

// Kind says what was found.
type Kind uint8

// The kinds of findings.
const (
	DSCPRewrite    Kind = iota + 1 // the differentiated services code point is another (RFC 2474)
	ECNRewrite                     // the congestion bits are (RFC 3168)
	NAT                            // addresses, ports or the checksum over them are
	IDRewrite                      // the IPv4 ID is
	LengthRewrite                  // the packet's length is
	DFRewrite                      // the IPv4 don't-fragment flag is
	TTLRewrite                     // a TTL that can't have been left is quoted
	ZeroTTL                        // a router forwards packets whose TTL has run out
	MPLS                           // a label-switched path
	Asymmetry                      // the way back is longer or shorter than the way there
	SpoofedTarget                  // two senders answer in the destination's name
	RateLimit                      // a router doesn't answer all probes
	Loss                           // probes or replies get lost
	Loop                           // packets go round
	PathChange                     // other routers than before, for the same flow
	TargetExceeded                 // a time-exceeded from the destination itself
	HopMismatch                    // a refusal comes from another hop than the probes' TTL says
	CaptureLoss                    // the capture missed frames: that probes have no reply says nothing of the path
	TTLRaised                      // a device gives packets a new TTL as it forwards them
	PathMTU                        // packets of the probes' length don't get all the way
	Refusal                        // a router or firewall refuses the probes
	OtherAddress                   // the destination seems to answer from another of its addresses
	Silence                        // from some hop on nothing answers
	Latency                        // the round trips get much longer, from some hop on
	SlowReplies                    // a router takes long to answer, not to forward
	Balanced                       // flows take different ways, and the probes are of several
	Flooded                        // replies are forged, or somebody else has the probes' flow
	Unverified                     // nothing shows that the target's answers are to the probes
)

var kinds = [...]string{
	DSCPRewrite: "dscp-rewrite", ECNRewrite: "ecn-rewrite", NAT: "nat", IDRewrite: "id-rewrite",
	LengthRewrite: "length-rewrite", DFRewrite: "df-rewrite", TTLRewrite: "ttl-rewrite", ZeroTTL: "zero-ttl",
	MPLS: "mpls", Asymmetry: "asymmetry", SpoofedTarget: "spoofed-destination", RateLimit: "rate-limit", Loss: "loss",
	Loop: "loop", PathChange: "path-change", TargetExceeded: "ttl-exceeded-from-destination", HopMismatch: "hop-mismatch", CaptureLoss: "capture-loss",
	TTLRaised: "ttl-raised", PathMTU: "path-mtu", Refusal: "refusal", OtherAddress: "other-address", Silence: "silence",
	Latency: "latency", SlowReplies: "slow-replies", Balanced: "balanced",
	Flooded: "flooded", Unverified: "unverified-destination",
}

// String returns the kind as the JSON output spells it.
func (k Kind) String() string { return kinds[k] }

// Of returns what a trace shows, by hop and kind. It keeps nothing of p but
// what it says, and the same Path always gives the same findings. Any number
// of goroutines may call it.
//
// Of a trace that was found in a capture (path.Clock.Captured) length, TOS and DF
// are known of the first probe only, and programs vary them. They count as every
// probe's if the nearest router quotes them so, two quotes agree at each hop
// that counts, and none disagree at any. Checksums are not known at all.
func Of(p *path.Path) []Finding {
	all, _ := run(newView(p), numKeys-1)
	for i := range all {
		slices.Sort(all[i].Evidence)
		all[i].Evidence = slices.Compact(all[i].Evidence)
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.HopTo, b.HopTo), cmp.Compare(a.HopFrom, b.HopFrom),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Confidence, a.Confidence),
		)
	})
	return all
}
