package session_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
)

// On a router that holds back what it forwards, a capture has each probe twice: as it
// comes in, and with a TTL one less as it goes out, however much later. It is one
// trace, in whatever order the probes were sent, all at once.
func TestRouterThatDelaysSeesOneTrace(t *testing.T) {
	for name, nth := range map[string]func(n int, ttl uint8) packet{
		"ports that count": probe,
		"ports that count, without IDs": func(n int, ttl uint8) packet {
			p := probe(n, ttl)
			p.id, p.df = 0, true
			return p
		},
		"ports that count, over IPv6": func(n int, ttl uint8) packet {
			p := probe(n, ttl)
			p.src, p.dst = host6, server6
			return p
		},
		"all ports": func(n int, ttl uint8) packet {
			p := probe(n, ttl)
			p.sport = uint16(40000 + n*977%20000)
			return p
		},
		"one flow": func(n int, ttl uint8) packet {
			p := oneFlow(0)(n, ttl)
			p.id = uint16(500 + n)
			return p
		},
		"SYNs": func(n int, ttl uint8) packet {
			return packet{
				src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: ttl, id: uint16(500 + n*31),
				sport: uint16(40000 + n*977%20000), dport: 80, seq: uint32(n) * 1e6, flags: "S",
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, delay := range []time.Duration{100 * time.Microsecond, 10 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second} {
				for seed := range uint64(8) {
					apart := 50 * time.Microsecond
					if seed%2 == 1 {
						apart *= 10
					}
					got := find(onRouter(rand.New(rand.NewPCG(seed, 1)), apart, delay, nth))
					want := fmt.Sprintf("TTL 1-%d, %d sent, %[2]d received", onRouterHops, 3*onRouterHops)
					if len(got) != 1 || !got[0].Reached() || got[0].Counters.Sent != 3*onRouterHops || got[0].Counters.Received != 3*onRouterHops {
						t.Errorf("delayed by %v, seed %d: %q, want one with %s", delay, seed, summaries(got), want)
					}
				}
			}
		})
	}
}

const onRouterHops = 8

// onRouter is what the first router sees of three probes to each hop, which were sent
// so far apart and in any order: it passes on probes and replies after a delay.
func onRouter(random *rand.Rand, apart, delay time.Duration, nth func(n int, ttl uint8) packet) []frame.Frame {
	var c tape
	at := func(when time.Duration, from, to byte, ip []byte) {
		c.now = when
		c.wired(from, to, ip)
	}
	for n, place := range random.Perm(3 * onRouterHops) {
		p := nth(n, uint8(1+place%onRouterHops))
		now := time.Duration(n) * apart
		at(now, 1, 2, p.bytes())
		by := router(int(p.ttl))
		if p.src.Is6() {
			by = router6(int(p.ttl))
		}
		if p.ttl == 1 {
			at(now+20*time.Microsecond, 2, 1, about(by, exceeded, p))
			continue
		}
		passed := p
		passed.ttl--
		at(now+delay, 3, 4, passed.bytes())
		answer := about(by, exceeded, p)
		switch {
		case p.ttl == onRouterHops && p.protocol == layers.IPProtocolTCP:
			answer = packet{src: p.dst, dst: p.src, protocol: p.protocol, ttl: 60, sport: p.dport, dport: p.sport, ack: p.seq + 1, flags: "RA"}.bytes()
		case p.ttl == onRouterHops:
			answer = about(p.dst, portUnreachable, p)
		}
		back := now + delay + time.Duration(p.ttl)*time.Millisecond
		at(back, 4, 3, answer)
		at(back+delay, 2, 1, oneLess(answer))
	}
	return inOrder(c.frames)
}

// oneLess is an IP packet with a TTL that is one less. The header's checksum is
// nobody's concern.
func oneLess(ip []byte) []byte {
	ip = append([]byte{}, ip...)
	if ip[0]>>4 == 6 {
		ip[7]--
	} else {
		ip[8]--
	}
	return ip
}
