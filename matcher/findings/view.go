package findings

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// answer is a probe and the first reply to it.
type answer struct {
	probe *path.Probe
	reply *path.Reply
}

// view is a Path as the rules look at it: what was observed, whatever rules conclude
// from it (see record).
type view struct {
	path *path.Path
	at   [256][]answer // by the hop that answered, in the order of sending
	end  uint8         // path.Path.End
	last uint8         // the farthest hop that answered

	// flow says that all probes are of one flow, so that no balancer which goes by
	// the flow sends them different ways.
	flow bool

	counted [256]bool            // by hop: whether the target is there by the TTL that it quotes
	quoted  [256]perhaps         // by hop: see quotedTTL
	excess  [256]perhaps         // by hop: see excessAt
	longest [256]int             // by hop: see fits
	timed   [256][]time.Duration // by hop: see timedAt
}

// perhaps is a number that may not be known.
type perhaps struct {
	n     int
	known bool
}

func newView(p *path.Path) *view {
	v := &view{path: p, end: p.End(), flow: isOneFlow(p)}
	for i := range p.Probes {
		probe := &p.Probes[i]
		if r := probe.Reply; r != nil && r.Hop != 0 && probe.TTL != 0 {
			v.at[r.Hop] = append(v.at[r.Hop], answer{probe, r})
			v.last = max(v.last, r.Hop)
			v.counted[r.Hop] = v.counted[r.Hop] || r.Basis == path.ByQuotedTTL
		}
	}
	for hop := range v.hops {
		v.quoted[hop] = v.quotedTTL(hop)
		v.excess[hop] = v.excessAt(hop)
		v.longest[hop] = v.fits(hop)
		v.timed[hop] = v.timedAt(hop)
	}
	return v
}

// varies reports whether the probes are known to be of several flows.
func (v *view) varies() bool {
	isICMP := isICMP(v.path.Protocol)
	var first *path.Probe
	for i := range v.path.Probes {
		p := &v.path.Probes[i]
		switch {
		case p.TTL == 0:
		case first == nil:
			first = p
		case p.SrcPort != first.SrcPort || p.DstPort != first.DstPort:
			return true
		case isICMP && p.HasChecksum && first.HasChecksum && p.Checksum != first.Checksum:
			return true
		}
	}
	return false
}

// isOneFlow reports whether all probes have what balancers are known to go by:
// the ports, and in ICMP the first four bytes, the checksum among them
// (Augustin et al., "Avoiding traceroute anomalies with Paris traceroute", 2006).
func isOneFlow(p *path.Path) bool {
	isEcho := craft.ProtocolOf(p.Protocol).Carries(craft.EchoSequence)
	for i := range p.Probes {
		a, b := &p.Probes[0], &p.Probes[i]
		if a.SrcPort != b.SrcPort || a.DstPort != b.DstPort {
			return false
		}
		if isEcho && (!b.HasChecksum || a.Checksum != b.Checksum) {
			return false
		}
	}
	return true
}

// isTarget reports whether a reply comes from where the trace goes.
func (v *view) isTarget(r *path.Reply) bool { return r.From == v.path.Target.Addr }

// exceeded are the time-exceededs of a hop.
func (v *view) exceeded(hop uint8) (all []answer) {
	for _, a := range v.at[hop] {
		if a.reply.Kind == matcher.TimeExceeded {
			all = append(all, a)
		}
	}
	return all
}

// router is who answers all probes of a hop with a time-exceeded, if it is one
// address and not the target's.
func (v *view) router(hop uint8) (netip.Addr, bool) {
	all := v.exceeded(hop)
	if len(all) == 0 || len(all) != len(v.at[hop]) || v.isTarget(all[0].reply) {
		return netip.Addr{}, false
	}
	return all[0].reply.From, len(addresses(all)) == 1
}

// hops yields the hops that answered, the nearest first.
func (v *view) hops(yield func(uint8) bool) {
	for h := 1; h <= int(v.last); h++ {
		if len(v.at[h]) > 0 && !yield(uint8(h)) {
			return
		}
	}
}

// addresses are who answers, each once, in the order of sending.
func addresses(all []answer) (from []netip.Addr) {
	for _, a := range all {
		if !slices.Contains(from, a.reply.From) {
			from = append(from, a.reply.From)
		}
	}
	return from
}

// numbers are the probes' numbers.
func numbers(all ...[]answer) (probes []int) {
	for _, some := range all {
		for _, a := range some {
			probes = append(probes, a.probe.Number)
		}
	}
	return probes
}

// agreed is what a value is of all answers, if they agree and there are any.
func agreed(all []answer, value func(answer) int) perhaps {
	for _, a := range all {
		if value(a) != value(all[0]) {
			return perhaps{}
		}
	}
	if len(all) == 0 {
		return perhaps{}
	}
	return perhaps{value(all[0]), true}
}
