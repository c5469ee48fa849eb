package simulate

import (
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// bucket is a token bucket. The zero bucket is full.
type bucket struct {
	used float64       // tokens short of full, as of then
	then time.Duration // never goes back
}

// take takes a token at a time, if there is one. Packets come to a node in
// another order than they left the host: what is older than the newest seen is
// taken to come with it.
func (b *bucket) take(l topology.Limit, at time.Duration) bool {
	b.refill(l, at)
	if b.used+1 > depth(l) {
		return false
	}
	b.used++
	return true
}

func (b *bucket) refill(l topology.Limit, at time.Duration) {
	if at <= b.then {
		return
	}
	b.used = max(0, b.used-(at-b.then).Seconds()*l.Rate)
	b.then = at
}

// depth is how many tokens a limit's bucket holds: room for one at least.
func depth(l topology.Limit) float64 { return float64(max(l.Burst, 1)) }

// unlimited reports whether a limit is the zero Limit, which is none.
func unlimited(l topology.Limit) bool { return l.Rate == 0 && l.Burst == 0 }

// buckets are those of many nodes alike. A bucket that is full again is
// forgotten, so that their number is bounded by how many are probed within the
// time it takes to fill.
type buckets struct {
	of    map[netip.Addr]*bucket
	sweep int // how many there may be before those that are full are looked for
}

const leastSweep = 1024

func (bs *buckets) take(l topology.Limit, a netip.Addr, at time.Duration) bool {
	b := bs.of[a]
	if b == nil {
		bs.forget(l, at)
		b = &bucket{then: at}
		bs.of[a] = b
	}
	return b.take(l, at)
}

// forget drops the buckets that are full at a time, when there are many.
func (bs *buckets) forget(l topology.Limit, at time.Duration) {
	if bs.of == nil {
		bs.of, bs.sweep = map[netip.Addr]*bucket{}, leastSweep
	}
	if len(bs.of) < bs.sweep {
		return
	}
	for a, b := range bs.of {
		if b.refill(l, at); b.used == 0 {
			delete(bs.of, a)
		}
	}
	bs.sweep = max(leastSweep, 2*len(bs.of))
}
