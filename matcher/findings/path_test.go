package findings_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// from makes other routers answer the probes of some rounds.
func from(hop int, who netip.Addr, rounds ...int) func(sketch) {
	return func(s sketch) {
		s.at(hop, hop, func(p *path.Probe) {
			for _, r := range rounds {
				if p.Round == r {
					p.Reply.From = who
				}
			}
		})
	}
}

var all = []int{1, 2, 3}

// varied makes each probe a flow of its own.
func varied(s sketch) {
	s.at(1, end, func(p *path.Probe) {
		p.DstPort += uint16(p.Number)
		p.Reply.Quoted.DstPort = p.DstPort
	})
}

func TestRoutes(t *testing.T) {
	x, y := router(70), router(71)
	for name, test := range map[string]change{
		"another router in turn":            {do: from(4, x, 2), want: []string{"path-change 3-5 possible"}},
		"other routers in turn":             {do: both(from(4, x, 2), from(5, y, 2)), want: []string{"path-change 3-6 likely"}},
		"another router from some round on": {do: from(4, x, 3), want: []string{"path-change 3-5 possible"}},
		"other routers, many rounds": {queries: 6, do: both(from(4, x, 4, 5, 6), from(5, y, 4, 5, 6)),
			want: []string{"path-change 3-6 likely"}},
		"other routers, not at the same time": {queries: 6, do: both(from(4, x, 4, 5, 6), from(5, y, 6), from(5, router(72), 4)),
			want: []string{"path-change 3-6 likely"}},
		"other routers for other flows": {do: both(varied, from(4, x, 2)), want: []string{"balanced 3-5 likely"}},
		"other routers for ICMP whose checksum isn't known": {do: both(from(4, x, 2), func(s sketch) {
			s.Protocol = layers.IPProtocolICMPv4
			captured(s)
		})},
		"a loop":                               {do: both(from(6, router(4), all...), from(7, router(5), all...)), want: []string{"loop 4-7 likely"}},
		"a loop of three":                      {do: both(from(6, router(3), all...), from(7, router(4), all...), from(8, router(5), all...)), want: []string{"loop 3-8 likely"}},
		"a loop that is not whole":             {do: both(from(6, router(4), all...), from(7, router(5), 1, 2), from(7, x, 3)), want: []string{"path-change 6-8 possible"}},
		"the same router twice":                {do: from(5, router(4), all...), want: []string{"mpls 4-5 possible"}},
		"the same router twice, of many flows": {do: both(varied, from(5, router(4), all...))},
		"the same router twice in some rounds": {do: from(5, router(4), 1, 2), want: []string{"path-change 4-6 possible"}},
	} {
		t.Run(name, test.run)
	}
}

// back makes replies of hops arrive with the TTL that many routers more leave.
func back(from, to, more int) func(sketch) {
	return func(s sketch) {
		s.at(from, to, func(p *path.Probe) { p.Reply.TTL = uint8(int(p.Reply.TTL) - more) })
	}
}

func begins(from, to int, initial uint8) func(sketch) {
	return func(s sketch) {
		s.at(from, to, func(p *path.Probe) { p.Reply.TTL += initial - 64 })
	}
}

func labelled(from, to int, ttl uint8, e matcher.Extensions) func(sketch) {
	e.Objects = []matcher.ExtensionObject{{Class: 1, Type: 1, Length: 8, Labels: []matcher.Label{{Label: 16001, Bottom: true, TTL: ttl}}}}
	e.Offset = 128
	return func(s sketch) {
		s.at(from, to, func(p *path.Probe) { p.Reply.Extensions = &e })
	}
}

// targetQuotes makes the target quote these TTLs of probes that were sent with as
// much more as is left each round.
func targetQuotes(left ...int) func(sketch) {
	return func(s sketch) {
		s.at(end, end, func(p *path.Probe) {
			p.TTL += uint8(p.Round - 1)
			p.Reply.Quoted.TTL = uint8(left[p.Round-1])
		})
	}
}

