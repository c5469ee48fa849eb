package tracewire_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

var target = netip.MustParseAddr("198.51.100.7")

// eight is a path of seven routers and the target, a millisecond apart.
func eight() capturetest.Chain {
	return capturetest.ChainOf(time.Millisecond, "10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1",
		"10.0.5.1", "10.0.6.1", "10.0.7.1", target.String())
}

// lab is a trace through a simulated network.
type lab struct {
	*testing.T
	ctx    context.Context
	conn   *capturetest.Conn
	events []path.Event
}

// trace runs a trace in virtual time and checks what is true of every trace.
// begin, if not nil, is called when the network is up and before the trace.
func trace(t *testing.T, c capturetest.Chain, h capturetest.Host, o tracewire.Options, begin func(*lab), check func(*lab, *path.Path, error)) {
	t.Helper()
	traceRecorded(t, c, h, o, begin, func(l *lab, _ *recorder, p *path.Path, err error) { check(l, p, err) })
}

// traceRecorded is trace for who looks at the recording too.
func traceRecorded(t *testing.T, c capturetest.Chain, h capturetest.Host, o tracewire.Options, begin func(*lab), check func(*lab, *recorder, *path.Path, error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		l := &lab{T: t, ctx: t.Context(), conn: network.Conn(h)}
		o.Seed = 1
		o.Dial = l.dial
		if begin != nil {
			begin(l)
		}
		var p *path.Path
		recorded := record(t, &o)
		err = tracewire.Run(l.ctx, func(yield func(netip.Addr) bool) { yield(c.Destination.Addr) }, &o, func(e path.Event) {
			l.events = append(l.events, e)
			if e.Kind == path.Ended {
				p = e.Path
			}
		})
		if s := l.conn.Stats(); len(s.Malformed) > 0 {
			t.Errorf("the network refuses our frames: %v", s.Malformed)
		}
		if p != nil {
			l.invariants(p)
		}
		recorded.events = l.events
		recorded.replays(t)
		check(l, recorded, p, err)
	})
}

func (l *lab) dial(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
	h := l.conn.Host()
	return &tracewire.Wire{Conn: l.conn, Port: 50000, MTU: h.MTU, Source: path.Source{
		Addr: h.Addr, Interface: "sim0", MAC: h.MAC, NextHop: netip.MustParseAddr("192.0.2.254"), NextHopMAC: h.GatewayMAC,
	}}, nil
}

// invariants are what holds of every path.
func (l *lab) invariants(p *path.Path) {
	l.Helper()
	standing := 0
	for _, h := range p.Hops() {
		standing += len(h.Probes)
	}
	if standing != len(p.Probes) {
		l.Errorf("%d probes stand in hops, %d were made", standing, len(p.Probes))
	}
	told, last := map[uint8]bool{}, uint8(0)
	for _, e := range l.events {
		if e.Kind == path.Decided {
			if told[e.Hop.TTL] = true; e.Hop.TTL <= last {
				l.Errorf("hop %d was told after hop %d", e.Hop.TTL, last)
			}
			last = e.Hop.TTL
		}
	}
	for _, h := range p.Hops() {
		if !told[h.TTL] {
			l.Errorf("hop %d was never told", h.TTL)
		}
	}
}

// addrs is who answered, hop by hop.
func addrs(p *path.Path) []string {
	var all []string
	for _, h := range p.Hops() {
		var at []string
		for _, probe := range h.Probes {
			a := "*"
			if probe.Reply != nil {
				a = probe.Reply.From.String()
			}
			if len(at) == 0 || at[len(at)-1] != a {
				at = append(at, a)
			}
		}
		all = append(all, strings.Join(at, " "))
	}
	return all
}

var eightAddrs = []string{
	"10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1", "10.0.5.1", "10.0.6.1", "10.0.7.1", "198.51.100.7",
}

func TestTraceFindsEveryHop(t *testing.T) {
	trace(t, eight(), capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		if err != nil {
			l.Fatal(err)
		}
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" {
			l.Error(d)
		}
		if !p.Reached() || p.End() != 8 || p.Interrupted {
			l.Errorf("reached %v, end %d, interrupted %v", p.Reached(), p.End(), p.Interrupted)
		}
		for _, probe := range p.Probes {
			if probe.Reply == nil {
				continue
			}
			hop := min(probe.TTL, 8)
			if want := time.Duration(hop) * 2 * time.Millisecond; probe.Reply.RTT != want || !probe.Reply.HasRTT {
				l.Errorf("TTL %d: round trip %v, want %v", probe.TTL, probe.Reply.RTT, want)
			}
			if probe.Reply.Hop != hop || probe.SentClock != path.Kernel || probe.Reply.MatchedBy != matcher.ByCookie {
				l.Errorf("TTL %d: %+v", probe.TTL, probe.Reply)
			}
		}
		if took := p.Ended.Sub(p.Started); took > 100*time.Millisecond {
			l.Errorf("took %v", took)
		}
	})
}

