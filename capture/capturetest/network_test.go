package capturetest_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
)

func TestEveryHopAnswersAsLinuxDoes(t *testing.T) {
	const ms = time.Millisecond
	want := map[uint8]struct {
		reply
		RTT time.Duration
	}{
		1: {reply{hop1, 11, 0, 64, 1}, 2 * ms},
		2: {reply{hop2, 11, 0, 63, 1}, 4 * ms},
		3: {reply{hop3, 11, 0, 62, 1}, 6 * ms},
		4: {reply{dest, 3, 3, 61, 1}, 8 * ms},
		9: {reply{dest, 3, 3, 61, 6}, 8 * ms},
	}
	for ttl, want := range want {
		synctest.Test(t, func(t *testing.T) {
			_, c := connect(t, chain(), capturetest.Host{})
			sent := inject(t, c, probe(ttl))
			frames := capture(t, c, time.Second)
			if len(frames) != 2 || frames[0].Direction != frame.Out || frames[1].Direction != frame.In {
				t.Fatalf("ttl %d: captured %v", ttl, frames)
			}
			if !bytes.Equal(frames[0].Data, c.Outbound(sent)) {
				t.Errorf("ttl %d: the copy differs from what was sent", ttl)
			}
			got, quote := decode(t, frames[1])
			if diff := cmp.Diff(want.reply, got); diff != "" {
				t.Errorf("ttl %d (-want +got):\n%s", ttl, diff)
			}
			if rtt := frames[1].Time.Sub(frames[0].Time); rtt != want.RTT {
				t.Errorf("ttl %d: RTT %v, want %v", ttl, rtt, want.RTT)
			}
			if wantQuote := capturetest.WithTTL(sent, want.QuotedTTL); !bytes.Equal(quote, wantQuote) {
				t.Errorf("ttl %d: quote\n%x, want\n%x", ttl, quote, wantQuote)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	long := probe(3)
	long.Payload = bytes.Repeat([]byte{7}, 1400)
	tests := []struct {
		name   string
		quote  capturetest.Quote
		probe  capturetest.UDP
		reject *capturetest.Reject
		length int
		ttl    uint8
		id     uint16
		tos    uint8
	}{
		{name: "zero value of a short probe", probe: probe(3), length: 60, ttl: 1, id: 0x1234},
		{name: "zero value of a long probe", probe: long, length: 548, ttl: 1, id: 0x1234},
		{name: "eight bytes of transport", quote: capturetest.Quote{Length: capturetest.QuoteRFC792}, probe: long, length: 28, ttl: 1, id: 0x1234},
		{name: "28 bytes", quote: capturetest.Quote{Length: 28}, probe: long, length: 28, ttl: 1, id: 0x1234},
		{name: "128 bytes", quote: capturetest.Quote{Length: 128}, probe: long, length: 128, ttl: 1, id: 0x1234},
		{name: "128 bytes of a short probe", quote: capturetest.Quote{Length: 128}, probe: probe(3), length: 60, ttl: 1, id: 0x1234},
		{name: "full", quote: capturetest.Quote{Length: capturetest.QuoteFull}, probe: long, length: 1428, ttl: 1, id: 0x1234},
		{name: "TTL decremented", quote: capturetest.Quote{TTL: capturetest.QuoteTTLDecremented}, probe: probe(3), length: 60, ttl: 0, id: 0x1234},
		{name: "TTL restored", quote: capturetest.Quote{TTL: capturetest.QuoteTTLSent}, probe: probe(3), length: 60, ttl: 3, id: 0x1234},
		{name: "TTL as received though rejected in forward", quote: capturetest.Quote{TTL: capturetest.QuoteTTLReceived}, reject: &capturetest.Reject{Code: 13, Hook: capturetest.Forward}, probe: probe(7), length: 60, ttl: 5, id: 0x1234},
		{name: "ID swapped", quote: capturetest.Quote{ID: capturetest.QuoteIDSwapped}, probe: probe(3), length: 60, ttl: 1, id: 0x3412},
		{name: "ID zero", quote: capturetest.Quote{ID: capturetest.QuoteIDZero}, probe: probe(3), length: 60, ttl: 1},
		{name: "TOS rewritten", quote: capturetest.Quote{TOS: new(uint8(0x28))}, probe: probe(3), length: 60, ttl: 1, id: 0x1234, tos: 0x28},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topology := chain()
				topology.Routers[2].Quote = test.quote
				topology.Routers[2].Reject = test.reject
				_, c := connect(t, topology, capturetest.Host{NoCopies: true})
				sent := inject(t, c, test.probe)
				frames := capture(t, c, time.Second)
				if len(frames) != 1 {
					t.Fatalf("captured %v", frames)
				}
				_, quote := decode(t, frames[0])
				want := slices.Clone(sent[:test.length])
				want[8], want[4], want[5], want[1] = test.ttl, byte(test.id>>8), byte(test.id), test.tos
				want[10], want[11] = quote[10], quote[11] // decode has checked it
				if !bytes.Equal(quote, want) {
					t.Errorf("quote\n%x, want\n%x", quote, want)
				}
			})
		})
	}
}