func TestWaysBackAndTunnels(t *testing.T) {
	verified := matcher.Extensions{Verified: true}
	left := func(hop int, ttl uint8) func(sketch) {
		return quote(hop, hop, func(q *matcher.Quote) { q.TTL = ttl })
	}
	for name, test := range map[string]change{
		"systems that begin with other TTLs": {do: both(begins(2, 3, 255), begins(4, 4, 128), begins(5, 5, 32))},
		"longer":                             {do: back(4, end, 5), want: []string{"asymmetry 3-4 likely"}},
		"longer by different numbers":        {do: both(back(4, end, 2), back(6, 7, 2), back(8, 8, 1)), want: []string{"asymmetry 3-4 likely"}},
		"longer by one":                      {do: back(4, end, 1)},
		"shorter":                            {do: back(5, end, -3), want: []string{"asymmetry 4-5 likely"}},
		"longer from the first hop on":       {do: back(1, end, 2), want: []string{"asymmetry 0-1 likely"}},
		"a target that is nearer than it seems": {do: both(back(end, end, -2), func(s sketch) {
			s.lose(8, 1, 2, 3)
			s.at(end, end, func(p *path.Probe) {
				p.Reply.Kind, p.Reply.Basis, p.Reply.Quoted = matcher.UDP, path.ByLowestTTL, matcher.Quote{}
			})
		})},
		"a target whose way back is shorter": {do: back(end, end, -2), want: []string{"asymmetry 9-9 likely"}},
		"replies of a hop that differ": {do: func(s sketch) {
			s.at(4, 4, func(p *path.Probe) { p.Reply.TTL -= uint8(3 * p.Round) })
		}},

		"labels":                      {do: labelled(4, 6, 1, verified), want: []string{"mpls 4-6 certain"}},
		"labels without a checksum":   {do: labelled(4, 4, 1, matcher.Extensions{}), want: []string{"mpls 4-4 likely"}},
		"labels and longer ways back": {do: both(labelled(4, 5, 1, verified), back(4, 4, 4), back(5, 5, 2)), want: []string{"mpls 4-5 certain"}},
		"labels and TTLs of any sort": {do: both(labelled(4, 5, 1, verified), left(4, 3), left(5, 9)), want: []string{"mpls 4-5 certain"}},
		"labels that can't be read": {do: both(labelled(4, 4, 1, verified), func(s sketch) {
			s.at(4, 4, func(p *path.Probe) {
				p.Reply.Extensions.Objects = []matcher.ExtensionObject{{Class: 1, Type: 1, Malformed: true}}
			})
		})},
		"labels of a probe that is not known": {queries: 1, do: both(labelled(4, 4, 1, verified), func(s sketch) {
			s.at(1, end, func(p *path.Probe) { p.TTL, p.Reply.Hop, p.Reply.Basis, p.Round = 0, 0, 0, 0 })
		}), want: []string{"mpls 0-0 likely"}},

		"TTLs that rise":                         {do: both(left(5, 2), left(6, 3)), want: []string{"mpls 4-6 likely"}},
		"TTLs that rise as those sent":           {do: both(left(2, 2), left(3, 3), left(4, 4)), want: []string{"ttl-rewrite 2-4 likely"}},
		"a TTL of 2":                             {do: left(5, 2), want: []string{"mpls 4-5 possible"}},
		"a TTL of 3":                             {do: left(5, 3), want: []string{"ttl-rewrite 5-5 likely"}},
		"TTLs of a hop that differ":              {do: func(s sketch) { s.Probes[4].Reply.Quoted.TTL = 3 }},
		"TTLs 0 and 1 of two routers":            {do: left(5, 0), want: []string{"ttl-rewrite 5-5 likely"}},
		"TTLs 0 and 1 of one router":             {do: both(left(5, 0), from(5, router(6), all...)), want: []string{"zero-ttl 5-6 certain"}},
		"TTLs 0 and 0 of one router":             {do: both(left(5, 0), left(6, 0), from(5, router(6), all...)), want: []string{"ttl-rewrite 5-6 likely"}},
		"TTLs 0 and up at the target":            {do: targetQuotes(0, 1, 2), want: []string{"zero-ttl 9-9 likely"}},
		"TTLs 1 and up at the target":            {do: targetQuotes(1, 2, 3)},
		"a TTL 0 at the target, and none above":  {do: left(end, 0)},
		"a TTL 0 at the target":                  {do: targetQuotes(0, 0, 0)},
		"TTLs at the target that don't fit":      {do: targetQuotes(0, 1, 5)},
		"ways back that get shorter by two":      {do: both(back(4, 4, 6), back(5, 5, 4), back(6, 6, 2)), want: []string{"mpls 4-6 possible"}},
		"ways back that get shorter by anything": {do: both(back(4, 4, 6), back(5, 5, 3), back(6, 6, 2)), want: []string{"asymmetry 3-4 likely"}},
	} {
		t.Run(name, test.run)
	}
}