// The same seed makes the same probes, in whatever order replies let them go.
func TestSeedFixesEveryProbe(t *testing.T) {
	frames := map[uint8]map[int][]byte{}
	compared := 0
	for _, delay := range []time.Duration{0, time.Millisecond, 70 * time.Millisecond} {
		c := eight()
		c.Routers[0].Link.Delay, c.Routers[4].Reply.Delay = delay, delay
		trace(t, c, capturetest.Host{Keep: true}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
			sent := l.conn.Sent()
			for i, probe := range p.Probes {
				if frames[probe.TTL] == nil {
					frames[probe.TTL] = map[int][]byte{}
				}
				if other, ok := frames[probe.TTL][probe.Round]; ok {
					compared++
					if d := cmp.Diff(other, sent[i]); d != "" {
						l.Errorf("TTL %d, round %d: %s", probe.TTL, probe.Round, d)
					}
				}
				frames[probe.TTL][probe.Round] = sent[i]
			}
		})
	}
	if compared < 40 {
		t.Errorf("only %d probes to compare", compared)
	}
}

func TestTraceIsReproducible(t *testing.T) {
	var runs [2]*path.Path
	for i := range runs {
		trace(t, eight(), capturetest.Host{}, tracewire.Options{}, nil, func(_ *lab, p *path.Path, _ error) { runs[i] = p })
	}
	if d := cmp.Diff(runs[0], runs[1], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestSilentRouter(t *testing.T) {
	c := eight()
	c.Routers[2].Silent = true
	trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		want := append([]string(nil), eightAddrs...)
		want[2] = "*"
		if d := cmp.Diff(want, addrs(p)); d != "" || err != nil {
			l.Error(err, d)
		}
		if took := p.Ended.Sub(p.Started); took > time.Second {
			l.Errorf("took %v: a next hop has answered, so the wait is short", took)
		}
		if n := len(p.Hops()[2].Probes); n != 3 {
			l.Errorf("%d probes to the silent router", n)
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	c := eight()
	for i := range c.Routers {
		c.Routers[i].Silent = true
	}
	c.Destination.Answer = capturetest.AnswerNothing
	trace(t, c, capturetest.Host{}, tracewire.Options{MaxTTL: 10}, nil, func(l *lab, p *path.Path, err error) {
		if err != nil || p.Reached() || p.End() != 0 || len(p.Hops()) != 10 {
			l.Errorf("%v, reached %v, end %d, %d hops", err, p.Reached(), p.End(), len(p.Hops()))
		}
		for _, probe := range p.Probes {
			if probe.Status != path.Timeout {
				l.Errorf("%+v", probe)
			}
		}
	})
}

func TestLateReply(t *testing.T) {
	c := eight()
	c.Routers[1].Reply.Late = map[int]time.Duration{1: 700 * time.Millisecond}
	o := tracewire.Options{Wait: path.Wait{Max: 600 * time.Millisecond}, Interval: 100 * time.Millisecond}
	trace(t, c, capturetest.Host{}, o, nil, func(l *lab, p *path.Path, err error) {
		if err != nil {
			l.Fatal(err)
		}
		late := p.Hops()[1].Probes[0]
		if late.Status != path.Late || late.Reply == nil || late.Reply.RTT != 704*time.Millisecond || !late.Reply.Late {
			l.Errorf("%+v %+v", late, late.Reply)
		}
		if p.Counters.Late != 1 {
			l.Errorf("%+v", p.Counters)
		}
	})
}

func TestDuplicateReplies(t *testing.T) {
	c := eight()
	c.Routers[3].Reply.Copies = 2
	trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil {
			l.Error(err, d)
		}
		n := 0
		for _, probe := range p.Hops()[3].Probes {
			n += len(probe.Extra)
		}
		if n != 6 || p.Counters.Duplicate != 6 || p.Counters.Received > len(p.Probes) {
			l.Errorf("%d further replies, %+v", n, p.Counters)
		}
	})
}

// The reply of a router that rejects belongs at the router's own hop, whatever
// TTL drew it.
func TestRejectingRouters(t *testing.T) {
	reject := func(h capturetest.Hook) *capturetest.Reject { return &capturetest.Reject{Code: 13, Hook: h} }
	tests := map[string]struct {
		router capturetest.Router
		hop    uint8
		basis  path.Basis
	}{
		"in prerouting": {
			router: capturetest.Router{Reject: reject(capturetest.Prerouting)},
			hop:    3, basis: path.ByArithmetic,
		},
		"in forward, and it has answered with a time-exceeded": {
			router: capturetest.Router{Reject: reject(capturetest.Forward)},
			hop:    3, basis: path.BySameAddress,
		},
		"in prerouting, answering only one probe": {
			router: capturetest.Router{Reject: reject(capturetest.Prerouting), Reply: capturetest.Reply{Limit: capturetest.Limit{OnlyTTL: []uint8{5}}}},
			hop:    3, basis: path.ByArithmetic,
		},
		"in forward, answering only one probe: arithmetic is one off": {
			router: capturetest.Router{Reject: reject(capturetest.Forward), Reply: capturetest.Reply{Limit: capturetest.Limit{OnlyTTL: []uint8{5}}}},
			hop:    4, basis: path.ByArithmetic,
		},
		"restoring the TTL it quotes: the lowest that drew it": {
			router: capturetest.Router{Reject: reject(capturetest.Prerouting), Quote: capturetest.Quote{TTL: capturetest.QuoteTTLSent}},
			hop:    3, basis: path.ByLowestTTL,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := eight()
			r := test.router
			r.Addrs, r.Link = c.Routers[2].Addrs, c.Routers[2].Link
			c.Routers[2] = r
			trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
				if err != nil || p.Reached() || p.End() != test.hop {
					l.Fatalf("%v, reached %v, ends at %d, want %d: %v", err, p.Reached(), p.End(), test.hop, addrs(p))
				}
				found := 0
				for _, probe := range p.Probes {
					if r := probe.Reply; r != nil && r.Kind == matcher.Unreachable {
						found++
						if r.Hop != test.hop || r.Basis != test.basis {
							l.Errorf("TTL %d: hop %d by %v, want %d by %v", probe.TTL, r.Hop, r.Basis, test.hop, test.basis)
						}
					}
				}
				if found == 0 {
					l.Error("no probe was rejected")
				}
			})
		})
	}
}

