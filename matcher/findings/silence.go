package findings

import (
	"fmt"

	"github.com/tracewire/tracewire/matcher/path"
)

// leastSilence is how many hops at the end must be silent for a finding, if others
// answer: one or two silent routers in a row are common, and the highest TTL may
// just be at them. Where nothing answers at all, that is found however few hops were
// asked.
const leastSilence = 3

// silenceRule finds that from some hop on nothing answers, up to the highest TTL
// that was sent: a firewall that drops the probes, a target that is down or doesn't
// answer such probes, or a way back that is missing. Which of them it is, other
// probes may tell: the finding says what was tried, and what to try next.
//
// Of a capture in which nothing is answered nothing is concluded: it may be one of
// probes alone.
func silenceRule(v *view, r *record) []Finding {
	if v.end != 0 || v.path.Interrupted || v.last == 0 && v.path.Clock.Captured {
		return nil
	}
	var evidence []int
	silent := [256]bool{}
	hops, longest := 0, 0
	for i := range v.path.Probes {
		p := &v.path.Probes[i]
		if p.TTL <= v.last || p.Reply != nil || p.Status != path.Timeout && p.Status != path.Late || r.explainsProbe(p.Number, keyCaptureLoss) {
			continue
		}
		if !silent[p.TTL] {
			silent[p.TTL] = true
			hops++
		}
		evidence, longest = append(evidence, p.Number), max(longest, p.Length)
	}
	if hops == 0 || hops < leastSilence && v.last != 0 {
		return nil
	}
	first := int(v.last) + 1
	for !silent[first] { // there are some
		first++
	}
	f := Finding{Kind: Silence, HopFrom: v.last, HopTo: uint8(first), Evidence: evidence, Confidence: Likely}
	where := fmt.Sprintf("from hop %d on", first)
	if v.last == 0 {
		where = "at all"
	}
	why := saysDropped
	if hops < leastSilence {
		f.Confidence = Possible
		why = saysNeverAnswer
	}
	f.Detail = fmt.Sprintf(saysSilence, where, len(evidence), v.tried(), why, v.tryNext())
	if longest > smallEnough && v.path.Parameters.DF {
		f.Detail += fmt.Sprintf(saysTryShorter, longest)
	}
	return []Finding{f}
}

// smallEnough is a length that almost every path takes: IPv6 asks for it.
const smallEnough = 1280
