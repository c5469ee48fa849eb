package session_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
)

// Where one run ends and another begins.

// nmapAt is nmap's probe with a TTL: its port is one of a block of 64, its
// sequence number and ID are at random.
func nmapAt(random *rand.Rand, base uint16) func(n int, ttl uint8) packet {
	turn := uint16(random.IntN(64))
	return func(n int, ttl uint8) packet {
		return packet{
			src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: ttl, id: uint16(random.Uint32()),
			sport: base + (uint16(n) ^ turn), dport: 80, seq: random.Uint32(), flags: "S",
		}
	}
}

// mtrSYN is mtr's TCP probe: from port 33000 on in each run.
func mtrSYN(random *rand.Rand) func(n int, ttl uint8) packet {
	return func(n int, ttl uint8) packet {
		return packet{
			src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: ttl, id: uint16(random.Uint32()), df: true,
			sport: 33000 + uint16(n), dport: 80, seq: random.Uint32(), flags: "S",
		}
	}
}

// oneFlow is a probe of ours: over one flow, with a cookie, and IDs that count from
// one at random, in rounds.
func oneFlow(from uint16) func(n int, ttl uint8) packet {
	return func(n int, ttl uint8) packet {
		return packet{
			src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: ttl, id: from + uint16(n/5*30+n%5),
			sport: 4444, dport: 33434, payload: []byte{0, 0, 2, 3, 4, byte(n), 6, 7, 8, 9},
		}
	}
}

// Runs of one program, one soon after the other, are as many traces.
func TestRunsInARow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const three = 3
	tests := map[string]struct {
		run  func(c *tape, nth int)
		want string
	}{
		"nmap, which takes ports from a block": {
			func(c *tape, nth int) { c.trace(5, nmapAt(random, uint16(20000+nth*7000))) },
			"TCP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
		},
		"mtr, which begins with the same port": {
			func(c *tape, nth int) {
				for round := range 2 {
					c.trace(5, func(n int, ttl uint8) packet { return mtrSYN(random)(5*round+n, ttl) })
				}
			},
			"TCP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 10 sent, 10 received, reached at 5",
		},
		"over the same flow, with IDs from elsewhere": {
			func(c *tape, nth int) {
				for round := range 2 {
					c.trace(5, func(n int, ttl uint8) packet { return oneFlow(uint16(1000+nth*20000))(5*round+n, ttl) })
				}
			},
			"UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 10 sent, 10 received, reached at 5",
		},
		"tracewire, which goes back and forth to find the MTU": {
			func(c *tape, nth int) {
				asked := map[uint8]int{}
				for n, ttl := range []uint8{1, 1, 2, 1, 2, 3, 2, 3, 3} {
					p := oneFlow(0)(n, ttl)
					p.id = uint16(65500 + nth*20000 + 30*asked[ttl] + int(ttl)) // beyond 65535, too
					asked[ttl]++
					c.send(p)
					c.raw(about(router(int(ttl)), exceeded, p))
				}
			},
			"UDP 192.0.2.10 -> 198.51.100.80: TTL 1-3, 9 sent, 9 received, not reached",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c tape
			for nth := range three {
				test.run(&c, nth)
				c.wait(600 * time.Millisecond)
			}
			got := summaries(find(c.frames))
			for i := range got {
				_, got[i], _ = strings.Cut(got[i], " ") // whatever program it looks like
			}
			if d := cmp.Diff(slices.Repeat([]string{test.want}, three), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// A probe with a TTL that is not low is known when what comes behind it has got so
// far.
func TestFarthestProbeMayBeTheFirst(t *testing.T) {
	var c tape
	last := oneFlow(0)(34, 34)
	c.send(last)
	for ttl := 1; ttl <= 33; ttl++ {
		p := oneFlow(0)(ttl, uint8(ttl))
		c.send(p)
		c.wait(time.Millisecond)
		c.raw(about(router(ttl), exceeded, p))
	}
	c.raw(about(server, portUnreachable, last))
	want := []string{"tracewire UDP 192.0.2.10 -> 198.51.100.80: TTL 1-34, 34 sent, 34 received, reached at 34"}
	if d := cmp.Diff(want, summaries(find(c.frames))); d != "" {
		t.Error(d)
	}
}

// A packet that goes round in a loop is no trace, however long that takes, and
// however often its sender repeats it.
func TestSlowLoopsAreNoTraces(t *testing.T) {
	for name, p := range map[string]packet{
		"ping": {src: host, dst: server, protocol: layers.IPProtocolICMPv4, id: 5, sport: 9, seq: 1, payload: zeroes(56)},
		"SYN":  {src: host, dst: server, protocol: layers.IPProtocolTCP, id: 5, sport: 50000, dport: 443, seq: 7, flags: "S"},
		"NTP":  {src: host, dst: server, protocol: layers.IPProtocolUDP, id: 5, sport: 50000, dport: 123, payload: zeroes(48)},
	} {
		t.Run(name, func(t *testing.T) {
			var frames []frame.Frame
			for again := range 4 {
				var c tape
				c.wait(time.Duration(again) * time.Second)
				p.id++
				for ttl := uint8(62); ttl > 0; ttl -= 2 {
					p.ttl = ttl
					c.send(p)
					c.wait(40 * time.Millisecond)
				}
				c.raw(about(router(1), exceeded, p))
				frames = append(frames, c.frames...)
			}
			if got := summaries(find(inOrder(frames))); len(got) > 0 {
				t.Errorf("found %v", got)
			}
		})
	}
}

// Without an ID, and where frames don't show by which way they came, only the order of
// TTLs tells a packet in a loop from probes.
func TestLoopsWithoutIDsAreNoTraces(t *testing.T) {
	for name, p := range map[string]packet{
		"ping": {src: host6, dst: server6, protocol: layers.IPProtocolICMPv6, sport: 9, seq: 1, payload: zeroes(56)},
		"NTP":  {src: host6, dst: server6, protocol: layers.IPProtocolUDP, sport: 50000, dport: 123, payload: zeroes(48)},
	} {
		for _, by := range []uint8{1, 2} {
			var c tape
			for ttl := uint8(32); ttl > by; ttl -= by {
				p.ttl = ttl
				c.send(p)
				c.wait(80 * time.Millisecond)
			}
			c.raw(about(router6(1), exceeded, p))
			if got := summaries(find(c.frames)); len(got) > 0 {
				t.Errorf("%s, %d routers: found %v", name, by, got)
			}
		}
	}
}

// A frame that is missing from a capture of one trace makes no second trace of it.
func TestMissingFrameMakesNoTrace(t *testing.T) {
	tried := 0
	for _, file := range captureFiles(t) {
		frames := framesOf(t, file)
		if len(frames) > 100 || len(find(frames)) != 1 {
			continue
		}
		for i := tried % 3; i < len(frames); i += 3 {
			tried++
			if got := find(slices.Delete(slices.Clone(frames), i, i+1)); len(got) > 1 {
				t.Errorf("%s without frame %d: %v", stem(file), i+1, summaries(got))
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d captures were tried", tried)
	}
}