// A host behind address translation answers in the target's name before the
// target does; that is not the end.
func TestTimeExceededFromTheTargetsAddress(t *testing.T) {
	c := eight()
	c.Routers[6].Reply.From = target
	trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		if err != nil || !p.Reached() || p.End() != 8 {
			l.Errorf("%v, reached %v, ends at %d", err, p.Reached(), p.End())
		}
	})
}

func TestQuotesInTheWild(t *testing.T) {
	tests := map[string]struct {
		quote capturetest.Quote
		by    matcher.Rule
	}{
		"8 bytes":                   {capturetest.Quote{Length: capturetest.QuoteRFC792}, matcher.ByFields},
		"8 bytes and a swapped ID":  {capturetest.Quote{Length: capturetest.QuoteRFC792, ID: capturetest.QuoteIDSwapped}, matcher.ByTranslation},
		"8 bytes and an ID of zero": {capturetest.Quote{Length: capturetest.QuoteRFC792, ID: capturetest.QuoteIDZero}, matcher.ByTranslation},
		"everything":                {capturetest.Quote{Length: capturetest.QuoteFull}, matcher.ByCookie},
		"128 bytes":                 {capturetest.Quote{Length: 128}, matcher.ByCookie},
		"8 bytes, padded with zeros as before an extension": {capturetest.Quote{Edit: func(m []byte) []byte {
			return append(m[:8+28:8+28], make([]byte, 100)...)
		}}, matcher.ByFields},
		"a TTL that was restored": {capturetest.Quote{TTL: capturetest.QuoteTTLSent}, matcher.ByCookie},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := eight()
			for i := range c.Routers {
				c.Routers[i].Quote = test.quote
			}
			trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
				if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil {
					l.Error(err, d)
				}
				for _, probe := range p.Hops()[2].Probes {
					if probe.Reply.MatchedBy != test.by {
						l.Errorf("matched by %v", probe.Reply.MatchedBy)
					}
				}
			})
		})
	}
}

