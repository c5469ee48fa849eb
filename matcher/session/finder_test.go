package session_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
)

// whole is the summary of a trace of mtr's probes to 5 hops.
const whole = "mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5"

func TestFinderFindsTracesInOddCaptures(t *testing.T) {
	for _, c := range []struct {
		name   string
		record func(*tape)
		want   []string
	}{
		{"a trace", func(c *tape) { c.trace(5, probe) }, []string{whole}},
		{"on the path", func(c *tape) {
			c.trace(5, probe)
			c.frames = onPath(c.frames)
		}, []string{whole}},
		{"on the host that probes, with directions", func(c *tape) {
			c.trace(5, probe)
			directed(c.frames, frame.Out, frame.In)
		}, []string{whole}},
		{"at the target, with directions", func(c *tape) {
			c.trace(5, probe)
			directed(c.frames, frame.In, frame.Out)
		}, []string{whole}},
		{"a probe to a neighbour", func(c *tape) { toNeighbour(c, 1) },
			[]string{"traceroute UDP 192.0.2.10 -> 192.0.2.1: TTL 1-1, 1 sent, 1 received, reached at 1"}},
		{"three probes to a neighbour", func(c *tape) { toNeighbour(c, 3) },
			[]string{"traceroute UDP 192.0.2.10 -> 192.0.2.1: TTL 1-1, 3 sent, 3 received, reached at 1"}},
		{"two probes to a neighbour, of which one is answered", func(c *tape) {
			toNeighbour(c, 2)
			c.frames = c.frames[:3]
		}, []string{"traceroute UDP 192.0.2.10 -> 192.0.2.1: TTL 1-1, 2 sent, 1 received, reached at 1"}},
		{"probes to a neighbour with two TTLs", func(c *tape) {
			toNeighbour(c, 2)
			c.frames[2].Data[8] = 2 // the header's checksum is nobody's concern
		}, []string{"traceroute UDP 192.0.2.10 -> 192.0.2.1: TTL 1-2, 2 sent, 2 received, reached at 1"}},
		{"a probe to a neighbour, and one to a port that is open", func(c *tape) {
			toNeighbour(c, 1)
			c.send(packet{
				src: host, dst: netip.MustParseAddr("192.0.2.1"), protocol: layers.IPProtocolUDP, ttl: 1, id: 9, df: true,
				sport: 60000, dport: 33900, payload: zeroes(100),
			})
		}, []string{"traceroute UDP 192.0.2.10 -> 192.0.2.1: TTL 1-1, 1 sent, 1 received, reached at 1"}},
		{"a probe to a neighbour, over IPv6", func(c *tape) {
			p := packet{src: host6, dst: router6(1), protocol: layers.IPProtocolUDP, ttl: 1, sport: 40000, dport: 33434, payload: zeroes(20)}
			c.send(p)
			c.raw(about(p.dst, portUnreachable, p))
		}, []string{"traceroute UDP 2001:db8::10 -> 2001:db8:1::1: TTL 1-1, 1 sent, 1 received, reached at 1"}},
		{"silent from hop 33 on", func(c *tape) {
			c.trace(40, probe)
			c.frames = append(c.frames[:64:64], without(c.frames[64:], 1)...)
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-40, 40 sent, 32 received, not reached"}},
		{"twice from the same port, over another link", func(c *tape) {
			for n := range 2 {
				var run tape
				run.trace(5, scamper)
				for _, f := range run.frames {
					c.now = f.Time.Sub(epoch) + time.Duration(n)*3*time.Second
					c.wired(byte(1+2*n), byte(2+2*n), f.Data)
				}
			}
		}, []string{
			"scamper UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
			"scamper UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
		}},
		{"like scamper, but with IDs from 5 on", func(c *tape) {
			c.trace(5, func(n int, ttl uint8) packet { return scamper(n+4, ttl) })
		}, []string{"? UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5"}},
		{"echoes, then with lower sequence numbers", func(c *tape) {
			for _, first := range []int{10, 3} {
				c.trace(5, func(n int, ttl uint8) packet {
					return packet{src: host, dst: server, protocol: layers.IPProtocolICMPv4, ttl: ttl, id: uint16(7000 * n), sport: 99, seq: uint32(first + n)}
				})
				c.wait(time.Second)
			}
		}, []string{
			"? ICMPv4 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
			"? ICMPv4 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
		}},
		{"mirrored in both directions", func(c *tape) {
			c.trace(5, probe)
			c.frames = again(c.frames, 5*time.Microsecond)
		}, []string{whole}},
		{"merged with itself", func(c *tape) {
			c.trace(5, probe)
			c.frames = again(c.frames, 0)
		}, []string{whole}},
		{"inside MPLS", func(c *tape) {
			c.trace(5, probe)
			c.frames = labelled(c.frames)
		}, []string{whole}},
		{"checksums left to the adapter", func(c *tape) { c.trace(5, offloaded(host, server, 7)) },
			[]string{"? UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5"}},
		{"checksums left to the adapter, over IPv6", func(c *tape) { c.trace(5, offloaded(host6, server6, 0)) },
			[]string{"? UDP 2001:db8::10 -> 2001:db8:3::80: TTL 1-5, 5 sent, 5 received, reached at 5"}},
		{"rounds", func(c *tape) {
			for round := range 3 {
				c.trace(5, func(n int, ttl uint8) packet { return probe(5*round+n, ttl) })
				c.wait(time.Second)
			}
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 15 sent, 15 received, reached at 5"}},
		{"twice from the same port", func(c *tape) {
			for range 2 {
				c.trace(5, scamper)
				c.wait(time.Second)
			}
		}, []string{
			"scamper UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
			"scamper UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5",
		}},
		{"from two hosts", func(c *tape) {
			var other tape
			other.wait(time.Millisecond / 2)
			c.trace(5, probe)
			other.trace(5, func(n int, ttl uint8) packet {
				p := probe(n, ttl)
				p.src = netip.MustParseAddr("192.0.2.11")
				return p
			})
			c.frames = inOrder(append(c.frames, other.frames...))
		}, []string{whole, "mtr UDP 192.0.2.11 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5"}},
		{"from the middle on", func(c *tape) {
			c.trace(5, probe)
			c.frames = c.frames[5:]
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 4-5, 2 sent, 3 received, reached at 5"}},
		{"up to the middle", func(c *tape) {
			c.trace(5, probe)
			c.frames = c.frames[:5]
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-3, 3 sent, 2 received, not reached"}},
		{"a pause of more than a minute", func(c *tape) {
			c.trace(5, probe)
			c.wait(61 * time.Second)
			c.trace(5, probe)
		}, []string{whole, whole}},
		{"the clock is set back by an hour", func(c *tape) {
			c.trace(5, probe)
			c.wait(-time.Hour)
			c.trace(5, probe)
		}, []string{whole, whole}},
		{"the clock goes a century ahead, and back", func(c *tape) {
			const century = 100 * 365 * 24 * time.Hour
			for _, d := range []time.Duration{century, -century, 0} {
				c.trace(5, probe)
				c.wait(d)
			}
		}, []string{whole, whole, whole}},
		{"a reply stamped before its probe", func(c *tape) {
			c.trace(5, probe)
			c.frames[3].Time = c.frames[2].Time.Add(-50 * time.Microsecond)
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5"}},
		{"64 hops", func(c *tape) { c.trace(64, probe) },
			[]string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-64, 64 sent, 64 received, reached at 64"}},
		{"from hop 40 on", func(c *tape) {
			c.trace(45, probe)
			c.frames = c.frames[2*39:]
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 40-45, 6 sent, 6 received, reached at 45"}},
		{"a late reply", func(c *tape) {
			c.trace(5, probe)
			late := c.frames[3]
			late.Time = epoch.Add(12 * time.Second)
			c.frames = append(slices.Delete(c.frames, 3, 4), late)
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 4 received, 1 late, reached at 5"}},
		{"a reply that comes twice", func(c *tape) {
			c.trace(5, probe)
			twice := c.frames[3]
			twice.Time = twice.Time.Add(3 * time.Millisecond)
			c.frames = slices.Insert(c.frames, 4, twice)
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, 1 twice, reached at 5"}},
		{"quotes with a translated source", func(c *tape) {
			for ttl := 1; ttl <= 5; ttl++ {
				p := probe(ttl, uint8(ttl))
				c.send(p)
				c.wait(time.Millisecond)
				translated := p
				translated.src = netip.MustParseAddr("203.0.113.9")
				answer := about(router(ttl), exceeded, translated)
				copy(answer[16:20], host.AsSlice())
				c.raw(answer)
			}
		}, []string{"mtr UDP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, not reached"}},
		{"behind a translator that renumbers IDs and leaves the checksum", func(c *tape) {
			c.trace(5, probe)
			c.quotes(func(n int, q []byte) {
				binary.BigEndian.PutUint16(q[4:], uint16(40000+3*n))
				sum := uint32(binary.BigEndian.Uint16(q[26:])) + 0xa4f6
				binary.BigEndian.PutUint16(q[26:], uint16(sum&0xffff+sum>>16))
			})
		}, []string{whole}},
		{"behind one that leaves nothing but the ports", func(c *tape) {
			c.trace(5, probe)
			c.quotes(func(n int, q []byte) {
				copy(q[4:], []byte{0x99, byte(n * 77)})
				copy(q[26:], []byte{byte(n * 91), 0x55})
			})
		}, []string{whole}},
		{"in fragments, with new IDs", func(c *tape) {
			c.trace(5, func(n int, ttl uint8) packet {
				p := probe(n, ttl)
				p.payload = zeroes(1472)
				return p
			})
			for _, f := range c.frames {
				if f.Data[9] == 17 {
					f.Data[6] |= 0x20 // more of them follow
					binary.BigEndian.PutUint16(f.Data[24:], 3008)
				}
			}
			c.quotes(func(n int, q []byte) {
				q[6] |= 0x20
				binary.BigEndian.PutUint16(q[4:], uint16(7000+n))
				binary.BigEndian.PutUint16(q[24:], 3008)
				q[26] ^= 0x5a
			})
		}, []string{whole}},
		{"SYNs that go again, with the same TTL and with another", func(c *tape) {
			for n, ttl := range []uint8{1, 2, 3, 4, 2, 9} {
				p := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: ttl, id: uint16(n), sport: 33000 + uint16(n), dport: 80, flags: "S"}
				if n >= 4 {
					p.sport = 33001
				}
				c.send(p)
				c.wait(time.Second)
			}
		}, []string{"? TCP 192.0.2.10 -> 198.51.100.80: TTL 1-9, 6 sent, 0 received, not reached"}},
		{"beside a connection to the same port", func(c *tape) {
			connection := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: 64, sport: 50123, dport: 80, seq: 9000, flags: "S"}
			answer := packet{src: server, dst: host, protocol: layers.IPProtocolTCP, ttl: 60, sport: 80, dport: 50123, seq: 5, ack: 9001, flags: "SA"}
			c.send(connection, answer)
			for ttl := 1; ttl <= 5; ttl++ {
				p := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: uint8(ttl), id: uint16(ttl), sport: uint16(33000 + ttl), dport: 80, seq: uint32(ttl * 1e6), flags: "S"}
				connection.flags, connection.seq, connection.id = "A", uint32(9000+ttl), uint16(777+ttl)
				answer.flags, answer.ack, answer.id = "A", connection.seq, uint16(ttl)
				c.send(p, connection, answer)
				c.wait(time.Millisecond)
				if ttl < 5 {
					c.raw(about(router(ttl), exceeded, p))
				} else {
					c.send(packet{src: server, dst: host, protocol: layers.IPProtocolTCP, ttl: 60, sport: 80, dport: p.sport, ack: p.seq + 1, flags: "SA"})
				}
			}
			connection.flags, answer.flags = "R", "R"
			c.send(connection, answer)
		}, []string{"hping3 TCP 192.0.2.10 -> 198.51.100.80: TTL 1-5, 5 sent, 5 received, reached at 5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var recorded tape
			c.record(&recorded)
			var got []string
			for _, p := range find(recorded.frames) {
				got = append(got, summary(p))
				checkRTTs(t, p)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// checkRTTs checks that each reply in time came after the millisecond that
// every router and target takes here, unless it is stamped before its probe.
func checkRTTs(t *testing.T, p *path.Path) {
	t.Helper()
	for _, probe := range p.Probes {
		if r := probe.Reply; r != nil && probe.TTL != 0 && !r.Late && r.Received.After(probe.Sent) && (!r.HasRTT || r.RTT != time.Millisecond) {
			t.Errorf("TTL %d: %v, %v", probe.TTL, r.RTT, r.HasRTT)
		}
	}
}

// toNeighbour records a traceroute to the next host: so many probes, each answered.
func toNeighbour(c *tape, probes int) {
	const letters = "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_"
	for n := range probes {
		p := packet{
			src: host, dst: netip.MustParseAddr("192.0.2.1"), protocol: layers.IPProtocolUDP, ttl: 1, id: uint16(5000 + 7*n),
			sport: uint16(40000 + 977*n), dport: uint16(33434 + n), payload: []byte(letters),
		}
		c.send(p)
		c.wait(time.Millisecond)
		c.raw(about(p.dst, portUnreachable, p))
	}
}

// scamper is a probe as scamper sends it over IPv4, the nth.
func scamper(n int, ttl uint8) packet {
	return packet{
		src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: ttl, id: uint16(n), df: true,
		sport: 0x8123, dport: 33435, payload: []byte{0, byte(n), 15: 0},
	}
}

// offloaded are probes of one flow that differ in their payload alone.
func offloaded(src, dst netip.Addr, id uint16) func(int, uint8) packet {
	return func(n int, ttl uint8) packet {
		return packet{
			src: src, dst: dst, protocol: layers.IPProtocolUDP, ttl: ttl, id: id, sport: 4321, dport: 9999,
			payload: []byte{0, byte(n), 19: 0}, offload: true,
		}
	}
}

// directed gives the probes and the replies of a tape directions.
func directed(frames []frame.Frame, probes, replies frame.Direction) {
	for i := range frames {
		if frames[i].Direction = replies; i%2 == 0 {
			frames[i].Direction = probes
		}
	}
}

// onPath is what a router that forwards the frames sees, of each the second with
// a TTL that is one less, 20 µs later.
func onPath(frames []frame.Frame) (seen []frame.Frame) {
	var c tape
	for _, f := range frames {
		c.now = f.Time.Sub(epoch)
		c.wired(1, 2, f.Data)
		c.wait(20 * time.Microsecond)
		ip := slices.Clone(f.Data)
		ip[8]-- // the header's checksum is nobody's concern
		c.wired(3, 4, ip)
	}
	return c.frames
}

// again is each frame twice.
func again(frames []frame.Frame, after time.Duration) (seen []frame.Frame) {
	for _, f := range frames {
		second := f
		second.Time = f.Time.Add(after)
		seen = append(seen, f, second)
	}
	return seen
}

// labelled is the frames with two MPLS labels before the IP header (RFC 3032).
func labelled(frames []frame.Frame) []frame.Frame {
	var c tape
	for _, f := range frames {
		c.now = f.Time.Sub(epoch)
		header := []byte{5: 2, 11: 1, 12: 0x88, 13: 0x47, 14: 0x01, 16: 0x00, 17: 64, 18: 0x02, 20: 0x01, 21: 64}
		b := append(header, f.Data...)
		c.frames = append(c.frames, frame.Frame{Time: epoch.Add(c.now), Data: b, Length: len(b), Link: frame.Ethernet})
	}
	return c.frames
}

// without is the frames except every second one, beginning with the nth.
func without(frames []frame.Frame, nth int) (left []frame.Frame) {
	for i, f := range frames {
		if i%2 != nth%2 {
			left = append(left, f)
		}
	}
	return left
}

func inOrder(frames []frame.Frame) []frame.Frame {
	slices.SortStableFunc(frames, func(a, b frame.Frame) int { return a.Time.Compare(b.Time) })
	return frames
}