func TestAnswersOfOthers(t *testing.T) {
	exceeded := func(p *path.Probe) { p.Reply.From = target }
	refused := func(hop int, basis path.Basis) func(*path.Probe) {
		return func(p *path.Probe) {
			p.Reply.From, p.Reply.Kind, p.Reply.ICMPCode = router(hop), matcher.Unreachable, 13
			p.Reply.Hop, p.Reply.Basis, p.Reply.TTL = uint8(hop), basis, uint8(65-hop)
		}
	}
	for name, test := range map[string]change{
		"a time-exceeded as the target, routers behind": {do: func(s sketch) { s.at(4, 4, exceeded) }, want: []string{"ttl-exceeded-from-destination 4-4 likely"}},
		"time-exceededs as the target, none behind":     {do: func(s sketch) { s.at(7, 8, exceeded) }, want: []string{"ttl-exceeded-from-destination 7-8 certain"}},
		"the target, from two distances": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.TTL -= uint8(4 * (p.Round % 2)) })
		}, want: []string{"spoofed-destination 9-9 likely"}},
		"the target, from two distances in a further reply": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) {
				again := *p.Reply
				again.TTL -= 4
				p.Extra = append(p.Extra, again)
			})
		}, want: []string{"spoofed-destination 9-9 likely"}},
		"the target, from distances three apart": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.TTL -= uint8(3 * (p.Round % 2)) })
		}, want: []string{"spoofed-destination 9-9 likely"}},
		"the target, from distances two apart": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.TTL -= uint8(2 * (p.Round % 2)) })
		}},
		"the target, nearly from the same distance": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.TTL -= uint8(p.Round % 2) })
		}},
		"the target, beginning with two TTLs": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.TTL += uint8(64 * (p.Round % 2)) })
		}},
		"the target, before a router": {do: func(s sketch) {
			s.at(6, 6, func(p *path.Probe) {
				if p.Round == 1 {
					p.Reply.From, p.Reply.Kind, p.Reply.Quoted = target, matcher.RST, matcher.Quote{}
				}
			})
			s.at(end, end, func(p *path.Probe) { p.Reply.Hop, p.Reply.TTL = 6, 59 })
		}, want: []string{"spoofed-destination 6-8 likely"}},

		"a refusal at its hop": {do: func(s sketch) {
			s.at(4, end, refused(4, path.ByArithmetic))
		}, want: []string{"refusal 4-4 certain"}},
		"a refusal when forwarding": {do: func(s sketch) {
			s.at(5, end, refused(4, path.BySameAddress))
		}, want: []string{"refusal 4-4 certain"}},
		"a refusal, late": {do: func(s sketch) {
			s.at(4, end, func(p *path.Probe) { p.Reply, p.Status = nil, path.Timeout })
			p := &s.Probes[6]
			p.Reply, p.Status = reply(p, 7), path.Replied
			refused(4, path.ByArithmetic)(p)
		}, want: []string{"hop-mismatch 4-7 possible"}},
		"a packet too big for who forwards": {do: func(s sketch) {
			s.at(5, end, refused(4, path.BySameAddress))
			s.at(5, end, func(p *path.Probe) { p.Reply.Kind = matcher.PacketTooBig })
		}, want: []string{"path-mtu 4-5 likely"}},
	} {
		t.Run(name, test.run)
	}
}

// missed makes the capture miss frames.
func missed(from, to time.Time) func(sketch) {
	return func(s sketch) { s.Gaps = []frame.Gap{{From: from, To: to, Frames: 3}} }
}

