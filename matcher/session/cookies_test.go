package session_test

import (
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
)

// Where in an ICMP error over IPv4 the ID of a datagram is that it quotes, and the place
// of a cookie.
const (
	quotedID     = 20 + 8 + 4
	quotedCookie = 20 + 8 + 20 + 8 + 2
)

// crossed is a trace of five probes to hops that answer at once, or only when all have
// been sent, and in which the quotes of some show another payload.
func crossed(probe func(n int, ttl uint8) packet, late bool, wrong map[int]func(message []byte)) (found []*path.Path) {
	var c tape
	var replies [][]byte
	for n := 1; n <= 5; n++ {
		p := probe(n, uint8(n))
		c.send(p)
		c.wait(time.Millisecond)
		reply := about(router(n), exceeded, p)
		if change := wrong[n]; change != nil {
			change(reply)
		}
		if replies = append(replies, reply); !late {
			c.raw(reply)
			c.wait(time.Millisecond)
		}
	}
	if late {
		for _, reply := range replies {
			c.raw(reply)
			c.wait(time.Millisecond)
		}
	}
	return find(c.frames)
}

func otherCookie(message []byte) { message[quotedCookie] ^= 0xff }

// A reply with another cookie than the probe's is refused in anybody's capture of our
// traffic, as it is when we record it ourselves, even before it is known that payloads
// are cookies.
func TestAWrongCookieIsRefusedInACapture(t *testing.T) {
	echoes := func(n int, ttl uint8) packet {
		p := oneFlow(0)(n, ttl)
		p.protocol, p.dport, p.seq = layers.IPProtocolICMPv4, 0, uint32(n)
		return p
	}
	for name, probe := range map[string]func(n int, ttl uint8) packet{"UDP": oneFlow(100), "ICMP": echoes} {
		for wrong := 1; wrong <= 5; wrong++ {
			for _, late := range []bool{false, true} {
				for what, change := range map[string]func([]byte){
					"cookie":        otherCookie,
					"cookie and ID": func(m []byte) { otherCookie(m); m[quotedID]++ },
				} {
					if wrong < 3 && !late && what != "cookie" {
						continue // nothing says what payloads are, when it comes
					}
					found := crossed(probe, late, map[int]func([]byte){wrong: change})
					if len(found) != 1 {
						t.Fatalf("%s: %d traces", name, len(found))
					}
					p := found[0]
					if len(p.Probes) != 5 || p.Counters.Received != 4 || p.Probes[wrong-1].Reply != nil {
						t.Errorf("%s, another %s of probe %d, late: %v: %d probes, %+v", name, what, wrong, late, len(p.Probes), p.Counters)
					}
					if what == "cookie" && p.Counters.Foreign != 1 {
						t.Errorf("%s of probe %d: %d are foreign", name, wrong, p.Counters.Foreign)
					}
				}
			}
		}
	}
}

// The payload of other programs is no cookie: a router that quotes another is a hop.
func TestAnotherPayloadOfOtherProgramsIsNoWrongCookie(t *testing.T) {
	letters := func(n int, ttl uint8) packet {
		p := probe(n, ttl)
		p.payload = []byte("@ABCDEFGHIJKLMNOPQRSTUVWXYZ")
		return p
	}
	stamped := func(n int, ttl uint8) packet { // as BSD's traceroute: a number, and the time
		p := probe(n, ttl)
		p.payload = []byte{byte(n), ttl, 0, 0, 1, 2, byte(n * 77), byte(n), 9, 1, 2, 3}
		return p
	}
	twice := func(n int, ttl uint8) packet { // of one flow, with two payloads in turn
		p := oneFlow(0)(n, ttl)
		p.payload[5] = byte(min(n, 2))
		return p
	}
	for name, probe := range map[string]func(n int, ttl uint8) packet{"letters": letters, "stamped": stamped, "zeroes": probe, "one of them twice": twice} {
		for wrong := 1; wrong <= 2; wrong++ {
			found := crossed(probe, false, map[int]func([]byte){wrong: func(m []byte) { copy(m[quotedCookie:], "otherwise") }})
			if len(found) != 1 || found[0].Counters.Received != 5 || len(found[0].Probes) != 5 {
				t.Fatalf("%s, probe %d: %v", name, wrong, summaries(found))
			}
			if r := found[0].Probes[wrong-1].Reply; r == nil || r.From != router(wrong) || r.RTT != time.Millisecond || r.Late {
				t.Errorf("%s, probe %d: %+v", name, wrong, r)
			}
		}
	}
}

// Of one or two probes nobody knows what their payloads are.
func TestTheOnlyProbesOfATraceHaveNoCookies(t *testing.T) {
	for probes := 1; probes <= 2; probes++ {
		var c tape
		for n := 1; n <= probes; n++ {
			p := oneFlow(0)(n, uint8(n))
			c.send(p)
			c.wait(time.Millisecond)
			reply := about(router(n), exceeded, p)
			otherCookie(reply)
			c.raw(reply)
		}
		found := find(c.frames)
		if len(found) != 1 || found[0].Counters.Received != probes || len(found[0].Probes) != probes {
			t.Errorf("%d probes: %v", probes, summaries(found))
		}
	}
}
