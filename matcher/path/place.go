package path

import "github.com/tracewire/tracewire/matcher"

// place says of every reply which hop it is from, by the rules of Basis. What
// one reply tells can depend on the first replies to all the other probes, so
// all are placed anew when one of these came.
func (p *Path) place() {
	nearest := uint8(0)
	for reply, probe := range p.replies {
		p.placeReply(probe, reply)
		if p.isTarget(reply) {
			nearest = lowest(nearest, reply.Hop)
		}
	}
	// The target is at one hop: the nearest that any of its replies tells of.
	for reply := range p.replies {
		if p.isTarget(reply) && reply.Hop > nearest {
			reply.Hop, reply.Basis = nearest, ByLowestTTL
		}
	}
}

// replies yields every reply, with its probe.
func (p *Path) replies(yield func(*Reply, *Probe) bool) {
	for i := range p.Probes {
		probe := &p.Probes[i]
		if probe.Reply != nil && !yield(probe.Reply, probe) {
			return
		}
		for j := range probe.Extra {
			if !yield(&probe.Extra[j], probe) {
				return
			}
		}
	}
}

func (p *Path) placeReply(probe *Probe, r *Reply) {
	if r.Kind == matcher.TimeExceeded {
		r.Hop, r.Basis = probe.TTL, BySentTTL
		return
	}
	if !p.isTarget(r) {
		if hop := p.exceededAt(r, probe.TTL); hop != 0 {
			r.Hop, r.Basis = hop, BySameAddress
			return
		}
	}
	if hop := quotedHop(probe, r); hop != 0 && !p.contradicted(r, hop) {
		if r.Hop, r.Basis = hop, ByArithmetic; p.isTarget(r) {
			r.Basis = ByQuotedTTL
		}
		return
	}
	r.Hop, r.Basis = p.lowestTTL(r, probe.TTL), ByLowestTTL
}

// quotedHop is how far the probe got by the TTL that the reply quotes, or 0 if
// it quotes none that can be so.
func quotedHop(probe *Probe, r *Reply) uint8 {
	if q := r.Quoted.TTL; r.IsQuoted() && q >= 1 && q <= probe.TTL {
		return probe.TTL - q + 1
	}
	return 0
}

// exceededAt is the highest TTL, but no higher than that sent, at which the
// reply's sender answered a time-exceeded; 0 if it didn't.
func (p *Path) exceededAt(r *Reply, sent uint8) (ttl uint8) {
	for i := range p.Probes {
		probe := &p.Probes[i]
		if o := probe.Reply; o != nil && o.Kind == matcher.TimeExceeded && o.From == r.From && probe.TTL <= sent {
			ttl = max(ttl, probe.TTL)
		}
	}
	return ttl
}

// contradicted reports whether another address answered a time-exceeded at hop
// or farther away: then the reply can't be from there.
func (p *Path) contradicted(r *Reply, hop uint8) bool {
	for i := range p.Probes {
		probe := &p.Probes[i]
		if o := probe.Reply; o != nil && o.Kind == matcher.TimeExceeded && o.From != r.From && probe.TTL >= hop {
			return true
		}
	}
	return false
}

// lowestTTL is the lowest TTL that drew a reply like r from the same address.
// An answer that may be another probe's doesn't count beside one that is not.
func (p *Path) lowestTTL(r *Reply, sent uint8) uint8 {
	var sure, any uint8
	for o, probe := range p.replies {
		if o.Kind == matcher.TimeExceeded || o.From != r.From {
			continue
		}
		if any = lowest(any, probe.TTL); o.MatchedBy != matcher.Ambiguous {
			sure = lowest(sure, probe.TTL)
		}
	}
	switch {
	case sure != 0:
		return sure
	case any != 0:
		return any
	}
	return sent
}
