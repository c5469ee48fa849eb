package path_test

import (
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// responders is a Path of so many replies to probes that were not captured, from a third
// as many routers in turn, and of some probes that were.
func responders(probes, strays int) *path.Path {
	rec, _, _ := capturedProbe()
	for n := range probes {
		recordProbe(rec, n, 1)
	}
	m := matcher.Message{Reply: matcher.Reply{Kind: matcher.TimeExceeded, Received: rec.Path().Started}}
	m.Of.Dst = netip.MustParseAddr("198.51.100.80")
	for n := range strays {
		at := (n * 7919) % (strays/3 + 1)
		m.Reply.From = netip.AddrFrom4([4]byte{10, byte(at >> 16), byte(at >> 8), byte(at)})
		m.Reply.Received = m.Reply.Received.Add(time.Millisecond)
		rec.Orphan(&m.Reply, &m.Of)
	}
	rec.Apply(&path.Entry{Kind: path.End, At: m.Reply.Received})
	return rec.Path()
}

// EachHop yields what Hops returns: hops by distance, then routers by their first replies.
func TestEachHopIsHops(t *testing.T) {
	for _, size := range [][2]int{{0, 0}, {5, 0}, {0, 100}, {20, 100}} {
		p := responders(size[0], size[1])
		var each []path.Hop
		for h := range p.EachHop() {
			each = append(each, path.Hop{TTL: h.TTL, Probes: slices.Clone(h.Probes)})
		}
		if d := cmp.Diff(p.Hops(), each, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%v: -hops +each\n%s", size, d)
		}
		first, seen := -1, map[netip.Addr]bool{}
		for _, h := range each {
			if h.TTL != 0 || len(h.Probes) == 0 {
				continue
			}
			from := h.Probes[0].Reply.From
			if seen[from] || h.Probes[0].Number < first {
				t.Errorf("%v: %v is not in its place", size, from)
			}
			first, seen[from] = h.Probes[0].Number, true
			for i := range h.Probes {
				if h.Probes[i].Reply.From != from || i > 0 && h.Probes[i].Number < h.Probes[i-1].Number {
					t.Errorf("%v: probe %d is not in its place", size, h.Probes[i].Number)
				}
			}
		}
	}
}

// Of very many responders EachHop takes much less memory than their probes, and Hops
// little more.
func TestManyRespondersTakeLittleMemory(t *testing.T) {
	const strays = 30_000
	p := responders(0, strays)
	var before, between, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := len(p.Hops())
	runtime.ReadMemStats(&between)
	for range p.EachHop() {
		n--
	}
	runtime.ReadMemStats(&after)
	if n != 0 {
		t.Errorf("%d hops more", n)
	}
	if each := (between.TotalAlloc - before.TotalAlloc) / strays; each > 180 {
		t.Errorf("Hops allocates %d bytes a probe", each)
	}
	if each := (after.TotalAlloc - between.TotalAlloc) / strays; each > 40 {
		t.Errorf("EachHop allocates %d bytes a probe", each)
	}
}

// What is taken from a Path of a Recorder stays as it is when the Recorder is used
// again, without a copy.
func TestTakenProbesAreNotUsedAgain(t *testing.T) {
	rec, _, _ := capturedProbe()
	again := *rec.Path()
	again.Probes, again.Counters = nil, path.Counters{}
	for n := range 40 {
		recordProbe(rec, n, 2)
	}
	rec.Apply(&path.Entry{Kind: path.End, At: rec.Path().Started.Add(time.Hour)})
	want := rec.Path().Clone()
	first := &rec.Path().Probes[0]
	taken := rec.Path().Take()
	if &taken.Probes[0] != first {
		t.Error("it is a copy")
	}
	rec.Release()
	rec.Reuse(&again)
	for n := range 50 {
		recordProbe(rec, 100+n, 1)
	}
	if d := cmp.Diff(want, taken, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("-before +after\n%s", d)
	}
	if n := len(rec.Path().Probes); n != 50 {
		t.Errorf("%d probes", n)
	}
}
