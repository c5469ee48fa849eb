package findings

import (
	"fmt"
	"net/netip"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// refusalRule finds who says that the target can't be reached. A firewall that
// rejects is no fault: Linux does so in its own name, by default with a port
// unreachable, when it forwards; it then answers a probe whose TTL runs out there
// with a time-exceeded as any router does, and refuses those with a higher TTL.
//
// A port-unreachable from an address that sent no time-exceeded is what a target
// sends that answers from another of its addresses, since RFC 1812 lets a host
// choose; a firewall that refuses before it looks at the TTL looks the same, but
// is rarer.
//
// Where nothing but arithmetic says at which hop the refusal was made, that is
// found too: other tools show it at the TTL that drew it.
func refusalRule(v *view) (found []Finding) {
	for hop := range v.hops {
		by := map[netip.Addr][]answer{}
		for _, a := range v.refusals(hop) {
			by[a.reply.From] = append(by[a.reply.From], a)
		}
		for _, from := range addresses(v.refusals(hop)) {
			all := by[from]
			if f, ok := mismatch(hop, all); ok {
				found = append(found, f)
			} else if v.end == hop {
				found = append(found, v.refusal(hop, all))
			}
		}
	}
	return found
}

// refusals are a hop's errors that say that the target can't be reached. That
// a packet is too long is for whoever forwards to say.
func (v *view) refusals(hop uint8) (all []answer) {
	for _, a := range v.at[hop] {
		if k := a.reply.Kind; (k == matcher.Unreachable || k == matcher.ParameterProblem) && !v.isTarget(a.reply) {
			all = append(all, a)
		}
	}
	return all
}

// refusal is the finding of one router's refusals at the end of the path.
func (v *view) refusal(hop uint8, all []answer) Finding {
	first := all[0].reply
	f := Finding{Kind: Refusal, HopFrom: hop, HopTo: hop, Evidence: numbers(all), Confidence: Certain}
	if first.IsPortUnreachable() && !contains(v.allExceeded(), first.From) {
		f.Kind, f.Confidence = OtherAddress, Likely
		f.Detail = fmt.Sprintf(saysOtherAddress,
			first.From, v.path.Target.Addr)
		return f
	}
	why := reasonOf(first)
	f.Detail = fmt.Sprintf(saysRefuses, first.From, why.words)
	switch why.remedy {
	case lookAtRoute:
		f.Detail += saysLookAtRoute
	case lookAtHost:
		f.Detail += saysLookAtHost
	default:
		f.Detail += v.tryNext()
	}
	return f
}

// allExceeded are the time-exceededs of all hops.
func (v *view) allExceeded() (all []answer) {
	for hop := range v.hops {
		all = append(all, v.exceeded(hop)...)
	}
	return all
}

// What to do about a refusal.
type remedy uint8

const (
	tryOthers   remedy = iota // other probes may be let through
	lookAtRoute               // the router has none
	lookAtHost                // the target may be down
)

// refused says why a router refuses, and what to do about it.
type refused struct {
	words  string
	remedy remedy
}

// The codes of destination unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812
// section 5.2.7.1; RFC 4443 section 3.1).
var (
	refused4 = []refused{
		{"it has no route to the destination's network", lookAtRoute}, {"it can't reach the destination itself, or has no route to it", lookAtHost},
		{"protocol unreachable", tryOthers}, {"port unreachable, as a firewall that rejects says", tryOthers}, {"packets are too long", tryOthers},
		{"the source route failed", tryOthers}, {"it does not know the destination's network", lookAtRoute},
		{"it does not know the destination", lookAtHost}, {"it isolates the source", tryOthers},
		{"the destination's network is prohibited", tryOthers}, {"the destination is prohibited", tryOthers},
		{"it has no route for this type of service", lookAtRoute}, {"it can't reach the destination with this type of service", lookAtHost},
		{"a firewall's rule prohibits them", tryOthers}, {"their precedence is not allowed", tryOthers}, {"their precedence is too low", tryOthers},
	}
	refused6 = []refused{
		{"it has no route to the destination", lookAtRoute}, {"a firewall's rule prohibits them", tryOthers},
		{"the destination is beyond the scope of the source's address", lookAtRoute}, {"it can't reach the destination itself", lookAtHost},
		{"port unreachable, as a firewall that rejects says", tryOthers}, {"a rule refuses the source", tryOthers},
		{"its route to the destination rejects", lookAtRoute},
	}
)

// reasonOf is why a router says that it refuses.
func reasonOf(r *path.Reply) refused {
	if r.Kind == matcher.ParameterProblem {
		return refused{fmt.Sprintf("it can't read their headers (type %d, code %d)", r.ICMPType, r.ICMPCode), tryOthers}
	}
	known := refused4
	if r.From.Is6() {
		known = refused6
	}
	if int(r.ICMPCode) < len(known) {
		return known[r.ICMPCode]
	}
	return refused{fmt.Sprintf("code %d", r.ICMPCode), tryOthers}
}

// mismatch is the finding of a refusal whose hop is not sure, and not the TTL that
// drew it.
func mismatch(hop uint8, all []answer) (Finding, bool) {
	a := all[0]
	for _, other := range all {
		if other.probe.TTL < a.probe.TTL {
			a = other
		}
	}
	if a.probe.TTL <= hop || a.reply.Basis == path.BySameAddress {
		return Finding{}, false
	}
	return Finding{
		Kind: HopMismatch, HopFrom: hop, HopTo: a.probe.TTL, Evidence: []int{a.probe.Number}, Confidence: Possible,
		Detail: fmt.Sprintf(saysMismatch,
			a.reply.From, a.probe.TTL, reasonOf(a.reply).words, hop),
	}, true
}
