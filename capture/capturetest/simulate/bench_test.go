package simulate_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// diamonds is so many balancers of width ways one behind the other.
func diamonds(count, width int) *topology.Topology {
	t := &topology.Topology{Name: "diamonds", Seed: 1}
	router := func(name string) string {
		i := len(t.Routers)
		n := node(name, fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250), fmt.Sprintf("2001:db8:1::%x", i+1))
		t.Routers = append(t.Routers, topology.Router{Node: n})
		return name
	}
	link := func(path ...string) {
		t.Links = append(t.Links, topology.Link{Path: path, Delay: topology.Duration(ms)})
	}
	at := router("first")
	link(topology.HostName, at)
	for d := range count {
		next := fmt.Sprintf("join%d", d)
		for w := range width {
			link(at, router(fmt.Sprintf("d%dw%d", d, w)), next)
		}
		at = router(next)
	}
	t.Destinations = []topology.Destination{{Node: node("end", dest4, dest6)}}
	link(at, "end")
	return t
}

func million() *topology.Topology {
	t := chain(nil)
	for i, p := range []string{"172.16.0.0/12", "2001:db8:aaaa::/64"} {
		t.Prefixes = append(t.Prefixes, topology.Prefix{
			Prefix: netip.MustParsePrefix(p), Behind: "r3", MinHops: 3, MaxHops: 12, Delay: topology.Duration(ms),
			Routers: netip.MustParsePrefix([]string{"100.64.0.0/16", "2001:db8:bbbb::/112"}[i]),
			Answer:  topology.Answer{Limit: topology.Limit{Rate: 1, Burst: 6}},
		})
	}
	return t
}

func BenchmarkCarry(b *testing.B) {
	nat := chain(func(t *topology.Topology) {
		t.Routers[0].NAT = &topology.NAT{Address: netip.MustParseAddr("203.0.113.1")}
		t.Routers[1].NAT = &topology.NAT{Address: netip.MustParseAddr("203.0.113.2"), KeepQuotedChecksum: true}
	})
	labels := chain(func(t *topology.Topology) {
		for i := range t.Routers {
			t.Routers[i].Answer.MPLS = &topology.MPLS{Labels: []topology.Label{{Label: 16}, {Label: 17}}}
		}
	})
	random := chain(func(t *topology.Topology) {
		l := &t.Links[0]
		l.Jitter, l.Loss, l.Reorder, l.Duplicate = l.Delay, 0.01, 0.01, 0.01
	})
	for _, bench := range []struct {
		name string
		of   *topology.Topology
		last uint8 // TTL
		p    probe
	}{
		{"chain of 4, IPv4", chain(nil), 4, probe{}},
		{"chain of 4, IPv6", chain(nil), 4, probe{v6: true}},
		{"chain of 4, chance", random, 4, probe{}},
		{"chain of 4, labels", labels, 4, probe{}},
		{"chain of 4, two NATs", nat, 4, probe{}},
		{"8 balancers of 16, IPv4", diamonds(8, 16), 18, probe{}},
		{"8 balancers of 16, IPv6", diamonds(8, 16), 18, probe{v6: true}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			n := network(b, bench.of)
			probes := make([][]byte, bench.last)
			for i := range probes {
				bench.p.ttl = uint8(i + 1)
				bench.p.src = uint16(40000 + i)
				probes[i] = bench.p.bytes(b)
			}
			var back []simulate.Arrival
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				back = n.Carry(time.Duration(i), probes[i%len(probes)], back[:0])
				i++
			}
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "probes/s")
		})
	}
}

// BenchmarkMillion sends one probe to each of a million destinations, over and
// over, with TTLs from 1 to 16. B/destination is what the heap has grown by.
func BenchmarkMillion(b *testing.B) {
	n := network(b, million())
	p := probe{to: "172.16.0.0", size: -1, ttl: 1}.bytes(b)
	p[26], p[27] = 0, 0 // no UDP checksum
	var back []simulate.Arrival
	before := heap()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		binary.BigEndian.PutUint32(p[16:], 172<<24|16<<16|uint32(i)&(1<<20-1))
		p[8] = byte(1 + i%16)
		p[10], p[11] = 0, 0
		binary.BigEndian.PutUint16(p[10:], ^ones(p[:20]))
		back = n.Carry(time.Duration(i)*5*time.Microsecond, p, back[:0])
		i++
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "probes/s")
	b.ReportMetric((float64(heap())-float64(before))/float64(min(i, 1<<20)), "B/destination")
	runtime.KeepAlive(n)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// ones is the ones' complement sum of data (RFC 1071).
func ones(data []byte) uint16 {
	var s uint64
	for i, b := range data {
		s += uint64(b) << (8 * (1 - i%2))
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
