package findings

import "fmt"

// floodedRule finds that so many replies failed the checks that somebody forges them.
// What a capture has of others may as well lack the probes.
func floodedRule(v *view) []Finding {
	if !v.path.Flooded || v.path.Clock.Captured {
		return nil
	}
	return []Finding{{
		Kind: Flooded, Confidence: Likely,
		Detail: saysFlooded,
	}}
}

// unverifiedRule finds a target of which all answers are datagrams with nothing of the
// probes in them.
func unverifiedRule(v *view) []Finding {
	if !v.path.Unverified() || v.path.Clock.Captured {
		return nil
	}
	var all []answer
	hop := uint8(0)
	for h := range v.hops {
		for _, a := range v.at[h] {
			if v.isTarget(a.reply) && a.reply.IsUnverified() {
				all, hop = append(all, a), h
			}
		}
	}
	return []Finding{{
		Kind: Unverified, HopFrom: hop, HopTo: hop, Evidence: numbers(all), Confidence: Certain,
		Detail: fmt.Sprintf(saysUnverified, v.path.Target.Addr),
	}}
}
