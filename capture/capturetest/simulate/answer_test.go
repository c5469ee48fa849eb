package simulate_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

func TestEveryHopAnswers(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		hops, exceeded := pick(v6, hops4, hops6), pick(v6, "11/0", "3/0")
		n := network(t, chain(nil))
		for i, hop := range hops {
			d := one(t, n, probe{v6: v6, ttl: uint8(i + 1)})
			if diff := cmp.Diff(reply{hop, exceeded, uint8(64 - i)}, d.reply); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if q := d.quote(t); quotedTTL(q) != 1 || len(q) != len(probe{v6: v6}.bytes(t)) {
				t.Errorf("hop %d quotes %x", i+1, q)
			}
			if want := 2 * ms * time.Duration(i+1); d.at != want || d.to != pick(v6, host4, host6) {
				t.Errorf("hop %d: arrives at %v after %v, want %v", i+1, d.to, d.at, want)
			}
		}
		for _, ttl := range []uint8{4, 9} {
			d := one(t, n, probe{v6: v6, ttl: ttl})
			want := reply{pick(v6, dest4, dest6), pick(v6, "3/3", "1/4"), 61}
			if diff := cmp.Diff(want, d.reply); diff != "" || quotedTTL(d.quote(t)) != ttl-3 {
				t.Errorf("quoted TTL %d; (-want +got):\n%s", quotedTTL(d.quote(t)), diff)
			}
		}
	})
}

// TestAnswer bends the second router's answer, and lets a probe expire there.
func TestAnswer(t *testing.T) {
	other4, other6 := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:9::9")
	tests := []struct {
		name   string
		answer topology.Answer
		four   []reply
		six    []reply
		at     time.Duration
	}{
		{"nothing", topology.Answer{}, []reply{{hops4[1], "11/0", 63}}, []reply{{hops6[1], "3/0", 63}}, 4 * ms},
		{"silent", topology.Answer{Silent: true}, nil, nil, 0},
		{"slow", topology.Answer{Delay: topology.Duration(5 * ms)}, []reply{{hops4[1], "11/0", 63}}, []reply{{hops6[1], "3/0", 63}}, 9 * ms},
		{"TTL 255", topology.Answer{TTL: 255}, []reply{{hops4[1], "11/0", 254}}, []reply{{hops6[1], "3/0", 254}}, 4 * ms},
		{"a longer way back", topology.Answer{TTL: 128, ReturnHops: 10}, []reply{{hops4[1], "11/0", 117}}, []reply{{hops6[1], "3/0", 117}}, 4 * ms},
		{"a shorter way back", topology.Answer{ReturnHops: -1}, []reply{{hops4[1], "11/0", 64}}, []reply{{hops6[1], "3/0", 64}}, 4 * ms},
		{"another address", topology.Answer{As: other4}, []reply{{"203.0.113.9", "11/0", 63}}, []reply{{hops6[1], "3/0", 63}}, 4 * ms},
		{"another IPv6 address", topology.Answer{As: other6}, []reply{{hops4[1], "11/0", 63}}, []reply{{"2001:db8:9::9", "3/0", 63}}, 4 * ms},
		{"in the destination's name", topology.Answer{AsDestination: true}, []reply{{dest4, "11/0", 63}}, []reply{{dest6, "3/0", 63}}, 4 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				n := network(t, chain(func(c *topology.Topology) { c.Routers[1].Answer = test.answer }))
				back := carry(t, n, probe{v6: v6, ttl: 2})
				if diff := cmp.Diff(pick(v6, test.four, test.six), replies(back)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				for _, d := range back {
					if d.at != test.at {
						t.Errorf("after %v, want %v", d.at, test.at)
					}
				}
			})
		})
	}
}