// beyond adds probes that went beyond the target, so many of which it answered.
func beyond(probes, answered int) func(sketch) {
	return func(s sketch) {
		for i := range probes {
			n := len(s.Probes)
			p := path.Probe{Number: n, TTL: uint8(end + 1 + i), Round: 1, Length: 60, SrcPort: 50000, DstPort: 33434, Sent: start.Add(time.Duration(n) * ms)}
			if p.Status = path.Timeout; i < answered {
				p.Reply, p.Status = reply(&p, end), path.Replied
			}
			s.Probes = append(s.Probes, p)
		}
	}
}

func TestProbesWithoutReply(t *testing.T) {
	silent := func(hop int) func(sketch) {
		return func(s sketch) { s.lose(hop, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) }
	}
	lose := func(hop int, rounds ...int) func(sketch) {
		return func(s sketch) { s.lose(hop, rounds...) }
	}
	slower := func(s sketch) { // the fourth round and those after it come a second later each
		s.at(1, end, func(p *path.Probe) {
			p.Sent = p.Sent.Add(time.Duration(max(0, p.Round-3)) * time.Second)
		})
	}
	spread := both(lose(4, 2), lose(5, 1, 5), lose(6, 4), lose(7, 3), lose(8, 2, 6), lose(9, 1, 4))
	for name, test := range map[string]change{
		"silent hops":       {do: both(silent(4), silent(5))},
		"one probe":         {do: lose(4, 2)},
		"one at two hops":   {do: both(lose(4, 2), lose(7, 1))},
		"all but the first": {do: lose(4, 2, 3), want: []string{"rate-limit 4-4 possible"}},
		// Chance leaves out as many at that hop of 15 probes in 1 of 35 traces; at
		// hop 4, of 18, in 1 of 51.
		"all but the last, four hops from the end": {do: lose(5, 1, 2)},
		"all but the last":                         {do: lose(4, 1, 2), want: []string{"rate-limit 4-4 possible"}},
		"all but the first, of many":               {queries: 10, do: lose(4, 2, 3, 4, 5, 6, 7, 8, 9, 10), want: []string{"rate-limit 4-4 certain"}},
		"those that came too soon":                 {queries: 6, do: both(slower, lose(4, 2, 3)), want: []string{"rate-limit 4-4 possible"}},
		"any of many":                              {queries: 10, do: lose(4, 1, 2, 5, 7, 8, 10), want: []string{"rate-limit 4-4 certain"}},
		"of the last hop, from some on":            {queries: 10, do: lose(9, 7, 8, 9, 10), want: []string{"rate-limit 9-9 possible"}},
		"of the last hop, any":                     {queries: 10, do: lose(9, 1, 4, 5, 9), want: []string{"loss 7-9 possible"}},
		"of the last hop, in TCP": {queries: 10, do: both(lose(9, 7, 8, 9, 10), func(s sketch) { s.Protocol = layers.IPProtocolTCP }),
			want: []string{"loss 7-9 possible"}},
		"beyond the last hop":                        {do: beyond(6, 0), want: []string{"rate-limit 9-9 possible"}},
		"beyond the last hop, but for one":           {do: beyond(6, 1), want: []string{"rate-limit 9-9 possible"}},
		"of the last hop, and beyond it":             {do: both(lose(9, 2, 3), beyond(6, 0))},
		"of the last hop, and beyond it, in a burst": {queries: 10, do: both(lose(9, 4, 5, 6, 7, 8, 9, 10), beyond(6, 0)), want: []string{"rate-limit 9-9 possible"}},
		"of the last hop, all but the first":         {queries: 10, do: both(lose(9, 2, 3, 4, 5, 6, 7, 8, 9, 10), beyond(2, 0))},
		"beyond the last hop, in TCP":                {do: both(beyond(6, 0), func(s sketch) { s.Protocol = layers.IPProtocolTCP })},
		"from some hop on, and beyond the last":      {queries: 6, do: both(spread, beyond(6, 0)), want: []string{"loss 0-4 likely"}},
		"from some hop on":                           {queries: 6, do: spread, want: []string{"loss 0-4 likely"}},
		"from some hop on, many before it answer":    {queries: 20, do: both(lose(4, 2, 9, 13), lose(5, 1, 5, 8, 17), lose(6, 4, 7, 16), lose(7, 3, 8, 9), lose(8, 2, 6, 18), lose(9, 1, 4, 19)), want: []string{"loss 1-4 likely"}},
		"from some hop on, and the capture lost frames": {queries: 6, do: both(spread, func(s sketch) { s.Counters.Dropped = 3 }),
			want: []string{"loss 0-4 possible"}},
		"from some hop on, while the capture lost frames": {queries: 6, do: both(spread, missed(start, start.Add(time.Minute))),
			want: []string{"capture-loss 4-9 certain"}},
		"any of many, while the capture lost frames": {queries: 10, do: both(lose(4, 1, 2, 5, 7, 8, 10), missed(start, start.Add(time.Minute))),
			want: []string{"capture-loss 4-4 certain"}},
		"any of many, and the capture lost frames before": {queries: 10, do: both(lose(4, 1, 2, 5, 7, 8, 10), missed(start.Add(-time.Hour), start.Add(-time.Minute))),
			want: []string{"rate-limit 4-4 certain"}},
		"none, though the capture lost frames":  {do: missed(start, start.Add(time.Minute))},
		"from some hop on, but not at the last": {do: both(lose(4, 2), lose(6, 3), lose(7, 1)), want: []string{"loss 0-4 possible"}},
		"at hops behind which nothing is lost":  {queries: 10, do: both(lose(3, 2), lose(4, 1, 5), lose(5, 3, 8))},
		// That hop 4 loses 3 or more of the 5 is chance in 1 of 41 traces: it may be
		// loss from there on. 4 or more of 7 is in 1 of 73: then it is not.
		"from some hop on, most at the first":     {queries: 6, do: both(lose(4, 1, 3, 5), lose(6, 2), lose(9, 4)), want: []string{"loss 0-4 likely"}},
		"from some hop on, far more at the first": {queries: 6, do: both(lose(4, 1, 3, 5), lose(6, 2))},
		"a trace that was interrupted": {do: both(lose(4, 2, 3), func(s sketch) {
			s.Interrupted, s.Ended = true, start.Add(50*ms)
		})},
		"a capture that ended": {do: both(captured, lose(4, 2, 3), func(s sketch) { s.Ended = start.Add(50 * ms) })},
		"probes that nobody waited for": {do: both(lose(4, 2, 3), lose(5, 1), lose(9, 1, 2), func(s sketch) {
			s.at(1, end, func(p *path.Probe) {
				if p.Reply == nil {
					p.Status = path.Abandoned
				}
			})
		})},
		"probes that never left": {do: func(s sketch) {
			s.lose(4, 2, 3)
			s.at(4, 4, func(p *path.Probe) {
				if p.Reply == nil {
					p.Status, p.Sent = path.Unsent, time.Time{}
				}
			})
		}},
	} {
		t.Run(name, test.run)
	}
}

