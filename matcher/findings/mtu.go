package findings

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// fits is the length of the longest probe that a hop answered other than by saying
// that it is too long; 0 if there is none.
func (v *view) fits(hop uint8) (longest int) {
	for _, a := range v.at[hop] {
		if a.reply.Kind != matcher.PacketTooBig {
			longest = max(longest, a.probe.Length)
		}
	}
	return longest
}

// mtuRule finds where the MTU gets smaller. In a trace that looks for it, that is the
// nearest hop to which only shorter probes get than to the hop before. Where a
// router says so, all is as it should be. Where none does, longer packets vanish
// without a word (a black hole), and connections that rely on being told hang.
// Any other trace ends at the first router that says so.
func mtuRule(v *view) (found []Finding) {
	if !v.path.Parameters.MTU {
		return v.stopped()
	}
	mtu, since := v.path.Parameters.Length, uint8(0)
	for hop := range v.hops {
		now := v.fits(hop)
		if now == 0 || now >= mtu {
			if now != 0 {
				since = hop
			}
			continue
		}
		f := Finding{Kind: PathMTU, HopFrom: since, HopTo: hop, Confidence: Certain}
		told := v.tooLong(now)
		lost := v.lostAsTooLong(hop, now)
		switch {
		case len(told) > 0:
			f.Evidence = numbers(told)
			f.Detail = fmt.Sprintf(saysMTU, mtu, now, hop, told[0].reply.From)
		case len(lost) > 1:
			f.Evidence, f.Confidence = lost, Likely
			f.Detail = fmt.Sprintf(saysBlackHole,
				mtu, now, hop)
		default:
			f.Evidence, f.Confidence = numbers(v.at[hop]), Possible
			f.Detail = fmt.Sprintf(saysMTUFits, mtu, now, hop)
		}
		found = append(found, f)
		mtu, since = now, hop
	}
	return found
}

// stopped are the findings of routers that say that all probes are too long: the
// trace does not try shorter ones.
func (v *view) stopped() (found []Finding) {
	for hop := range v.hops {
		all := v.tooBig(hop)
		if len(all) == 0 {
			continue
		}
		first := all[0]
		length := cmp.Or(first.probe.Length, v.path.Parameters.Length)
		f := Finding{Kind: PathMTU, HopFrom: hop, HopTo: hop, Evidence: numbers(all), Confidence: Certain}
		if slices.ContainsFunc(all, func(a answer) bool { return a.probe.TTL > hop }) {
			f.HopTo = hop + 1
		}
		f.Detail = fmt.Sprintf(saysTooLong, length, first.reply.MTU, hop, first.reply.From)
		if first.reply.MTU == 0 || int(first.reply.MTU) >= length {
			f.Confidence = Likely
			f.Detail = fmt.Sprintf(saysTooLongUnknown,
				length, hop, first.reply.From)
		}
		if !slices.ContainsFunc(all, func(a answer) bool { return a.probe.TTL <= hop || a.reply.Basis == path.BySameAddress }) {
			f.Confidence = Likely
			f.Detail += saysMTUHopUnsure
		}
		f.Detail += saysTryMTU
		found = append(found, f)
	}
	return found
}

// tooBig are a hop's errors that say that a probe is too long to be forwarded.
func (v *view) tooBig(hop uint8) (all []answer) {
	for _, a := range v.at[hop] {
		if a.reply.Kind == matcher.PacketTooBig {
			all = append(all, a)
		}
	}
	return all
}

// tooLong are the errors that say that the longest packet is of a length.
func (v *view) tooLong(mtu int) (all []answer) {
	for hop := range v.hops {
		for _, a := range v.tooBig(hop) {
			if int(a.reply.MTU) == mtu {
				all = append(all, a)
			}
		}
	}
	return all
}

// lostAsTooLong are the unanswered probes to a hop that are longer than what it
// answered.
func (v *view) lostAsTooLong(hop uint8, fits int) (probes []int) {
	for i := range v.path.Probes {
		if p := &v.path.Probes[i]; p.TTL == hop && p.Reply == nil && p.Status == path.Timeout && p.Length > fits {
			probes = append(probes, p.Number)
		}
	}
	return probes
}

// testsOfLength explains why probes have no reply that were sent to find out whether
// they are too long for a hop: it is no loss.
func testsOfLength(v *view, _ []Finding) (e explanation) {
	if !v.path.Parameters.MTU {
		return e
	}
	for i := range v.path.Probes {
		if p := &v.path.Probes[i]; p.Length > v.longest[min(p.TTL, max(v.end, v.last))] {
			e.explain(p.Number)
		}
	}
	return e
}