func TestARouterWithoutAnAddressOfTheFamilyIsSilent(t *testing.T) {
	n := network(t, chain(func(c *topology.Topology) { c.Routers[1].Addresses = c.Routers[1].Addresses[:1] }))
	if back := carry(t, n, probe{v6: true, ttl: 2}); len(back) != 0 {
		t.Errorf("answers %+v", back)
	}
	if got := n.Stats().Nodes[2]; got != (simulate.NodeStats{Name: "r2", Received: 1, Silent: 1}) {
		t.Errorf("stats %+v", got)
	}
}

func TestLimitCountsByTheTimeAtTheNode(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) { c.Routers[1].Answer.Limit = topology.Limit{Rate: 10, Burst: 3} }))
		send := func(at time.Duration, ttl uint8) int {
			return len(n.Carry(at, probe{v6: v6, ttl: ttl}.bytes(t), nil))
		}
		var got []int
		for i := range 5 {
			got = append(got, send(time.Duration(i), 2))
		}
		for _, at := range []time.Duration{90, 105, 150, 310, 311, 312} {
			got = append(got, send(at*ms, 2))
		}
		want := []int{1, 1, 1, 0, 0 /* 90 ms */, 0, 1, 0 /* 310 ms */, 1, 1, 0}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := send(312*ms, 1); n != 1 {
			t.Error("another router's limit")
		}
		if got := n.Stats().Nodes[2].Limited; got != 5 {
			t.Errorf("%d were limited, want 5", got)
		}
	})
}

func TestLimitIsOfErrorsOnly(t *testing.T) {
	n := network(t, chain(func(c *topology.Topology) { c.Destinations[0].Answer.Limit = topology.Limit{Burst: 1} }))
	back := carry(t, n, probe{echo: true}, probe{echo: true}, probe{}, probe{}, probe{echo: true})
	want := []reply{{dest4, "0/0", 61}, {dest4, "0/0", 61}, {dest4, "3/3", 61}, {dest4, "0/0", 61}}
	if diff := cmp.Diff(want, replies(back)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIDsOfAnswersCountUp(t *testing.T) {
	n := network(t, chain(nil))
	back := carry(t, n, probe{ttl: 1}, probe{ttl: 2}, probe{ttl: 1}, probe{ttl: 1})
	if a, b := back[2].id-back[0].id, back[3].id-back[2].id; a != 1 || b != 1 || back[1].id == back[0].id {
		t.Errorf("IDs %d, %d (of another router), %d, %d", back[0].id, back[1].id, back[2].id, back[3].id)
	}
}

func TestWrongLength(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) { c.Routers[0].Answer.WrongLength = true }))
		a := n.Carry(0, probe{v6: v6, ttl: 1}.bytes(t), nil)[0].IP
		at, header := pick(v6, 2, 4), pick(v6, 20, 0)
		if got := int(binary.BigEndian.Uint16(a[at:])); got != header+16 {
			t.Errorf("length %d, want %d", got, header+16)
		}
		binary.BigEndian.PutUint16(a[at:], uint16(len(a)-pick(v6, 0, 40)))
		if !v6 {
			a[10], a[11] = 0, 0
			binary.BigEndian.PutUint16(a[10:], ^ones(a[:20]))
		}
		decode(t, simulate.Arrival{IP: a}) // all else is right
		if b := n.Carry(0, probe{v6: v6, ttl: 1, to: pick(v6, hops4[0], hops6[0]), echo: true}.bytes(t), nil); len(b) != 1 {
			t.Fatal("no echo reply")
		} else {
			decode(t, b[0])
		}
	})
}

