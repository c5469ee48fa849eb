package simulate_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
)

// walk returns who answers the TTLs from 1 on, up to the destination.
func walk(t *testing.T, n *simulate.Network, p probe) (hops []string) {
	t.Helper()
	for p.ttl = 1; p.ttl < 30; p.ttl++ {
		d := one(t, n, p)
		hops = append(hops, d.From)
		if d.From == p.to {
			break
		}
	}
	return hops
}

func TestPathsBehindAPrefix(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		of := million()
		n := network(t, of)
		routers := of.Prefixes[pick(v6, 0, 1)].Routers
		lengths, seen := map[int]int{}, map[string]int{}
		addr := of.Prefixes[pick(v6, 0, 1)].Prefix.Addr()
		for range 200 {
			addr = addr.Next()
			p := probe{v6: v6, to: addr.String()}
			hops := walk(t, n, p)
			if again := walk(t, n, p); len(again) != len(hops) || again[4] != hops[4] {
				t.Fatalf("%v: %v, then %v", addr, hops, again)
			}
			behind := hops[3 : len(hops)-1]
			lengths[len(behind)]++
			for depth, h := range behind {
				if !routers.Contains(netip.MustParseAddr(h)) || seen[h] != 0 && seen[h] != depth+1 {
					t.Errorf("%v: router %s at depth %d, and at %d before", addr, h, depth+1, seen[h])
				}
				seen[h] = depth + 1
			}
		}
		if len(lengths) != 10 || lengths[3] == 0 || lengths[12] == 0 {
			t.Errorf("routers behind the prefix's: %v", lengths)
		}
	})
}

func TestRoutersBehindAPrefixAnswerForThemselves(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		of := million()
		n := network(t, of)
		hops := walk(t, n, probe{v6: v6, to: of.Prefixes[pick(v6, 0, 1)].Prefix.Addr().Next().String()})
		for depth, router := range hops[3 : len(hops)-1] {
			p := probe{v6: v6, to: router}
			if got := walk(t, n, p); len(got) != 4+depth {
				t.Errorf("the way to the router at depth %d is %v", depth+1, got)
			}
			for _, p := range []probe{{v6: v6, to: router, echo: true}, {v6: v6, to: router, tcp: &layers.TCP{SYN: true}}} {
				if d := one(t, n, p); d.From != router {
					t.Errorf("%s answers for %s", d.From, router)
				}
			}
		}
		if d := one(t, n, probe{v6: v6, to: of.Prefixes[pick(v6, 0, 1)].Routers.Addr().String()}); d.From != pick(v6, hops4, hops6)[0] {
			t.Errorf("the routers' network address draws %+v", d.reply)
		}
	})
}

func TestDestinationsOfAPrefixAreLimitedEachByItself(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		of := million()
		n := network(t, of)
		a := of.Prefixes[pick(v6, 0, 1)].Prefix.Addr().Next()
		for _, to := range []netip.Addr{a, a.Next()} {
			answers := 0
			for range 10 {
				answers += len(carry(t, n, probe{v6: v6, to: to.String()}))
			}
			if answers != 6 {
				t.Errorf("%d answers, want the burst of 6", answers)
			}
		}
	})
}

// TestDestinationsTakeNoMemory probes every eighth address of a /12 once (for
// all of them see BenchmarkMillion). Those whose rate limit is not full again
// are remembered, no others.
func TestDestinationsTakeNoMemory(t *testing.T) {
	const count = 1 << 17
	n := network(t, million())
	p := probe{to: "172.16.0.0", size: -1}.bytes(t)
	p[26], p[27] = 0, 0 // no UDP checksum
	before := heap()
	answers := 0
	var back []simulate.Arrival
	for i := range count {
		binary.BigEndian.PutUint32(p[16:], 172<<24|16<<16|uint32(8*i))
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^ones(p[:20]))
		back = n.Carry(ms*time.Duration(i), p, back[:0])
		answers += len(back)
	}
	if answers != count {
		t.Errorf("%d answers", answers)
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	n.Stats()
}
