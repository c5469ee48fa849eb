package path_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// silent is a probe that nobody answered.
func silent(ttl uint8) path.Probe { return path.Probe{TTL: ttl, Status: path.Timeout} }

// answered is a probe that a hop answered.
func answered(ttl, hop uint8, kind matcher.Kind, from string) path.Probe {
	return path.Probe{TTL: ttl, Status: path.Replied, Reply: &path.Reply{
		Reply: matcher.Reply{From: netip.MustParseAddr(from), Kind: kind}, Hop: hop,
	}}
}

// standing writes the hops, and by number the probes that stand in each.
func standing(hops []path.Hop) string {
	var all []string
	for _, h := range hops {
		s := fmt.Sprintf("%d:", h.TTL)
		for _, p := range h.Probes {
			s += fmt.Sprintf(" %d", p.Number)
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

func TestHops(t *testing.T) {
	tests := map[string]struct {
		first   uint8
		probes  []path.Probe
		end     uint8
		reached bool
		hops    string
	}{
		"no probes": {first: 1},
		"nobody answers": {
			first: 1, probes: []path.Probe{silent(1), silent(2), silent(3), silent(1)},
			hops: "1: 0 3, 2: 1, 3: 2",
		},
		"a router": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.TimeExceeded, r1)},
			hops: "1: 0",
		},
		"the target": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.TimeExceeded, r1), answered(2, 2, matcher.Unreachable, target)},
			end: 2, reached: true, hops: "1: 0, 2: 1",
		},
		"the target's datagram": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.UDP, target)},
			end: 1, reached: true, hops: "1: 0",
		},
		"a time-exceeded from the target's address": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.TimeExceeded, target), silent(2)},
			hops: "1: 0, 2: 1",
		},
		"a refusal": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.Unreachable, r1), answered(2, 1, matcher.Unreachable, r1)},
			end: 1, hops: "1: 0 1",
		},
		"unanswered beyond the end": {
			first: 1, probes: []path.Probe{
				answered(1, 1, matcher.TimeExceeded, r1), silent(2), answered(3, 2, matcher.Unreachable, target), silent(4),
				{TTL: 5}, {TTL: 6, Status: path.Unsent},
			},
			end: 2, reached: true, hops: "1: 0, 2: 1 2 3 4 5",
		},
		"beyond the end, and answered late": {
			first: 1, probes: []path.Probe{silent(2), func() path.Probe {
				p := answered(4, 2, matcher.Unreachable, target)
				p.Status = path.Late
				return p
			}()},
			end: 2, reached: true, hops: "1:, 2: 0 1",
		},
		"a hop that no probe stands in": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.TimeExceeded, r1), answered(3, 3, matcher.TimeExceeded, r3)},
			hops: "1: 0, 2:, 3: 1",
		},
		"from a later first TTL": {
			first: 5, probes: []path.Probe{silent(5), answered(6, 6, matcher.TimeExceeded, r5)},
			hops: "5: 0, 6: 1",
		},
		"refused before the first TTL": {
			first: 5, probes: []path.Probe{answered(5, 2, matcher.Unreachable, r2), silent(6)},
			end: 2, hops: "2: 0 1",
		},
		"the target is before the first TTL": {
			first: 3, probes: []path.Probe{silent(3), answered(4, 1, matcher.Unreachable, target)},
			end: 1, reached: true, hops: "1: 0 1",
		},
		"the nearest that the target answered from": {
			first: 1, probes: []path.Probe{answered(4, 4, matcher.UDP, target), answered(3, 3, matcher.UDP, target), answered(5, 4, matcher.UDP, target)},
			end: 3, reached: true, hops: "1:, 2:, 3: 1, 4: 0 2",
		},
		"a refusal at the hop where a router answered": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.TimeExceeded, r1), answered(2, 1, matcher.Unreachable, r1)},
			end: 1, hops: "1: 0 1",
		},
		"a refusal, and a router beyond": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.Unreachable, r1), answered(2, 2, matcher.TimeExceeded, r2), silent(3)},
			hops: "1: 0, 2: 1, 3: 2",
		},
		"a refusal, and the target beyond": {
			first: 1, probes: []path.Probe{answered(1, 1, matcher.Unreachable, r1), silent(2), answered(3, 3, matcher.Unreachable, target), silent(4)},
			end: 3, reached: true, hops: "1: 0, 2: 1, 3: 2 3",
		},
		"a parameter problem": {
			first: 1, probes: []path.Probe{answered(2, 1, matcher.ParameterProblem, r1), silent(2)},
			end: 1, hops: "1: 0 1",
		},
		"at TTL 255": {
			first: 254, probes: []path.Probe{answered(254, 254, matcher.TimeExceeded, r1), silent(255), silent(255)},
			hops: "254: 0, 255: 1 2",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := path.Path{
				Target:     path.Target{Addr: netip.MustParseAddr(target)},
				Parameters: path.Parameters{FirstTTL: test.first, MaxTTL: 255},
				Probes:     test.probes,
			}
			for i := range p.Probes {
				p.Probes[i].Number = i
			}
			if p.End() != test.end || p.Reached() != test.reached {
				t.Errorf("ends at %d, reached %v; want %d, %v", p.End(), p.Reached(), test.end, test.reached)
			}
			hops := p.Hops()
			if d := cmp.Diff(test.hops, standing(hops)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			stands(t, &p)
		})
	}
}

