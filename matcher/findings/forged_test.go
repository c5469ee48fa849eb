package findings_test

import (
	"net/netip"
	"testing"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// What a trace can't vouch for is found: forged replies, and a target of which all
// answers may be.
func TestForgedAndUnverified(t *testing.T) {
	target := netip.MustParseAddr("198.51.100.7")
	answer := func(by matcher.Rule) *path.Reply {
		return &path.Reply{Reply: matcher.Reply{From: target, Kind: matcher.UDP, MatchedBy: by}, Hop: 2}
	}
	probes := func(replies ...*path.Reply) (all []path.Probe) {
		for i, r := range replies {
			all = append(all, path.Probe{Number: i, TTL: uint8(2 + i), Round: 1, Status: path.Replied, Reply: r})
		}
		return all
	}
	tests := map[string]struct {
		path path.Path
		want map[findings.Kind]bool
	}{
		"a flood":                {path.Path{Flooded: true}, map[findings.Kind]bool{findings.Flooded: true}},
		"a capture without some": {path.Path{Flooded: true, Clock: path.Clock{Captured: true}}, nil},
		"answers with nothing of the probes": {
			path.Path{Probes: probes(answer(matcher.Alone), answer(matcher.Ambiguous))}, map[findings.Kind]bool{findings.Unverified: true},
		},
		"one that returns the cookie": {path.Path{Probes: probes(answer(matcher.Alone), answer(matcher.ByCookie))}, nil},
		"the same in a capture": {
			path.Path{Probes: probes(answer(matcher.Alone)), Clock: path.Clock{Captured: true}}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.path.Target.Addr = target
			got := map[findings.Kind]bool{}
			for _, f := range findings.Of(&test.path) {
				if f.Kind == findings.Flooded || f.Kind == findings.Unverified {
					got[f.Kind] = true
				}
			}
			if len(got) != len(test.want) || got[findings.Flooded] != test.want[findings.Flooded] || got[findings.Unverified] != test.want[findings.Unverified] {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// The TTL of an answer that anybody can have sent says nothing of the way back.
func TestUnverifiedAnswersShowNoAsymmetry(t *testing.T) {
	target := netip.MustParseAddr("198.51.100.7")
	for by, want := range map[matcher.Rule]bool{matcher.Alone: false, matcher.Ambiguous: false, matcher.ByCookie: true} {
		p := path.Path{Target: path.Target{Addr: target}, Probes: []path.Probe{{Number: 3, TTL: 1, Round: 1, Status: path.Replied, Reply: &path.Reply{
			Reply: matcher.Reply{From: netip.MustParseAddr("192.0.2.1"), Kind: matcher.TimeExceeded, TTL: 64}, Hop: 1, Basis: path.BySentTTL,
		}}}}
		for n := range 3 {
			p.Probes = append(p.Probes, path.Probe{Number: n, TTL: 2, Round: n + 1, Status: path.Replied, Reply: &path.Reply{
				Reply: matcher.Reply{From: target, Kind: matcher.UDP, MatchedBy: by, TTL: 55}, Hop: 2, Basis: path.ByLowestTTL,
			}})
		}
		got := false
		for _, f := range findings.Of(&p) {
			got = got || f.Kind == findings.Asymmetry
		}
		if got != want {
			t.Errorf("matched by %v: asymmetry %v, want %v", by, got, want)
		}
	}
}
