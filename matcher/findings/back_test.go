package findings_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// A way back is told where the findings have none of it, and nowhere else.
func TestWaysBack(t *testing.T) {
	round := func(s sketch) {
		s.at(4, end, func(p *path.Probe) {
			*p.Reply = *reply(p, 4+int(p.TTL)%2)
			p.Reply.Hop = p.TTL
		})
	}
	refused := func(s sketch) {
		s.at(6, 6, func(p *path.Probe) {
			p.Reply.Kind, p.Reply.ICMPCode, p.Reply.Basis = matcher.Unreachable, 13, path.ByArithmetic
		})
	}
	zero := quote(5, 5, func(q *matcher.Quote) { q.TTL = 0 })
	for name, test := range map[string]struct {
		do   func(sketch)
		want map[uint8]int
	}{
		"as there":                    {func(sketch) {}, nil},
		"by another way":              {back(6, end, 3), map[uint8]int{6: 9, 7: 10, 8: 11, 9: 12}},
		"by another way, of one":      {back(6, 6, 3), map[uint8]int{6: 9}},
		"by one router more":          {back(6, end, 1), nil},
		"with a TTL that is set":      {setTTL(3, end, 62), nil},
		"by another way, and set":     {both(back(2, 3, 3), setTTL(4, end, 61)), map[uint8]int{2: 5, 3: 6}},
		"round and round":             {round, nil},
		"by another way, then round":  {both(round, back(2, 3, 3)), map[uint8]int{2: 5, 3: 6}},
		"to probes that are raised":   {both(raised(3, 50), back(4, end, 3)), nil},
		"for a router before it":      {both(both(zero, from(5, router(6), 1, 2, 3)), back(6, 6, 3)), nil},
		"from a hop that is not sure": {both(refused, back(6, 6, 3)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := clean(3)
			test.do(s)
			told(t, s.Path)
			ways, got := findings.WaysBack(s.Path), map[uint8]int{}
			for i := range s.Probes {
				if r := s.Probes[i].Reply; ways(r) != 0 {
					got[r.Hop] = ways(r)
				}
			}
			if test.want == nil {
				test.want = map[uint8]int{}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
