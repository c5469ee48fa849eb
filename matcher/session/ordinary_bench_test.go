package session_test

import (
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// BenchmarkFinderOnErrors measures a frame of a capture that is ordinary, or made
// to be the worst: packets of which each draws an ICMP error.
func BenchmarkFinderOnErrors(b *testing.B) {
	for _, c := range drawing() {
		b.Run(c.name, func(b *testing.B) {
			probes := 0
			finder := session.NewFinder(func(p *path.Path) { probes += len(p.Probes) })
			var tape tape
			b.ReportAllocs()
			b.StopTimer()
			for n := 0; n < b.N; {
				tape.frames = tape.frames[:0]
				for range 1000 {
					c.record(&tape, n)
					n += 2
				}
				frames := packed(tape.frames)
				b.StartTimer()
				for i := range frames {
					finder.Observe(&frames[i])
				}
				b.StopTimer()
			}
			b.StartTimer()
			finder.Close()
		})
	}
}

// drawn is a kind of traffic that draws ICMP errors: record records the nth packet
// of it and the error.
type drawn struct {
	name   string
	record func(c *tape, n int)
}

// drawing are the kinds.
func drawing() []drawn {
	datagram := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 64, sport: 5004, dport: 53, payload: zeroes(20)}
	draws := func(says kind, from func(n int) (p packet)) func(*tape, int) {
		return func(c *tape, n int) {
			p := from(n)
			c.send(p)
			c.wait(5 * time.Microsecond)
			by := p.dst
			if says == exceeded {
				by = router(7)
			}
			c.raw(about(by, says, p))
			c.wait(5 * time.Microsecond)
		}
	}
	vary := func(change func(p *packet, n int)) func(int) packet {
		return func(n int) packet {
			p := datagram
			p.id = uint16(n)
			change(&p, n)
			return p
		}
	}
	traced := func(sources int, kind func(*tape, int)) func(*tape, int) {
		return func(c *tape, n int) {
			if n%20000 == 0 {
				for s := range sources {
					for ttl := uint8(1); ttl <= 4; ttl++ {
						p := probe(int(ttl)+n/1000*10, ttl)
						p.src = router(4000 + s)
						if sources == 1 {
							p.src = host
						}
						c.send(p)
					}
				}
			}
			kind(c, n)
		}
	}
	limited := func(kind func(*tape, int)) func(*tape, int) {
		return func(c *tape, n int) {
			if kind(c, n); n%200 != 0 {
				c.frames = c.frames[:len(c.frames)-1]
			}
		}
	}
	crowded := func(kind func(*tape, int)) func(*tape, int) {
		return func(c *tape, n int) {
			if n == 0 {
				for s := range 16 {
					for run := range 32 {
						for ttl := uint8(1); ttl <= 4; ttl++ {
							p := probe(0, ttl)
							p.src, p.sport, p.dport, p.id = router(4000+s), uint16(40000+1000*run), 53, uint16(ttl)
							if s == 0 {
								p.src = host
							}
							p.payload = zeroes(36 + run)
							c.send(p)
							c.raw(about(router(int(ttl)), exceeded, p))
						}
					}
				}
			}
			kind(c, n)
		}
	}
	ports := vary(func(p *packet, n int) { p.sport = uint16(1024 + n%60000) })
	return []drawn{
		{"closed port of DNS, many source ports", draws(portUnreachable, ports)},
		{"closed port, one flow", draws(portUnreachable, vary(func(*packet, int) {}))},
		{"closed port, one flow without IDs", draws(portUnreachable, vary(func(p *packet, n int) { p.id = 0; p.payload = []byte{byte(n >> 8), byte(n)} }))},
		{"the same datagram", draws(portUnreachable, vary(func(p *packet, n int) { p.id = 0 }))},
		{"port scan", draws(portUnreachable, vary(func(p *packet, n int) { p.dport = uint16(n) }))},
		{"many hosts", draws(portUnreachable, vary(func(p *packet, n int) { p.dst = router(n % 5000) }))},
		{"many hosts ask one", draws(portUnreachable, vary(func(p *packet, n int) { p.src = router(n % 5000) }))},
		{"closed port beside a trace", traced(1, draws(portUnreachable, ports))},
		{"closed port beside traces of others", traced(16, draws(portUnreachable, ports))},
		{"closed port beside a crowd of traces", crowded(draws(portUnreachable, ports))},
		{"closed port beside a crowd of others' traces", crowded(draws(portUnreachable, vary(func(p *packet, n int) { p.src = router(9); p.sport = uint16(n) })))},
		{"errors alone beside a crowd of traces", crowded(func(c *tape, n int) {
			p := ports(n)
			p.src = router(9)
			for range 2 {
				c.raw(about(p.dst, portUnreachable, p))
				c.wait(5 * time.Microsecond)
				p.id++
			}
		})},
		{"loop under many flows", draws(exceeded, ports)},
		{"loop under one flow", draws(exceeded, vary(func(*packet, int) {}))},
		{"loop under the traffic of many", draws(exceeded, vary(func(p *packet, n int) { p.src = router(n % 50) }))},
		{"loop that is limited, under many flows", limited(draws(exceeded, ports))},
		{"loop that is limited, under one flow", limited(draws(exceeded, vary(func(*packet, int) {})))},
		{"loop to many hosts", draws(exceeded, vary(func(p *packet, n int) { p.dst = router(n % 5000) }))},
		{"loop with many TTLs", draws(exceeded, vary(func(p *packet, n int) { p.ttl = uint8(1 + n%64); p.sport = uint16(n) }))},
		{"port scan with low TTLs", draws(portUnreachable, vary(func(p *packet, n int) { p.ttl = uint8(1 + n%32); p.dport = uint16(n) }))},
	}
}