func TestHopsOfAWholeRange(t *testing.T) {
	p := path.Path{Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 255}}
	for ttl := 1; ttl <= 255; ttl++ {
		p.Probes = append(p.Probes, path.Probe{Number: ttl - 1, TTL: uint8(ttl), Status: path.Timeout})
	}
	if n := len(p.Hops()); n != 255 {
		t.Errorf("%d hops", n)
	}
	stands(t, &p)
}

// stands checks that every probe stands in exactly one hop, that the hops are
// in a row, and that Hop agrees with Hops.
func stands(t testing.TB, p *path.Path) {
	t.Helper()
	seen := map[int]int{}
	hops := p.Hops()
	for i, h := range hops {
		if h.TTL != hops[0].TTL+uint8(i) {
			t.Errorf("hop %d follows hop %d", h.TTL, hops[i-1].TTL)
		}
		if alone := p.Hop(h.TTL); !reflect.DeepEqual(h, alone) {
			t.Errorf("Hop differs from Hops: -Hops +Hop\n%s", cmp.Diff(h, alone, equal))
		}
		for _, probe := range h.Probes {
			seen[probe.Number]++
		}
	}
	for _, probe := range p.Probes {
		if n := seen[probe.Number]; n != 1 {
			t.Errorf("probe %d (TTL %d) stands in %d hops", probe.Number, probe.TTL, n)
		}
	}
}

// These words are in people's scripts.
func TestSpelling(t *testing.T) {
	tests := map[string][]fmt.Stringer{
		"timeout":      {path.Timeout, path.GaveUp},
		"abandoned":    {path.Abandoned, path.Outstanding},
		"reply":        {path.Replied, path.Answer},
		"late":         {path.Late},
		"unsent":       {path.Unsent},
		"kernel":       {path.Kernel},
		"user":         {path.User},
		"sent-ttl":     {path.BySentTTL},
		"quoted-ttl":   {path.ByQuotedTTL},
		"same-address": {path.BySameAddress},
		"arithmetic":   {path.ByArithmetic},
		"lowest-ttl":   {path.ByLowestTTL},
		"start":        {path.Started},
		"probe":        {path.ProbeOut},
		"hop":          {path.Decided},
		"end":          {path.Ended},
	}
	for want, values := range tests {
		for _, v := range values {
			if got := v.String(); got != want {
				t.Errorf("%T %d is %q, want %q", v, v, got, want)
			}
		}
	}
}
