package simulate_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// TestReject lets the second router reject.
func TestReject(t *testing.T) {
	type r = topology.Reject
	tests := []struct {
		name      string
		reject    r
		ttl       uint8
		four, six string
		quoted    uint8
	}{
		{"prerouting refuses what would expire", r{Code: 13}, 2, "3/13", "1/1", 1},
		{"prerouting quotes as received", r{Code: 13, Hook: topology.Prerouting}, 9, "3/13", "1/1", 8},
		{"forward lets expire what expires", r{Code: 13, Hook: topology.Forward}, 2, "11/0", "3/0", 1},
		{"forward quotes decremented", r{Code: 13, Hook: topology.Forward}, 9, "3/13", "1/1", 7},
		{"net", r{Code: 0}, 9, "3/0", "1/0", 8},
		{"host", r{Code: 1}, 9, "3/1", "1/3", 8},
		{"protocol", r{Code: 2}, 9, "3/2", "4/1", 8},
		{"port", r{Code: 3}, 9, "3/3", "1/4", 8},
		{"too big", r{Code: 4}, 9, "3/4", "2/0", 8},
		{"source route", r{Code: 5}, 9, "3/5", "1/0", 8},
		{"net unknown", r{Code: 6}, 9, "3/6", "1/0", 8},
		{"host unknown", r{Code: 7}, 9, "3/7", "1/3", 8},
		{"isolated", r{Code: 8}, 9, "3/8", "1/0", 8},
		{"net prohibited", r{Code: 9}, 9, "3/9", "1/1", 8},
		{"host prohibited", r{Code: 10}, 9, "3/10", "1/1", 8},
		{"net for TOS", r{Code: 11}, 9, "3/11", "1/0", 8},
		{"host for TOS", r{Code: 12}, 9, "3/12", "1/3", 8},
		{"precedence", r{Code: 14}, 9, "3/14", "1/1", 8},
		{"precedence cut off", r{Code: 15}, 9, "3/15", "1/1", 8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				n := network(t, chain(func(c *topology.Topology) { c.Routers[1].Reject = &test.reject }))
				d := one(t, n, probe{v6: v6, ttl: test.ttl})
				want := reply{pick(v6, hops4, hops6)[1], pick(v6, test.four, test.six), 63}
				if diff := cmp.Diff(want, d.reply); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if got := quotedTTL(d.quote(t)); got != test.quoted {
					t.Errorf("quoted TTL %d, want %d", got, test.quoted)
				}
			})
		})
	}
}

func TestRejectAllowsTCPPorts(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) {
			c.Routers[1].Reject = &topology.Reject{Code: 10, AllowTCP: []uint16{443}}
		}))
		refused := reply{pick(v6, hops4, hops6)[1], pick(v6, "3/10", "1/1"), 63}
		syn := &layers.TCP{SYN: true}
		want := []reply{refused, {pick(v6, dest4, dest6), "RST ACK", 61}, refused, refused}
		got := carry(t, n, probe{v6: v6, tcp: syn, dst: 80}, probe{v6: v6, tcp: syn, dst: 443}, probe{v6: v6, dst: 443}, probe{v6: v6, echo: true})
		if diff := cmp.Diff(want, replies(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestMTU(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		c := chain(func(c *topology.Topology) {
			c.Links = []topology.Link{
				{Path: []string{"host", "r1", "r2"}},
				{Path: []string{"r2", "r3", "end"}, MTU: 1300},
			}
			c.Routers[1].Answer.Interface = &topology.Interface{Index: 1}
		})
		n := network(t, c)
		headers := pick(v6, 28, 48)
		fits := probe{v6: v6, dontFrag: true, size: 1300 - headers}
		long := probe{v6: v6, dontFrag: true, size: 1301 - headers}
		if d := one(t, n, fits); d.From != pick(v6, dest4, dest6) {
			t.Errorf("1300 bytes draw %+v", d.reply)
		}
		d := one(t, n, long)
		if diff := cmp.Diff(reply{pick(v6, hops4, hops6)[1], pick(v6, "3/4", "2/0"), 63}, d.reply); diff != "" {
			t.Errorf("1301 bytes (-want +got):\n%s", diff)
		}
		mtu := pick(v6, uint32(binary.BigEndian.Uint16(d.icmp[6:])), binary.BigEndian.Uint32(d.icmp[4:]))
		if mtu != 1300 || quotedTTL(d.quote(t)) != 63 {
			t.Errorf("MTU %d, quoted TTL %d", mtu, quotedTTL(d.quote(t)))
		}
		long.ttl = 2
		if d := one(t, n, long); d.What != pick(v6, "11/0", "3/0") {
			t.Errorf("what expires there draws %+v", d.reply)
		}
		long.ttl, long.dontFrag = 0, false
		if d := one(t, n, long); !v6 && d.From != dest4 {
			t.Errorf("what may be fragmented draws %+v", d.reply)
		}
	})
}

func TestZeroTTL(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) { c.Routers[1].ZeroTTL = true }))
		hops, exceeded := pick(v6, hops4, hops6), pick(v6, "11/0", "3/0")
		for ttl, want := range map[uint8]struct {
			reply
			quoted uint8
		}{
			1: {reply{hops[0], exceeded, 64}, 1},
			2: {reply{hops[2], exceeded, 62}, 0},
			3: {reply{hops[2], exceeded, 62}, 1},
			4: {reply{pick(v6, dest4, dest6), pick(v6, "3/3", "1/4"), 61}, 1},
		} {
			d := one(t, n, probe{v6: v6, ttl: ttl})
			if d.reply != want.reply || quotedTTL(d.quote(t)) != want.quoted {
				t.Errorf("TTL %d: %+v quoting %d, want %+v", ttl, d.reply, quotedTTL(d.quote(t)), want)
			}
		}
	})
}

