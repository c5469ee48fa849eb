package findings

import (
	"fmt"
	"net/netip"

	"github.com/tracewire/tracewire/matcher"
)

// How a label-switched path shows depends on two switches of its routers:
// whether they copy the TTL into the label, and whether they report labels
// (Donnet et al., "Revealing MPLS tunnels obscured from traceroute", 2012;
// Vanaubel et al., "Through the wormhole: tracking invisible MPLS tunnels", 2017).
//
//	             labels reported    not reported
//	TTL copied   explicit           implicit
//	not copied   opaque             invisible

// labels are the label stacks that a hop's replies report, the top first.
func labels(a answer) (stack []matcher.Label) {
	if a.reply.Extensions == nil {
		return nil
	}
	for _, o := range a.reply.Extensions.Objects {
		if !o.Malformed {
			stack = append(stack, o.Labels...)
		}
	}
	return stack
}

// labelled are a hop's answers that report labels.
func (v *view) labelled(hop uint8) (all []answer) {
	for _, a := range v.at[hop] {
		if len(labels(a)) > 0 {
			all = append(all, a)
		}
	}
	return all
}

// opaqueTTL is the lowest TTL of a label that says that the ones before it on the
// tunnel were not seen: labels begin with 255 if the TTL is not copied, and with
// what is left of the probe's, which is small, if it is.
const opaqueTTL = 128

// explicitRule finds routers that report the labels of the probe that expired
// there (RFC 4950): an explicit tunnel, or an opaque one if it is a single router
// whose label still has a high TTL. Nothing else sends labels; where the
// extension has no checksum the sign is a little weaker. Two tunnels of which
// one begins where the other ends look like one.
func explicitRule(v *view) (found []Finding) {
	for hop := 1; hop <= int(v.last); hop++ {
		first := hop
		for hop <= int(v.last) && len(v.labelled(uint8(hop))) > 0 {
			hop++
		}
		if first < hop {
			found = append(found, v.tunnel(uint8(first), uint8(hop-1)))
		}
	}
	return append(found, v.strayLabels()...)
}

// tunnel is the finding of hops that report labels.
func (v *view) tunnel(first, last uint8) Finding {
	f := Finding{Kind: MPLS, HopFrom: first, HopTo: last, Confidence: Certain}
	for hop := int(first); hop <= int(last); hop++ {
		all := v.labelled(uint8(hop))
		f.Evidence = append(f.Evidence, numbers(all)...)
		for _, a := range all {
			if !a.reply.Extensions.Verified {
				f.Confidence = Likely
			}
		}
	}
	top := labels(v.labelled(first)[0])
	switch ttl := top[0].TTL; {
	case first == last && ttl == 255:
		f.Detail = fmt.Sprintf(saysOpaque, first, stackName(top))
	case first == last && ttl >= opaqueTTL:
		f.Detail = fmt.Sprintf(saysOpaqueAbout,
			first, stackName(top), ttl, 255-int(ttl))
	case first == last:
		f.Detail = fmt.Sprintf(saysExplicitHop, first, stackName(top))
	default:
		f.Detail = fmt.Sprintf(saysExplicit,
			first, last, stackName(top), stackName(labels(v.labelled(last)[0])))
	}
	return f
}

