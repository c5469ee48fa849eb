package session_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
)

func TestFinderTakesNoOrdinaryTrafficForATrace(t *testing.T) {
	stream := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 64, sport: 5004, dport: 5004, payload: zeroes(160)}
	ping := packet{src: host, dst: server, protocol: layers.IPProtocolICMPv4, ttl: 64, sport: 77, payload: zeroes(56)}
	connection := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: 64, sport: 40000, dport: 443, seq: 1000, flags: "S"}
	query := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 64, sport: 50000, dport: 53, payload: zeroes(30)}

	for _, c := range []struct {
		name   string
		record func(*tape)
	}{
		{"a loop under a UDP stream", looped(stream, 100)},
		{"a loop under a ping", looped(ping, 100)},
		{"a loop under a SYN that goes again", func(c *tape) {
			for n := range 5 {
				connection.id = uint16(n)
				c.send(connection)
				c.wait(time.Millisecond)
				c.raw(about(router(3), exceeded, connection))
				c.wait(time.Second << n)
			}
		}},
		{"a loop under a ping that is not in the capture", func(c *tape) {
			for n := range 100 {
				ping.seq, ping.id = uint32(n), uint16(n)
				c.raw(about(router(3), exceeded, ping))
				c.wait(time.Second)
			}
		}},
		{"a loop under a connection that is not in the capture", func(c *tape) {
			for range 3 {
				c.raw(about(router(3), exceeded, connection))
				c.wait(time.Second)
			}
		}},
		{"a loop under answers of DNS that are not in the capture", func(c *tape) {
			answer := packet{src: server, dst: host, protocol: layers.IPProtocolUDP, ttl: 64, sport: 53, dport: 51234, payload: zeroes(90)}
			c.raw(about(router(3), exceeded, answer))
		}},
		{"a loop, seen on one of its links", func(c *tape) {
			for n := range 100 {
				stream.id = uint16(n)
				for ttl := uint8(62); ttl > 0; ttl -= 2 {
					stream.ttl = ttl
					c.wired(1, 2, stream.bytes())
					c.wait(100 * time.Microsecond)
					stream.ttl--
					c.wired(2, 1, stream.bytes())
					c.wait(100 * time.Microsecond)
				}
				c.wired(1, 9, about(router(3), exceeded, stream))
				c.wait(20 * time.Millisecond)
			}
		}},
		{"closed ports of DNS", func(c *tape) {
			for n := range 20 {
				query.sport, query.id = uint16(50000+n*7), uint16(n)
				c.send(query)
				c.wait(time.Millisecond)
				c.raw(about(server, portUnreachable, query))
			}
		}},
		{"closed ports of NetBIOS, about queries that are not in the capture", func(c *tape) {
			query.sport, query.dport = 137, 137
			for n := range 20 {
				query.id = uint16(n)
				c.raw(about(server, portUnreachable, query))
				c.wait(time.Second)
			}
		}},
		{"closed ports, of datagrams with TTL 1", func(c *tape) {
			for _, p := range []packet{
				{sport: 50000, dport: 1900},  // SSDP to one host
				{sport: 1900, dport: 33500},  // and its answer
				{sport: 5353, dport: 33600},  // mDNS's
				{sport: 520, dport: 33434},   // from RIP's port
				{sport: 50000, dport: 520},   // RIP
				{sport: 49152, dport: 3784},  // BFD
				{sport: 50000, dport: 33433}, // below those of traceroute
				{sport: 50000, dport: 34000}, // and above
				{sport: 50000, dport: 53},
				{sport: 32767, dport: 33434}, // from a port that systems don't give
			} {
				p.src, p.dst, p.protocol, p.ttl, p.payload = host, server, layers.IPProtocolUDP, 1, zeroes(40)
				c.send(p)
				c.wait(time.Millisecond)
				c.raw(about(server, portUnreachable, p))
			}
		}},
		{"a datagram to a port of traceroute with TTL 2", func(c *tape) {
			p := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 2, sport: 50000, dport: 33434, payload: zeroes(40)}
			c.send(p)
			c.raw(about(server, portUnreachable, p))
		}},
		{"a datagram to a port of traceroute with TTL 1, to which nobody says anything", func(c *tape) {
			c.send(packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 1, sport: 50000, dport: 33434, payload: zeroes(40)})
		}},
		{"a datagram to a port of traceroute with TTL 1, to multicast", func(c *tape) {
			p := packet{src: host, dst: netip.MustParseAddr("224.0.0.251"), protocol: layers.IPProtocolUDP, ttl: 1, sport: 50000, dport: 33434, payload: zeroes(40)}
			c.send(p)
			c.raw(about(server, portUnreachable, p))
		}},
		{"a stream with TTL 1 to a port of traceroute that is closed", func(c *tape) {
			p := stream
			p.ttl, p.sport, p.dport = 1, 50000, 33434
			for n := range 20 {
				p.id = uint16(n)
				c.send(p)
				c.wait(time.Millisecond)
				c.raw(about(server, portUnreachable, p))
				c.wait(20 * time.Millisecond)
			}
		}},
		{"OSPF and PIM with TTL 1", func(c *tape) {
			for _, protocol := range []layers.IPProtocol{89, 103} {
				p := packet{src: host, dst: server, protocol: protocol, ttl: 1, payload: zeroes(44)}
				for range 5 {
					c.send(p)
					c.raw(about(server, portUnreachable, p))
					c.wait(time.Second)
				}
			}
		}},
		{"BGP with TTL 1", func(c *tape) {
			p := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: 1, sport: 40000, dport: 179, seq: 1000, flags: "S"}
			answer := packet{src: server, dst: host, protocol: layers.IPProtocolTCP, ttl: 1, sport: 179, dport: 40000, seq: 5, ack: 1001, flags: "SA"}
			c.send(p, answer)
			for n := range 500 {
				p.flags, p.seq, p.ack, p.id = "A", uint32(1001+n), 6, uint16(n)
				answer.flags, answer.seq, answer.ack, answer.id = "A", 6, p.seq, uint16(n)
				c.wait(time.Second)
				c.send(p, answer)
			}
		}},
		{"BGP with TTL 1 to one who is farther away", func(c *tape) {
			p := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: 1, sport: 40000, dport: 179, seq: 1000, flags: "S"}
			for n := range 20 {
				p.id, p.sport, p.seq = uint16(n), uint16(40000+n/4), uint32(1000*(n/4))
				c.send(p)
				c.wait(time.Millisecond)
				c.raw(about(router(1), exceeded, p))
				c.wait(time.Second)
			}
		}},
		{"packets that come with low and changing TTLs", func(c *tape) {
			p := packet{src: server, dst: host, protocol: layers.IPProtocolUDP, sport: 443, dport: 50000, payload: zeroes(300)}
			for n := range 1000 {
				p.id, p.ttl = uint16(n), uint8(20+n*7%5)
				c.send(p)
				c.wait(10 * time.Millisecond)
			}
		}},
		{"multicast with all TTLs", func(c *tape) {
			for ttl := range uint8(32) {
				c.send(packet{src: host, dst: netip.MustParseAddr("239.1.2.3"), protocol: layers.IPProtocolUDP, ttl: ttl + 1, sport: 5000, dport: 5000})
				c.send(packet{src: host6, dst: netip.MustParseAddr("ff02::fb"), protocol: layers.IPProtocolUDP, ttl: ttl + 1, sport: 5353, dport: 5353})
				c.wait(time.Second)
			}
		}},
		{"broadcast", func(c *tape) {
			for ttl := range uint8(32) {
				c.send(packet{src: host, dst: netip.MustParseAddr("255.255.255.255"), protocol: layers.IPProtocolUDP, ttl: ttl + 1, sport: 68, dport: 67})
				c.wait(time.Second)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var recorded tape
			c.record(&recorded)
			for _, p := range find(recorded.frames) {
				t.Error(summary(p))
			}
		})
	}
}

// looped records packets that a router answers with time-exceeded, 20 a second.
func looped(p packet, times int) func(*tape) {
	return func(c *tape) {
		for n := range times {
			p.id, p.seq = uint16(n), uint32(n)
			c.send(p)
			c.wait(time.Millisecond)
			c.raw(about(router(3), exceeded, p))
			c.wait(49 * time.Millisecond)
		}
	}
}