func TestEditChangesTheMessageBeforeItsChecksum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topology := chain()
		topology.Routers[0].Quote.Edit = func(message []byte) []byte {
			message[2], message[5] = 0xff, 17
			return append(message, "extension"...)
		}
		_, c := connect(t, topology, capturetest.Host{NoCopies: true})
		sent := inject(t, c, probe(1))
		f := capture(t, c, time.Second)[0]
		_, quote := decode(t, f)
		if want := append(sent, "extension"...); !bytes.Equal(quote, want) {
			t.Errorf("quote %x, want %x", quote, want)
		}
		if got := f.Data[14+20+5]; got != 17 {
			t.Errorf("length field %d, want 17", got)
		}
	})
}

func TestReject(t *testing.T) {
	tests := []struct {
		name string
		hook capturetest.Hook
		ttl  uint8
		want reply
	}{
		{"prerouting refuses what would expire", capturetest.Prerouting, 2, reply{hop2, 3, 13, 63, 1}},
		{"prerouting quotes the TTL as received", capturetest.Prerouting, 5, reply{hop2, 3, 13, 63, 4}},
		{"forward lets expire what expires", capturetest.Forward, 2, reply{hop2, 11, 0, 63, 1}},
		{"forward quotes the TTL decremented", capturetest.Forward, 5, reply{hop2, 3, 13, 63, 3}},
		{"routers before it are not affected", capturetest.Prerouting, 1, reply{hop1, 11, 0, 64, 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topology := chain()
				topology.Routers[1].Reject = &capturetest.Reject{Code: 13, Hook: test.hook}
				_, c := connect(t, topology, capturetest.Host{NoCopies: true})
				inject(t, c, probe(test.ttl))
				got, _ := decode(t, capture(t, c, time.Second)[0])
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestLimit sends probes with the TTLs 2, 3, 4, 5, 6 through a router that
// rejects them all.
func TestLimit(t *testing.T) {
	tests := []struct {
		name  string
		limit capturetest.Limit
		want  []uint8 // quoted TTLs of the answers, one less than sent
	}{
		{"none", capturetest.Limit{}, []uint8{1, 2, 3, 4, 5}},
		{"first two unanswered", capturetest.Limit{SkipFirst: 2}, []uint8{3, 4, 5}},
		{"every second unanswered", capturetest.Limit{SkipEvery: 2}, []uint8{1, 3, 5}},
		{"every one unanswered", capturetest.Limit{SkipEvery: 1}, nil},
		{"at most two answers", capturetest.Limit{AtMost: 2}, []uint8{1, 2}},
		{"only the TTL 5 probe", capturetest.Limit{OnlyTTL: []uint8{5}}, []uint8{4}},
		{"two limits", capturetest.Limit{SkipFirst: 1, AtMost: 2}, []uint8{2, 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topology := chain()
				topology.Routers[1].Reject = &capturetest.Reject{Code: 10}
				topology.Routers[1].Reply.Limit = test.limit
				n, c := connect(t, topology, capturetest.Host{NoCopies: true})
				for ttl := range uint8(5) {
					inject(t, c, probe(ttl+2))
				}
				var got []uint8
				for _, f := range capture(t, c, time.Second) {
					r, _ := decode(t, f)
					got = append(got, r.QuotedTTL)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("quoted TTLs (-want +got):\n%s", diff)
				}
				want := capturetest.NodeStats{Received: 5, Due: 5, Answered: len(test.want)}
				if got := n.Stats().Routers[1]; got != want {
					t.Errorf("stats %+v, want %+v", got, want)
				}
			})
		})
	}
}

func TestSilentRouterForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topology := chain()
		topology.Routers[1].Silent = true
		n, c := connect(t, topology, capturetest.Host{NoCopies: true})
		inject(t, c, probe(2))
		inject(t, c, probe(3))
		frames := capture(t, c, time.Second)
		if len(frames) != 1 {
			t.Fatalf("captured %v", frames)
		}
		if got, _ := decode(t, frames[0]); got.From != hop3 {
			t.Errorf("answer from %s, want %s", got.From, hop3)
		}
		want := capturetest.Stats{
			Routers:     []capturetest.NodeStats{{Received: 2}, {Received: 2}, {Received: 1, Due: 1, Answered: 1}},
			Destination: capturetest.NodeStats{},
		}
		if diff := cmp.Diff(want, n.Stats()); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

func TestReplyTimes(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name  string
		reply capturetest.Reply
		want  []time.Duration // arrivals after three probes were sent at once
	}{
		{"links only", capturetest.Reply{}, []time.Duration{4 * ms, 4 * ms, 4 * ms}},
		{"slow to answer", capturetest.Reply{Delay: 3 * ms}, []time.Duration{7 * ms, 7 * ms, 7 * ms}},
		{"second one late", capturetest.Reply{Late: map[int]time.Duration{2: 6 * time.Second}}, []time.Duration{4 * ms, 4 * ms, 6004 * ms}},
		{
			"copies", capturetest.Reply{Copies: 2, Spacing: 5 * ms, Limit: capturetest.Limit{AtMost: 1}},
			[]time.Duration{4 * ms, 9 * ms, 14 * ms},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topology := chain()
				topology.Routers[1].Reply = test.reply
				_, c := connect(t, topology, capturetest.Host{NoCopies: true})
				sent := time.Now()
				for range 3 {
					inject(t, c, probe(2))
				}
				var got []time.Duration
				for _, f := range capture(t, c, time.Minute) {
					decode(t, f)
					got = append(got, f.Time.Sub(sent))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReplyHeader(t *testing.T) {
	tests := []struct {
		name   string
		router capturetest.Router
		want   []reply
	}{
		{
			"addresses in turn", capturetest.Router{Addrs: capturetest.Addrs(hop2, "10.0.4.1")},
			[]reply{{hop2, 11, 0, 63, 1}, {"10.0.4.1", 11, 0, 63, 1}, {hop2, 11, 0, 63, 1}},
		},
		{
			"initial TTL 255",
			capturetest.Router{Addrs: capturetest.Addrs(hop2), Reply: capturetest.Reply{TTL: 255}},
			[]reply{{hop2, 11, 0, 254, 1}, {hop2, 11, 0, 254, 1}, {hop2, 11, 0, 254, 1}},
		},
		{
			"initial TTL too small for the way back",
			capturetest.Router{Addrs: capturetest.Addrs(hop2), Reply: capturetest.Reply{TTL: 1}}, nil,
		},
		{
			"in the destination's name, as behind a DNAT",
			capturetest.Router{Reply: capturetest.Reply{From: netip.MustParseAddr(dest)}},
			[]reply{{dest, 11, 0, 63, 1}, {dest, 11, 0, 63, 1}, {dest, 11, 0, 63, 1}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topology := chain()
				topology.Routers[1] = test.router
				_, c := connect(t, topology, capturetest.Host{NoCopies: true})
				for range 3 {
					inject(t, c, probe(2))
				}
				var got []reply
				for _, f := range capture(t, c, time.Second) {
					r, _ := decode(t, f)
					got = append(got, r)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestDestination(t *testing.T) {
	at := func(addr string) capturetest.UDP {
		p := probe(30)
		p.To = netip.AddrPortFrom(netip.MustParseAddr(addr), dstPort)
		return p
	}
	tests := []struct {
		name   string
		answer capturetest.Answer
		probe  capturetest.UDP
		want   []reply
		data   string // payload of a UDP answer
	}{
		{name: "unreachable", probe: at(dest), want: []reply{{dest, 3, 3, 61, 27}}},
		{name: "echo", answer: capturetest.AnswerEcho, probe: at(dest), want: []reply{{From: dest, TTL: 61}}, data: string(probe(1).Payload)},
		{name: "payload", answer: capturetest.AnswerPayload, probe: at(dest), want: []reply{{From: dest, TTL: 61}}, data: "hello"},
		{name: "nothing", answer: capturetest.AnswerNothing, probe: at(dest)},
		{name: "a router is one too", answer: capturetest.AnswerNothing, probe: at(hop2), want: []reply{{hop2, 3, 3, 63, 29}}},
		{name: "nobody there", probe: at("203.0.113.9")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topology := chain()
				topology.Destination.Answer = test.answer
				topology.Destination.Payload = []byte("hello")
				_, c := connect(t, topology, capturetest.Host{NoCopies: true})
				inject(t, c, test.probe)
				var got []reply
				for _, f := range capture(t, c, time.Second) {
					r, data := decode(t, f)
					got = append(got, r)
					if r.Type == 0 && string(data) != test.data {
						t.Errorf("payload %q, want %q", data, test.data)
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestUnroutedPacketsAreCounted(t *testing.T) {
	n, c := connect(t, chain(), capturetest.Host{})
	p := probe(30)
	p.To = netip.MustParseAddrPort("203.0.113.9:53")
	inject(t, c, p)
	if got := n.Stats().Unrouted; got != 1 {
		t.Errorf("%d unrouted, want 1", got)
	}
}

func TestUDPChecksumIsNeverZero(t *testing.T) {
	p := probe(1)
	p.Payload = make([]byte, 2)
	zeroSum := udpChecksum(packet(t, p))
	p.Payload = []byte{byte(zeroSum >> 8), byte(zeroSum)} // adds what was missing to 0xffff
	if got := udpChecksum(packet(t, p)); got != 0xffff {
		t.Errorf("checksum %#x, want 0xffff", got)
	}
}

func TestJitterComesFromTheSeed(t *testing.T) {
	arrivals := func(seed uint64) (times []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			topology := chain()
			topology.Seed = seed
			for i := range topology.Routers {
				topology.Routers[i].Link.Jitter = time.Millisecond
			}
			_, c := connect(t, topology, capturetest.Host{NoCopies: true})
			sent := time.Now()
			for range 20 {
				inject(t, c, probe(3))
			}
			for _, f := range capture(t, c, time.Second) {
				times = append(times, f.Time.Sub(sent))
			}
		})
		return times
	}
	first := arrivals(1)
	if diff := cmp.Diff(first, arrivals(1)); diff != "" {
		t.Errorf("the same seed differs:\n%s", diff)
	}
	if slices.Equal(first, arrivals(2)) {
		t.Error("another seed does not differ")
	}
	if first[0] < 6*time.Millisecond || first[19] > 12*time.Millisecond || first[0] == first[19] {
		t.Errorf("from %v to %v, want different times from 6ms to 12ms", first[0], first[19])
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		bend func(*capturetest.Chain)
		want string
	}{
		{"no destination", func(c *capturetest.Chain) { c.Destination.Addr = netip.Addr{} }, "destination: address"},
		{"IPv6 router", func(c *capturetest.Chain) { c.Routers[1].Addrs = capturetest.Addrs("2001:db8::1") }, "router 2: address 2001:db8::1 is not IPv4"},
		{"nothing to answer from", func(c *capturetest.Chain) { c.Routers[0].Addrs = nil }, "router 1: no address"},
		{"negative delay", func(c *capturetest.Chain) { c.Routers[0].Link.Delay = -1 }, "router 1: negative link"},
		{"negative copies", func(c *capturetest.Chain) { c.Destination.Reply.Copies = -1 }, "destination: negative reply"},
		{"answers count from 1", func(c *capturetest.Chain) { c.Routers[2].Reply.Late = map[int]time.Duration{0: 1} }, "router 3: answer 0"},
		{"negative limit", func(c *capturetest.Chain) { c.Routers[2].Reply.Limit.AtMost = -1 }, "router 3: negative limit"},
		{"unknown hook", func(c *capturetest.Chain) { c.Routers[2].Reject = &capturetest.Reject{Hook: 9} }, "router 3: no hook 9"},
		{"unknown answer", func(c *capturetest.Chain) { c.Destination.Answer = 9 }, "destination: no answer 9"},
		{"unknown quote length", func(c *capturetest.Chain) { c.Routers[0].Quote.Length = -3 }, "router 1: no such quote"},
		{"IPv6 name", func(c *capturetest.Chain) { c.Routers[0].Reply.From = netip.IPv6Unspecified() }, "router 1: answers from ::"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := chain()
			test.bend(&c)
			_, err := capturetest.New(c)
			if err == nil || !strings.HasPrefix(err.Error(), "capturetest: "+test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
