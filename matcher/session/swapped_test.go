package session_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
)

// Probes that swap places on the wire, as network cards with several queues let them,
// are of one trace all the same: in each recording of one, each two that follow each
// other may. (Of what program they are, their order may have told.)
func TestSwappedProbesAreOneTrace(t *testing.T) {
	tried := 0
	for _, file := range captureFiles(t) {
		frames := framesOf(t, file)
		found := find(frames)
		if len(found) != 1 {
			continue
		}
		for _, at := range neighbours(found[0]) {
			tried++
			swapped := slices.Clone(frames)
			a, b := &swapped[at-1], &swapped[at]
			*a, *b = *b, *a
			a.Time, b.Time = b.Time, a.Time
			a.Number, b.Number = b.Number, a.Number
			got := find(swapped)
			if len(got) != 1 || len(got[0].Probes) != len(found[0].Probes) || got[0].Counters != found[0].Counters {
				t.Errorf("%s, frames %d and %d:\n%v\nnot\n%v", stem(file), at, at+1, summaries(got), summaries(found))
			}
		}
	}
	t.Logf("%d swaps", tried)
	if tried < 300 {
		t.Errorf("only %d swaps were tried", tried)
	}
}

// neighbours are the numbers of probes' frames behind which the next probe follows, so
// soon that it can have overtaken the one before.
func neighbours(p *path.Path) (frames []int) {
	const soon = 100 * time.Millisecond
	for i := 1; i < len(p.Probes); i++ {
		if a, b := &p.Probes[i-1], &p.Probes[i]; a.TTL != 0 && b.TTL != 0 && b.Frame == a.Frame+1 && b.Sent.Sub(a.Sent) < soon {
			frames = append(frames, a.Frame)
		}
	}
	return frames
}

// burst is what traceroute sends of 15 probes at once, three for each TTL, each from a
// port of its own.
func burst(nth int) (all []packet) {
	for n := range 15 {
		all = append(all, packet{
			src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: uint8(1 + n/3), id: uint16(7919 * (n + 1 + 100*nth)),
			sport: uint16(32768 + (104729*(n+1+100*nth))%28000), dport: uint16(33434 + n), payload: []byte("@ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
		})
	}
	return all
}

// A gap that a probe left which is not in the capture is not filled by the next trace,
// however soon that begins.
func TestAGapIsNotFilledByAnotherTrace(t *testing.T) {
	for lost := range 15 {
		for _, pause := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, time.Second} {
			var c tape
			for nth := range 2 {
				for n, p := range burst(nth) {
					if nth == 0 && n == lost {
						continue
					}
					c.send(p)
					c.wait(20 * time.Microsecond)
					c.raw(about(router(int(p.ttl)), exceeded, p))
					c.wait(20 * time.Microsecond)
				}
				c.wait(pause)
			}
			got := find(c.frames)
			if len(got) != 2 || len(got[0].Probes) != 14 || len(got[1].Probes) != 15 {
				t.Errorf("without probe %d, %v later: %v", lost, pause, summaries(got))
			}
		}
	}
}

// A probe may be overtaken by several, in any order.
func TestProbesOvertakenBySeveral(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for again := range 100 {
		all := burst(0)
		for at := 0; at < len(all)-1; at += 4 {
			some := all[max(at, 1):min(at+4, len(all))]
			random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		}
		var c tape
		for _, p := range all {
			c.send(p)
			c.wait(20 * time.Microsecond)
		}
		for _, p := range all {
			c.raw(about(router(int(p.ttl)), exceeded, p))
			c.wait(20 * time.Microsecond)
		}
		if got := find(c.frames); len(got) != 1 || got[0].Counters.Received != 15 {
			t.Fatalf("%d: %v", again, summaries(got))
		}
	}
}
