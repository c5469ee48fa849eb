package session_test

import (
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// BenchmarkFinder measures a frame: of traces to a thousand hosts at once, which
// are over when they begin anew; of one trace after the other; and of traffic
// that has no trace in it.
func BenchmarkFinder(b *testing.B) {
	b.Run("traces", func(b *testing.B) { observe(b, manyTraces(1000), session.Idle+time.Second) })
	b.Run("one after the other", func(b *testing.B) { observe(b, manyTraces(1), session.Idle+time.Second) })
	b.Run("unrelated", func(b *testing.B) { observe(b, unrelated(), time.Second) })
}

// observe shows frames to a Finder, over and over, each time so much later.
func observe(b *testing.B, frames []frame.Frame, later time.Duration) {
	frames = packed(frames)
	probes := 0
	finder := session.NewFinder(func(p *path.Path) { probes += len(p.Probes) })
	b.ReportAllocs()
	n, shift := 0, time.Duration(0)
	for b.Loop() {
		f := frames[n]
		f.Time = f.Time.Add(shift)
		finder.Observe(&f)
		if n++; n == len(frames) {
			n, shift = 0, shift+later
		}
	}
	finder.Close()
	b.ReportMetric(float64(probes)/float64(b.N), "probes/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
}

// packed is the frames in one piece of memory, as a file's are: 128 bytes of
// each.
func packed(frames []frame.Frame) []frame.Frame {
	const kept = 128
	var room []byte
	for i := range frames {
		room = append(room, frames[i].Data[:min(kept, len(frames[i].Data))]...)
	}
	for i := range frames {
		n := min(kept, len(frames[i].Data))
		frames[i].Data, room = room[:n:n], room[n:]
	}
	return frames
}

// manyTraces are traces to so many hosts at once: of each 30 probes, 20 µs apart
// between hosts, that routers answer.
func manyTraces(hosts int) (frames []frame.Frame) {
	var c tape
	for n := range 30 {
		for h := range hosts {
			p := probe(n, uint8(1+n/3))
			p.dst = router(h)
			c.wired(1, 2, p.bytes())
			c.wait(10 * time.Microsecond)
			c.wired(2, 1, about(router(5000+n/3), exceeded, p))
			c.wait(10 * time.Microsecond)
		}
		c.wait(time.Millisecond)
	}
	return c.frames
}

// unrelated are connections, datagrams and pings among many hosts.
func unrelated() (frames []frame.Frame) {
	var c tape
	for n := range 20_000 {
		a, b := router(n*7919%3000), router(3000+n*104729%3000)
		p := packet{src: a, dst: b, protocol: layers.IPProtocolTCP, ttl: 64, id: uint16(n), sport: uint16(30000 + n%500), dport: 443, seq: uint32(n), flags: "A"}
		switch n % 10 {
		case 0, 1:
			p.protocol, p.payload = layers.IPProtocolUDP, zeroes(200)
		case 2:
			p.protocol = layers.IPProtocolICMPv4
		case 3, 4, 5, 6:
			p.payload = zeroes(1000)
		}
		c.wired(1, 2, p.bytes())
		c.wait(50 * time.Microsecond)
	}
	return c.frames
}