// TestQuote bends the third router's quotes.
func TestQuote(t *testing.T) {
	type q = topology.Quote
	tests := []struct {
		name   string
		quote  q
		ttl    uint8     // of the quote
		length [2][2]int // IPv4 and IPv6, of a probe with 32 and one with 1400 bytes of data
		id     uint16
	}{
		{"by the RFCs", q{}, 1, [2][2]int{{60, 548}, {80, 1232}}, 0x1234},
		{"8 bytes", q{Length: 8}, 1, [2][2]int{{8, 8}, {8, 8}}, 0x1234},
		{"28 bytes", q{Length: 28}, 1, [2][2]int{{28, 28}, {48, 48}}, 0x1234},
		{"100 bytes", q{Length: 100}, 1, [2][2]int{{60, 100}, {80, 100}}, 0x1234},
		{"everything", q{Length: -1}, 1, [2][2]int{{60, 1428}, {80, 1448}}, 0x1234},
		{"TTL decremented", q{TTL: topology.TTLDecremented}, 0, [2][2]int{{60, 548}, {80, 1232}}, 0x1234},
		{"TTL received", q{TTL: topology.TTLReceived}, 1, [2][2]int{{60, 548}, {80, 1232}}, 0x1234},
		{"TTL restored", q{TTL: topology.TTLSent}, 3, [2][2]int{{60, 548}, {80, 1232}}, 0x1234},
		{"TTL of a tunnel", q{TTL: topology.TTLValue, TTLValue: 7}, 7, [2][2]int{{60, 548}, {80, 1232}}, 0x1234},
		{"ID swapped", q{ID: topology.IDSwapped}, 1, [2][2]int{{60, 548}, {80, 1232}}, 0x3412},
		{"ID zero", q{ID: topology.IDZero}, 1, [2][2]int{{60, 548}, {80, 1232}}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families(t, func(t *testing.T, v6 bool) {
				n := network(t, chain(func(c *topology.Topology) { c.Routers[2].Answer.Quote = test.quote }))
				for i, size := range []int{32, 1400} {
					p := probe{v6: v6, ttl: 3, size: size, id: 0x1234, tos: 0x28}
					sent := p.bytes(t)
					got := one(t, n, p).quote(t)
					want := bytes.Clone(sent)
					if v6 {
						want[7] = test.ttl
					} else {
						want[8], want[4], want[5] = test.ttl, byte(test.id>>8), byte(test.id)
						want[10], want[11] = 0, 0
						binary.BigEndian.PutUint16(want[10:], ^ones(want[:20]))
					}
					if want = want[:test.length[pick(v6, 0, 1)][i]]; !bytes.Equal(got, want) {
						t.Errorf("%d bytes: quote\n%x, want\n%x", size, got, want)
					}
				}
			})
		})
	}
}

func TestAQuoteOfEverythingFitsTheWayBack(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		n := network(t, chain(func(c *topology.Topology) {
			c.Routers[2].Answer.Quote.Length = -1
			c.Links[0].MTU = 1400
		}))
		p := probe{v6: v6, ttl: 3, size: 1400 - pick(v6, 28, 48)}
		if got := len(one(t, n, p).quote(t)); got != 1400-pick(v6, 28, 48) {
			t.Errorf("quote of %d bytes", got)
		}
	})
}

func TestErrorsKeepTheTypeOfService(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		if got, want := one(t, network(t, chain(nil)), probe{v6: v6, ttl: 2, tos: 0x28}).tos, pick(v6, uint8(0xc8), 0); got != want {
			t.Errorf("TOS %#x, want %#x", got, want)
		}
	}
}

func TestOptionsAreQuoted(t *testing.T) {
	ip := probe{ttl: 2}.bytes(t)
	ip = append(append(bytes.Clone(ip[:20]), 1, 1, 1, 0), ip[20:]...)
	ip[0], ip[3] = 0x46, ip[3]+4
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^ones(ip[:24]))
	back := network(t, chain(nil)).Carry(0, ip, nil)
	if len(back) != 1 {
		t.Fatal(back)
	}
	d := decode(t, back[0])
	q := d.quote(t)
	if len(q) != len(ip) || ones(q[:24]) != 0xffff || !bytes.Equal(q[20:], ip[20:]) {
		t.Errorf("quote %x of %x", q, ip)
	}
}
