package simulate_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// responders counts who answers probes with a TTL, each bent by its number.
func responders(t testing.TB, n *simulate.Network, count int, p probe, bend func(*probe, int)) map[string]int {
	t.Helper()
	got := map[string]int{}
	for i := range count {
		bend(&p, i)
		for _, d := range carry(t, n, p) {
			got[d.From]++
		}
	}
	return got
}

// even reports whether counts are as chance would have them: within 5 standard
// deviations of their shares.
func even(counts map[string]int, total int, shares ...float64) error {
	if len(counts) != len(shares) {
		return fmt.Errorf("%v is not %d ways", counts, len(shares))
	}
	for who, n := range counts {
		near := false
		for _, s := range shares {
			near = near || math.Abs(float64(n)-s*float64(total)) < 5*math.Sqrt(s*(1-s)*float64(total))
		}
		if !near {
			return fmt.Errorf("%s has %d of %d", who, n, total)
		}
	}
	return nil
}

func TestBalanceByFlow(t *testing.T) {
	same := func(*probe, int) {}
	quarter := []float64{0.25, 0.25, 0.25, 0.25}
	tests := []struct {
		name string
		p    probe
		bend func(*probe, int)
		ways int
	}{
		{"the same flow", probe{}, same, 1},
		{"source ports", probe{}, func(p *probe, i int) { p.src = uint16(1024 + i) }, 4},
		{"destination ports", probe{}, func(p *probe, i int) { p.dst = uint16(33434 + i) }, 4},
		{"data", probe{}, func(p *probe, i int) { p.data = []byte{byte(i >> 8), byte(i), 0} }, 1},
		{"IDs and TOS", probe{}, func(p *probe, i int) { p.id, p.tos = uint16(i), uint8(i)<<2 }, 1},
		{"TCP ports", probe{tcp: &layers.TCP{SYN: true}}, func(p *probe, i int) { p.src = uint16(1024 + i) }, 4},
		{"TCP sequence numbers", probe{}, func(p *probe, i int) { p.tcp = &layers.TCP{SYN: true, Seq: uint32(i)} }, 1},
		{"echo sequences, which change the checksum", probe{echo: true}, func(p *probe, i int) { p.dst = uint16(i) }, 4},
		{"echo sequences with a constant checksum", probe{echo: true}, func(p *probe, i int) {
			p.dst, p.data = uint16(i+1), []byte{byte(^uint16(i+1) >> 8), byte(^uint16(i + 1))}
		}, 1},
		{"echo identifiers", probe{echo: true}, func(p *probe, i int) { p.src = uint16(i) }, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				test.p.v6, test.p.ttl = v6, 2
				got := responders(t, network(t, diamonds(1, 4)), 800, test.p, test.bend)
				if test.ways == 1 && len(got) != 1 {
					t.Errorf("went %d ways: %v", len(got), got)
				}
				if test.ways == 4 {
					if err := even(got, 800, quarter...); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestConsecutiveBalancersAreIndependent(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, diamonds(2, 2))
		pairs := map[string]int{}
		for i := range 1600 {
			p := probe{v6: v6, ttl: 2, src: uint16(1024 + i)}
			a := one(t, n, p).From
			p.ttl = 4
			pairs[a+" "+one(t, n, p).From]++
		}
		if err := even(pairs, 1600, 0.25, 0.25, 0.25, 0.25); err != nil {
			t.Error(err)
		}
	})
}

func TestWaysStayApart(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, diamonds(1, 16))
		for i := range 200 {
			p := probe{v6: v6, ttl: 2, src: uint16(1024 + i)}
			if a, b := one(t, n, p).From, one(t, n, p).From; a != b {
				t.Errorf("one flow went through %s and %s", a, b)
			}
			p.ttl = 4
			if d := one(t, n, p); d.From != pick(v6, dest4, dest6) {
				t.Errorf("behind the diamond is %s", d.From)
			}
		}
	})
}

func TestBalanceByPacketAndWeight(t *testing.T) {
	of := diamonds(1, 3)
	of.Routers[0].Balance = topology.ByPacket
	of.Links[1].Weight, of.Links[2].Weight, of.Links[3].Weight = 5, 3, 2
	got := responders(t, network(t, of), 2000, probe{ttl: 2}, func(*probe, int) {})
	if err := even(got, 2000, 0.5, 0.3, 0.2); err != nil {
		t.Error(err)
	}
	of.Routers[0].Balance = topology.ByFlow
	got = responders(t, network(t, of), 2000, probe{ttl: 2}, func(p *probe, i int) { p.src = uint16(1024 + i) })
	if err := even(got, 2000, 0.5, 0.3, 0.2); err != nil {
		t.Error(err)
	}
}

func TestBalanceByDestination(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		of := diamonds(1, 2)
		of.Routers[0].Balance = topology.ByDestination
		for i := range 40 {
			name := fmt.Sprintf("end%d", i)
			of.Destinations = append(of.Destinations, topology.Destination{
				Node: node(name, fmt.Sprintf("198.51.100.%d", 100+i), fmt.Sprintf("2001:db8:ffff::%x", 100+i)),
			})
			of.Links = append(of.Links, topology.Link{Path: []string{"join0", name}})
		}
		n := network(t, of)
		ways := map[string]int{}
		for i := range 40 {
			p := probe{v6: v6, ttl: 2, to: pick(v6, fmt.Sprintf("198.51.100.%d", 100+i), fmt.Sprintf("2001:db8:ffff::%x", 100+i))}
			got := responders(t, n, 10, p, func(p *probe, i int) { p.src = uint16(1024 + i) })
			if len(got) != 1 {
				t.Errorf("%s: %v", p.to, got)
			}
			for who := range got {
				ways[who]++
			}
		}
		if err := even(ways, 40, 0.5, 0.5); err != nil {
			t.Error(err)
		}
	})
}

// TestUnequalMesh balances over ways of 1, 2 and 3 routers that have nodes in
// common.
func TestUnequalMesh(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		of := chain(nil)
		of.Links = []topology.Link{
			{Path: []string{"host", "r1", "r2", "r3", "end"}},
			{Path: []string{"r1", "r3"}}, {Path: []string{"r1", "end"}}, {Path: []string{"r2", "end"}},
		}
		n := network(t, of)
		hops, end := pick(v6, hops4, hops6), pick(v6, dest4, dest6)
		want := []map[string]bool{{hops[0]: true}, {hops[1]: true, hops[2]: true, end: true}, {hops[2]: true, end: true}, {end: true}}
		for i, want := range want {
			got := responders(t, n, 200, probe{v6: v6, ttl: uint8(i + 1)}, func(p *probe, i int) { p.src = uint16(1024 + i) })
			for who := range got {
				if !want[who] {
					t.Errorf("TTL %d: %s answers", i+1, who)
				}
			}
			if len(got) != len(want) {
				t.Errorf("TTL %d: %v", i+1, got)
			}
		}
	})
}
