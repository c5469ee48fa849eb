package findings

import (
	"fmt"
	"slices"

	"github.com/tracewire/tracewire/matcher/path"
)

// captureLossRule finds the probes that may have been answered, since the capture
// missed frames when they left or while they were waited for.
func captureLossRule(v *view) []Finding {
	f := Finding{Kind: CaptureLoss, Confidence: Certain}
	for i := range v.path.Gaps {
		f.Evidence = append(f.Evidence, v.path.ObscuredBy(&v.path.Gaps[i])...)
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	slices.Sort(f.Evidence)
	f.Evidence = slices.Compact(f.Evidence)
	for _, h := range v.path.Hops() {
		if !slices.ContainsFunc(h.Probes, func(p path.Probe) bool { return v.path.Obscured(&p) }) {
			continue
		}
		if f.HopFrom == 0 {
			f.HopFrom = h.TTL
		}
		f.HopTo = h.TTL
	}
	f.Detail = fmt.Sprintf(saysMissedFrames, len(f.Evidence))
	return []Finding{f}
}