// strayLabels is explicitRule for replies whose hop is not known, since their
// probes were not captured.
func (v *view) strayLabels() (found []Finding) {
	var all []answer
	for i := range v.path.Probes {
		probe := &v.path.Probes[i]
		if probe.Reply == nil || probe.Reply.Hop != 0 {
			continue
		}
		if a := (answer{probe, probe.Reply}); len(labels(a)) > 0 {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil
	}
	from := addresses(all)
	f := Finding{Kind: MPLS, Evidence: numbers(all), Confidence: Likely}
	f.Detail = fmt.Sprintf(saysStrayLabel, from[0])
	if len(from) > 1 {
		f.Detail = fmt.Sprintf(saysStrayLabels, listed(from))
	}
	return []Finding{f}
}

// implicitRule finds a tunnel by quoted TTLs that rise by one from hop to hop:
// inside of it only the label's TTL is decremented, so each router quotes the
// TTL that the probe had left when it came in. That replies from inside first go
// on to the tunnel's end, and so have the longer way back the nearer they are to
// its beginning, confirms it. A single TTL of 2 may be a wrong quote. Quoted TTLs
// that equal those sent are rewritten quotes.
func implicitRule(v *view) (found []Finding) {
	for hop := 1; hop < int(v.last); hop++ {
		first := uint8(hop)
		last := v.rising(first)
		if last == 0 {
			continue
		}
		hop = int(last)
		f := Finding{Kind: MPLS, HopFrom: first, HopTo: last, Confidence: Likely}
		for h := int(first); h <= int(last); h++ {
			f.Evidence = append(f.Evidence, numbers(v.exceeded(uint8(h)))...)
		}
		quoted := v.quoted[last].n
		f.Detail = fmt.Sprintf(saysRising, quoted)
		switch {
		case v.falls(first, last):
			f.Confidence = Certain
			f.Detail = fmt.Sprintf(saysRisingAndBack, quoted)
		case quoted == 2:
			f.Confidence = Possible
			f.Detail = fmt.Sprintf(saysQuotesTwo, last)
		}
		found = append(found, f)
	}
	return found
}

// rising is the last hop of a row that begins at first with quoted TTLs 1 and 2,
// each one more than the one before; 0 if no such row begins there.
func (v *view) rising(first uint8) uint8 {
	if v.quoted[first] != (perhaps{1, true}) || len(v.labelled(first)) > 0 {
		return 0
	}
	last := first
	for h := int(first) + 1; h <= int(v.last); h++ {
		expected := h - int(first) + 1
		if v.quoted[h] != (perhaps{expected, true}) || expected >= h || len(v.labelled(uint8(h))) > 0 {
			break
		}
		last = uint8(h)
	}
	if last == first {
		return 0
	}
	return last
}

// falls reports whether the way back from each of the hops is longer than from
// the next, beside the way there.
func (v *view) falls(first, last uint8) bool {
	for h := int(first); h < int(last); h++ {
		near, far := v.excess[h], v.excess[h+1]
		if !near.known || !far.known || near.n <= far.n {
			return false
		}
	}
	return true
}

// uTurnRule finds what may be an implicit tunnel by return TTLs alone: the way
// back from hops in a row is longer than the way there by 2k, … 4, 2 and then
// none, since each reply first goes on to the tunnel's end. At least two hops have
// to show it, between such as are symmetric. Ways back that happen to be so are
// as good an explanation.
func uTurnRule(v *view) (found []Finding) {
	for hop := 2; hop < int(v.last); hop++ {
		excess := v.excess[hop]
		if v.excess[hop-1] != (perhaps{0, true}) || !excess.known || excess.n < 4 || excess.n%2 != 0 {
			continue
		}
		first, last := uint8(hop), uint8(min(hop+excess.n/2-1, 255))
		if f, fits := v.uTurn(first, last); fits {
			found = append(found, f)
			hop = int(last)
		}
	}
	return found
}

func (v *view) uTurn(first, last uint8) (Finding, bool) {
	f := Finding{Kind: MPLS, HopFrom: first, HopTo: last, Confidence: Possible}
	for h := int(first); h <= min(int(last)+1, 255); h++ {
		inside, odd := h <= int(last), v.quoted[h] != (perhaps{1, true}) || len(v.labelled(uint8(h))) > 0
		if v.excess[h] != (perhaps{2 * (int(last) + 1 - h), true}) || inside && odd {
			return f, false
		}
		if inside {
			f.Evidence = append(f.Evidence, numbers(v.exceeded(uint8(h)))...)
		}
	}
	f.Detail = saysUTurn
	return f, last < 255
}

// invisibleRule finds a tunnel that shows none of its routers by its end: the
// last one takes the label off, forwards a packet whose TTL has run out, and so
// the next router answers at two hops in a row, quoting 1 both times (Vanaubel et
// al., "TNT, watch me explode: a light in the dark for revealing MPLS tunnels",
// 2019). That the way back gets longer by the hidden routers confirms it. A router that takes two hops to cross, or answers for another, looks the
// same; so do balanced ways of different length, where flows vary.
func invisibleRule(v *view) (found []Finding) {
	for hop := 1; hop < int(v.last) && hop < 255; hop++ {
		h := uint8(hop)
		if !v.isTwice(h) {
			continue
		}
		a, _ := v.router(h)
		f := Finding{
			Kind: MPLS, HopFrom: h, HopTo: h + 1, Evidence: numbers(v.exceeded(h), v.exceeded(h+1)), Confidence: Possible,
			Detail: fmt.Sprintf(saysTwice, a),
		}
		if longer := v.jump(h); longer >= 2 {
			f.Confidence = Likely
			f.Detail = fmt.Sprintf(saysTwiceAndBack, a, longer)
		}
		found = append(found, f)
	}
	return found
}

// isTwice reports whether the same router answers at a hop and the next one, as
// usual, and not at those around them.
func (v *view) isTwice(hop uint8) bool {
	first, one := v.router(hop)
	next, two := v.router(hop + 1)
	if !one || !two || first != next || !v.flow {
		return false
	}
	for _, h := range [...]uint8{hop, hop + 1} {
		if v.quoted[h] != (perhaps{1, true}) {
			return false
		}
	}
	for _, h := range [...]int{int(hop) - 1, int(hop) + 2} {
		if h >= 1 && h <= 255 && contains(v.at[h], first) {
			return false
		}
	}
	return true
}

func contains(all []answer, from netip.Addr) bool {
	for _, a := range all {
		if a.reply.From == from {
			return true
		}
	}
	return false
}

// jump is by how much the way back from a hop is longer than from the hop before
// it, beside the way there; 0 if that isn't known.
func (v *view) jump(hop uint8) int {
	before := perhaps{0, true}
	if hop > 1 {
		before = v.excess[hop-1]
	}
	if !before.known || !v.excess[hop].known {
		return 0
	}
	return v.excess[hop].n - before.n
}
