package findings

import (
	"fmt"

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

// mtuRule finds, in a trace that looks for the MTU, where it gets smaller: the
// nearest hop to which only shorter probes get than to the hop before. Where a
// router says so, all is as it should be. Where none does, longer packets vanish
// without a word (a black hole), and connections that rely on being told hang.
func mtuRule(v *view) (found []Finding) {
	if !v.path.Parameters.MTU {
		return nil
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
			f.Detail = fmt.Sprintf("Path MTU %d → %d at hop %d: %v says so.", mtu, now, hop, told[0].reply.From)
		case len(lost) > 1:
			f.Evidence, f.Confidence = lost, Likely
			f.Detail = fmt.Sprintf("Path MTU %d → %d at hop %d, but no router says so: longer packets vanish (a black hole), and connections hang that rely on being told. Let ICMP \"fragmentation needed\" or \"packet too big\" pass, or clamp the TCP MSS.",
				mtu, now, hop)
		default:
			f.Evidence, f.Confidence = numbers(v.at[hop]), Possible
			f.Detail = fmt.Sprintf("Path MTU %d → %d at hop %d, by what got there.", mtu, now, hop)
		}
		found = append(found, f)
		mtu, since = now, hop
	}
	return found
}

// tooLong are the errors that say that the longest packet is of a length.
func (v *view) tooLong(mtu int) (all []answer) {
	for hop := range v.hops {
		for _, a := range v.at[hop] {
			if a.reply.Kind == matcher.PacketTooBig && int(a.reply.MTU) == mtu {
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

// tests reports whether a probe was sent to find out whether it is too long for a
// hop: that it isn't answered is no loss.
func (v *view) tests(p *path.Probe) bool {
	return v.path.Parameters.MTU && p.Length > v.longest[min(p.TTL, max(v.end, v.last))]
}