func TestKeepTTL(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) { c.Routers[0].KeepTTL, c.Routers[1].KeepTTL = true, true }))
		want := []reply{
			{pick(v6, hops4, hops6)[2], pick(v6, "11/0", "3/0"), 64},
			{pick(v6, dest4, dest6), pick(v6, "3/3", "1/4"), 63},
		}
		if diff := cmp.Diff(want, replies(carry(t, n, probe{v6: v6, ttl: 1}, probe{v6: v6, ttl: 2}))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestRemarking(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) {
			c.Routers[0].SetDSCP = new(uint8(10))
			c.Routers[1].SetECN = new(uint8(0))
		}))
		tos := func(q []byte) uint8 { return pick(v6, q[1], q[0]<<4|q[1]>>4) }
		p := probe{v6: v6, tos: 46<<2 | 1}
		for ttl, want := range map[uint8]uint8{1: 46<<2 | 1, 2: 10<<2 | 1, 3: 10 << 2, 4: 10 << 2} {
			p.ttl = ttl
			d := one(t, n, p)
			if got := tos(d.quote(t)); got != want {
				t.Errorf("TTL %d: quoted TOS %#x, want %#x", ttl, got, want)
			}
			if ttl > 1 && d.tos>>2 != 10 {
				t.Errorf("TTL %d: the answer, which passes the first router too, has TOS %#x", ttl, d.tos)
			}
		}
	})
}

func TestNobodyThere(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(nil))
		d := one(t, n, probe{v6: v6, to: pick(v6, "203.0.113.9", "2001:db8:77::1")})
		if diff := cmp.Diff(reply{pick(v6, hops4, hops6)[0], pick(v6, "3/0", "1/0"), 64}, d.reply); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, to := range pick(v6, []string{"224.0.0.1", "255.255.255.255", "0.0.0.0", "169.254.1.1"}, []string{"ff02::1", "fe80::1", "::"}) {
			if back := carry(t, n, probe{v6: v6, to: to}); len(back) != 0 {
				t.Errorf("%s draws %+v", to, replies(back))
			}
		}
		if got := n.Stats().Unrouted; got != pick(v6, 5, 4) {
			t.Errorf("%d unrouted", got)
		}
	})
}

func TestGatewayIsTheFirstRouter(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		to := pick(v6, "192.0.2.1", "2001:db8::1")
		if d := one(t, network(t, chain(nil)), probe{v6: v6, to: to, echo: true}); d.From != to || d.TTL != 64 {
			t.Errorf("%+v", d.reply)
		}
	})
}

func TestNAT(t *testing.T) {
	const outer1, outer2 = "203.0.113.1", "203.0.113.2"
	inner := netip.MustParseAddr(host4).As4()
	tests := []struct {
		name  string
		p     probe
		check int // where the transport checksum is, in the quote; 0: nothing covers the addresses
	}{
		{"UDP", probe{}, 26},
		{"UDP without a checksum", probe{}, 0},
		{"TCP", probe{tcp: &layers.TCP{SYN: true}}, 36},
		{"ICMP", probe{echo: true}, 0},
	}
	for _, test := range tests {
		for _, keep := range []bool{false, true} {
			n := network(t, chain(func(c *topology.Topology) {
				c.Routers[0].NAT = &topology.NAT{Address: netip.MustParseAddr(outer1), KeepQuotedChecksum: keep}
				c.Routers[1].NAT = &topology.NAT{Address: netip.MustParseAddr(outer2), KeepQuotedChecksum: keep}
			}))
			for ttl := uint8(1); ttl <= 4; ttl++ {
				test.p.ttl = ttl
				sent := test.p.bytes(t)
				if test.name == "UDP without a checksum" {
					sent[26], sent[27] = 0, 0
				}
				for _, a := range n.Carry(0, sent, nil) {
					d := decode(t, a)
					if d.to != host4 {
						t.Errorf("%s: answer to %s", test.name, d.to)
					}
					if d.What != "11/0" && d.What != "3/3" {
						continue
					}
					q := d.quote(t)
					if [4]byte(q[12:16]) != inner || ones(q[:20]) != 0xffff {
						t.Errorf("%s: quote %x", test.name, q)
					}
					changed := test.check > 0 && keep && ttl > 1
					if got := string(q[20:]) != string(sent[20:]); got != changed {
						t.Errorf("%s, TTL %d, keeping %v: quote %x of %x", test.name, ttl, keep, q, sent)
					}
				}
			}
		}
	}
}

// TestNATKeepsQuotedChecksumOfTheOutside computes the checksum that the quoted
// datagram had outside, which is right there.
func TestNATKeepsQuotedChecksumOfTheOutside(t *testing.T) {
	n := network(t, chain(func(c *topology.Topology) {
		c.Routers[0].NAT = &topology.NAT{Address: netip.MustParseAddr("203.0.113.1"), KeepQuotedChecksum: true}
	}))
	q := one(t, n, probe{ttl: 2}).quote(t)
	outside := netip.MustParseAddr("203.0.113.1").As4()
	copy(q[12:], outside[:])
	pseudo := append(append([]byte{}, q[12:20]...), 0, 17, q[24], q[25])
	if got := ones(append(pseudo, q[20:]...)); got != 0xffff {
		t.Errorf("with the address outside the datagram sums to %#x", got)
	}
}