// A label whose TTL is high was not seen by the routers before: 128 is high, and
// what is left of a probe's is not.
func TestOpaqueTunnels(t *testing.T) {
	for ttl, want := range map[uint8]string{
		1: "Explicit tunnel: hop 4 reports", 100: "Explicit tunnel: hop 4 reports", 127: "Explicit tunnel: hop 4 reports",
		128: "Opaque tunnel: hop 4 reports label 16001 with TTL 128, so about 127 routers", 255: "with TTL 255, so the routers before it are hidden",
	} {
		s := clean(3)
		labelled(4, 4, ttl, matcher.Extensions{Verified: true})(s)
		if all := findings.Of(s.Path); len(all) != 1 || !strings.Contains(all[0].Detail, want) {
			t.Errorf("TTL %d: %v, want %s", ttl, all, want)
		}
	}
}

// Of labels at hops that are not known all who report them are named.
func TestStrayLabelsAreNamed(t *testing.T) {
	s := clean(1)
	labelled(2, 5, 1, matcher.Extensions{Verified: true})(s)
	s.at(1, end, func(p *path.Probe) { p.TTL, p.Reply.Hop, p.Reply.Basis, p.Round = 0, 0, 0, 0 })
	all := findings.Of(s.Path)
	if want := "10.0.2.1, 10.0.3.1, 10.0.4.1 and 10.0.5.1 report labels, at hops that are not known"; len(all) != 1 || !strings.Contains(all[0].Detail, want) {
		t.Errorf("%v, want %s", all, want)
	}
}
