package path_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// A Recorder that is used again makes of a trace what a new one makes of it, and
// leaves the Clones of the Paths before alone.
func TestReuseLeavesNothingBehind(t *testing.T) {
	used, _, _ := capturedProbe()
	begun := *used.Path()
	begun.Probes, begun.Counters = nil, path.Counters{}
	for _, c := range []struct {
		name                 string
		probes, asks, strays int
	}{
		{"many replies", 40, 3, 2},
		{"fewer than before", 5, 1, 0},
		{"no reply", 7, 0, 0},
		{"more than before", 70, 2, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			record := func(rec *path.Recorder) *path.Path {
				for n := range c.probes {
					recordProbe(rec, n, c.asks)
				}
				for range c.strays {
					recordStray(rec)
				}
				rec.Apply(&path.Entry{Kind: path.End, At: rec.Path().Started.Add(time.Hour)})
				return rec.Path()
			}
			first, again := begun, begun
			want := record(path.NewRecorder(&first, nil))

			kept := used.Path().Clone()
			before := kept.Clone()
			used.Release()
			used.Reuse(&again)
			if d := cmp.Diff(want, record(used), cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("-new +used again\n%s", d)
			}
			if d := cmp.Diff(before, kept, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("-clone before +after\n%s", d)
			}
		})
	}
}

// recordProbe records a probe and so many replies to it.
func recordProbe(rec *path.Recorder, n, replies int) {
	_, key, noon := capturedProbe()
	key.ID, key.Token = uint16(100+n), uint32(100+n)
	sent := noon.Add(time.Duration(n) * time.Millisecond)
	ttl := uint8(1 + n/2)
	rec.Found(&key, ttl, sent).ID = key.ID
	for i := range replies {
		from := netip.AddrFrom4([4]byte{10, 0, ttl, byte(i)})
		reply := matcher.Reply{From: from, Received: sent.Add(time.Millisecond), Kind: matcher.TimeExceeded}
		if n%5 == 4 {
			reply.Kind = matcher.Unreachable
			reply.Extensions = &matcher.Extensions{Offset: 128}
		}
		rec.Take(&matcher.Message{Time: reply.Received, IsReply: true, Reply: reply, Of: key})
	}
}

// recordStray records a reply to a probe that was not captured.
func recordStray(rec *path.Recorder) {
	m := matcher.Message{Reply: matcher.Reply{From: netip.MustParseAddr("10.9.9.9"), Kind: matcher.TimeExceeded}}
	m.Of.Dst = netip.MustParseAddr("198.51.100.80")
	rec.Orphan(&m.Reply, &m.Of)
}
