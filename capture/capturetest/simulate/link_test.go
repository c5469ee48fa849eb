package simulate_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// TestLinks sends 3,000 probes to the first router over a link of a kind.
func TestLinks(t *testing.T) {
	const count = 3000
	type l = topology.Link
	tests := []struct {
		name     string
		link     l
		answers  float64 // a probe
		min, max time.Duration
		fast     float64 // how many in 1 take less than one delay
	}{
		{"delay", l{Delay: topology.Duration(ms)}, 1, 2 * ms, 2 * ms, 0},
		{"jitter", l{Delay: topology.Duration(ms), Jitter: topology.Duration(ms)}, 1, 2 * ms, 4 * ms, 0},
		{"loss", l{Loss: 0.1}, 0.81, 0, 0, 0},
		{"duplicates", l{Delay: topology.Duration(ms), Duplicate: 0.1}, 1.21, 2 * ms, 2 * ms, 0},
		{"reordering", l{Delay: topology.Duration(ms), Reorder: 0.1}, 1, 0, 2 * ms, 0.19},
		{"loss of all", l{Loss: 1}, 0, math.MaxInt64, 0, 0},
		{"duplicates of all", l{Duplicate: 1}, 4, 0, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				of := chain(nil)
				test.link.Path = []string{"host", "r1"}
				of.Links = []topology.Link{test.link, {Path: []string{"r1", "r2", "r3", "end"}}}
				n := network(t, of)
				var back []simulate.Arrival
				ip := probe{v6: v6, ttl: 1}.bytes(t)
				for range count {
					back = n.Carry(0, ip, back)
				}
				if got := float64(len(back)) / count; math.Abs(got-test.answers) > 0.03 {
					t.Errorf("%v answers a probe, want %v", got, test.answers)
				}
				least, most, fast := time.Duration(math.MaxInt64), time.Duration(0), 0.0
				for _, a := range back {
					least, most = min(least, a.At), max(most, a.At)
					if a.At < time.Duration(test.link.Delay)*2 {
						fast += 1.0 / count
					}
				}
				if least < test.min || most > test.max || math.Abs(fast-test.fast) > 0.03 {
					t.Errorf("from %v to %v, %v of them fast; want from %v to %v, %v", least, most, fast, test.min, test.max, test.fast)
				}
				if lost := n.Stats().Lost; (lost > 0) != (test.link.Loss > 0) {
					t.Errorf("%d lost", lost)
				}
			})
		})
	}
}

func TestDuplicatesAreTheCallersToChange(t *testing.T) {
	n := network(t, chain(func(c *topology.Topology) { c.Links[0].Duplicate = 1 }))
	ip := probe{ttl: 1}.bytes(t)
	back := n.Carry(0, ip, nil)
	clear(back[0].IP)
	clear(ip)
	for _, a := range back[1:] {
		decode(t, a)
	}
	decode(t, n.Carry(0, probe{ttl: 1}.bytes(t), nil)[0])
}

func TestDuplicatesAreBounded(t *testing.T) {
	of := diamonds(20, 1)
	for i := range of.Links {
		of.Links[i].Duplicate = 1
	}
	if got := len(network(t, of).Carry(0, probe{}.bytes(t), nil)); got == 0 || got > 64 {
		t.Errorf("%d answers", got)
	}
}

func TestTheSameSeedGivesTheSame(t *testing.T) {
	run := func(seed uint64) (all []simulate.Arrival) {
		of := diamonds(3, 3)
		of.Seed = seed
		of.Routers[0].Balance = topology.ByPacket
		for i := range of.Links {
			l := &of.Links[i]
			l.Jitter, l.Loss, l.Reorder, l.Duplicate = topology.Duration(ms), 0.1, 0.1, 0.1
		}
		n := network(t, of)
		for i := range 200 {
			all = n.Carry(time.Duration(i), probe{v6: i%2 > 0, ttl: uint8(i%9 + 1), src: uint16(i)}.bytes(t), all)
		}
		return all
	}
	first := run(1)
	if diff := cmp.Diff(first, run(1)); diff != "" {
		t.Errorf("the same seed differs:\n%s", diff)
	}
	if slices.EqualFunc(first, run(2), func(a, b simulate.Arrival) bool { return a.At == b.At }) {
		t.Error("another seed does not differ")
	}
}