// One router that quotes in its own way is seen, though nothing confirms it, as soon as
// its probe would be given up.
func TestOneRouterWithAQuirk(t *testing.T) {
	for name, id := range map[string]capturetest.QuoteID{"a swapped ID": capturetest.QuoteIDSwapped, "an ID of zero": capturetest.QuoteIDZero} {
		t.Run(name, func(t *testing.T) {
			c := eight()
			c.Routers[3].Quote = capturetest.Quote{Length: capturetest.QuoteRFC792, ID: id}
			trace(t, c, capturetest.Host{}, tracewire.Options{Queries: 1}, nil, func(l *lab, p *path.Path, err error) {
				got := addrs(p)
				got[len(got)-1] = strings.TrimSuffix(got[len(got)-1], " *")
				if d := cmp.Diff(eightAddrs, got); d != "" || err != nil {
					l.Error(err, d)
				}
				if r := p.Hop(4).Probes[0].Reply; r == nil || r.MatchedBy != matcher.ByTwo || r.RTT != 8*time.Millisecond || r.Late {
					l.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestDestinationRestoresTheQuotedTTL(t *testing.T) {
	c := eight()
	c.Destination.Quote.TTL = capturetest.QuoteTTLSent
	trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil {
			l.Error(err, d)
		}
	})
}

// A destination whose quoted TTL is always the same can't be at as many hops.
func TestDestinationQuotesAConstantTTL(t *testing.T) {
	c := eight()
	c.Destination.Quote.Edit = func(message []byte) []byte {
		message[8+8] = 1
		return message
	}
	trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil || p.End() != 8 {
			l.Error(err, d, p.End())
		}
	})
}

func TestDestinationAnswersUDP(t *testing.T) {
	tests := map[string]struct {
		answer  capturetest.Answer
		payload []byte
		by      matcher.Rule
	}{
		"echoing the payload":       {answer: capturetest.AnswerEcho, by: matcher.ByCookie},
		"with something of its own": {answer: capturetest.AnswerPayload, payload: []byte("this is an open port"), by: matcher.Alone},
		"with an empty datagram":    {answer: capturetest.AnswerPayload, by: matcher.Alone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := eight()
			c.Destination.Answer, c.Destination.Payload = test.answer, test.payload
			trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
				if err != nil || !p.Reached() || p.End() != 8 {
					l.Fatalf("%v, reached %v, ends at %d: %v", err, p.Reached(), p.End(), addrs(p))
				}
				if d := cmp.Diff(eightAddrs, addrs(p)); d != "" {
					l.Error(d)
				}
				sure := 0
				for _, probe := range p.Hops()[7].Probes {
					r := probe.Reply
					switch {
					case r == nil || r.MatchedBy == matcher.Ambiguous && r.HasRTT:
						l.Errorf("%+v %+v", probe, r)
					case r.MatchedBy == test.by:
						sure++
						if r.RTT != 16*time.Millisecond {
							l.Errorf("round trip %v by %v", r.RTT, r.MatchedBy)
						}
					}
				}
				if sure < 3 {
					l.Errorf("%d round trips are beyond doubt", sure)
				}
			})
		})
	}
}

// A Linux destination answers six times at once, then once a second. That is
// enough for three round trips.
func TestRateLimitedDestination(t *testing.T) {
	c := eight()
	c.Destination.Reply.Limit.AtMost = 6
	trace(t, c, capturetest.Host{}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		answers := 0
		for _, probe := range p.Hops()[7].Probes {
			if probe.Status == path.Replied {
				answers++
			}
		}
		if took := p.Ended.Sub(p.Started); err != nil || answers < 3 || took > 200*time.Millisecond {
			l.Errorf("%v, %d answers in %v", err, answers, took)
		}
	})
}

func TestCopiesNeverCaptured(t *testing.T) {
	trace(t, eight(), capturetest.Host{NoCopies: true}, tracewire.Options{}, nil, func(l *lab, p *path.Path, err error) {
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil {
			l.Error(err, d)
		}
		for _, probe := range p.Probes {
			if probe.SentClock != path.User || !probe.Sent.Equal(probe.Called) {
				l.Errorf("%+v", probe)
			}
		}
	})
}

func TestEventsTellTheTrace(t *testing.T) {
	trace(t, eight(), capturetest.Host{}, tracewire.Options{MaxTTL: 2, Queries: 1}, nil, func(l *lab, p *path.Path, err error) {
		var got []string
		for _, e := range l.events {
			switch e.Kind {
			case path.Decided:
				got = append(got, fmt.Sprintf("hop %d", e.Hop.TTL))
			case path.Started, path.Ended:
				got = append(got, e.Kind.String())
			default:
				got = append(got, fmt.Sprintf("%v %d", e.Kind, e.Probe.TTL))
			}
		}
		want := []string{"start", "probe 1", "probe 2", "reply 1", "reply 2", "hop 1", "hop 2", "end"}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			l.Error(err, d)
		}
	})
}
