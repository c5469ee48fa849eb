package findings_test

import (
	"fmt"
	"math/bits"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

var (
	host   = netip.MustParseAddr("192.0.2.10")
	target = netip.MustParseAddr("198.51.100.1")
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// end is the target's hop in a sketch.
const end = 9

const ms = time.Millisecond

// router is who answers at a hop of a sketch.
func router(hop int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(hop), 1}) }

// sketch is a Path to change: a clean one, at first.
type sketch struct{ *path.Path }

// clean is a path on which nothing happens: to each TTL up to the target's so many
// probes, one after the other a millisecond apart.
func clean(queries int) sketch {
	p := &path.Path{
		Target: path.Target{Host: "target.example", Addr: target}, Source: path.Source{Addr: host},
		Protocol: layers.IPProtocolUDP, Started: start, Ended: start.Add(time.Minute),
		Parameters: path.Parameters{
			FirstTTL: 1, MaxTTL: 30, Queries: queries, SrcPort: 50000, DstPort: 33434, Length: 60, Wait: path.Wait{Max: 5 * time.Second},
		},
	}
	for round := 1; round <= queries; round++ {
		for ttl := 1; ttl <= end; ttl++ {
			n := len(p.Probes)
			probe := path.Probe{
				Number: n, TTL: uint8(ttl), Round: round, ID: uint16(0x1203 + 7*n), Length: 60, SrcPort: 50000, DstPort: 33434,
				Checksum: uint16(0x4000 + 321*n), HasChecksum: true, Sent: start.Add(time.Duration(n) * ms), Status: path.Replied,
			}
			probe.Reply = reply(&probe, ttl)
			p.Probes = append(p.Probes, probe)
		}
	}
	return sketch{p}
}

// reply is a hop's usual reply to a probe.
func reply(probe *path.Probe, hop int) *path.Reply {
	r := &path.Reply{Hop: uint8(hop), Basis: path.BySentTTL, RTT: ms, HasRTT: true}
	r.From, r.Kind, r.TTL, r.Received = router(hop), matcher.TimeExceeded, uint8(65-hop), probe.Sent.Add(ms)
	r.Quoted = matcher.Quote{
		Src: host, Dst: target, TTL: 1, ID: probe.ID, Length: 60,
		SrcPort: probe.SrcPort, DstPort: probe.DstPort, Checksum: probe.Checksum, HasChecksum: true,
	}
	if hop == end {
		r.From, r.Kind, r.Basis = target, matcher.Unreachable, path.ByQuotedTTL
	}
	return r
}

// at changes all probes sent to the hops from one to another.
func (s sketch) at(from, to int, change func(*path.Probe)) {
	for i := range s.Probes {
		if p := &s.Probes[i]; int(p.TTL) >= from && int(p.TTL) <= to {
			change(p)
		}
	}
}

// lose leaves those of the probes to a hop unanswered that are of these rounds.
func (s sketch) lose(hop int, rounds ...int) {
	s.at(hop, hop, func(p *path.Probe) {
		for _, r := range rounds {
			if p.Round == r {
				p.Reply, p.Status = nil, path.Timeout
			}
		}
	})
}

// told are findings as tests list them: kind, hops, confidence.
func told(t *testing.T, p *path.Path) []string {
	t.Helper()
	all := []string{}
	for _, s := range findings.Misbehaviour(p) {
		t.Error(s)
	}
	for _, f := range findings.Of(p) {
		t.Logf("%v  %v", f.String(), f.Evidence)
		all = append(all, fmt.Sprintf("%v %d-%d %v", f.Kind, f.HopFrom, f.HopTo, f.Confidence))
	}
	return all
}

// change is what a test does to a clean path, and what is found then.
type change struct {
	queries int // 0 means 3
	do      func(sketch)
	want    []string
}

func (c change) run(t *testing.T) {
	t.Helper()
	queries := c.queries
	if queries == 0 {
		queries = 3
	}
	s := clean(queries)
	if c.do != nil {
		c.do(s)
	}
	want := c.want
	if want == nil {
		want = []string{}
	}
	if d := cmp.Diff(want, told(t, s.Path)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// quote changes what is quoted of the probes to some hops.
func quote(from, to int, change func(*matcher.Quote)) func(sketch) {
	return func(s sketch) {
		s.at(from, to, func(p *path.Probe) { change(&p.Reply.Quoted) })
	}
}

// both is one change after the other.
func both(all ...func(sketch)) func(sketch) {
	return func(s sketch) {
		for _, do := range all {
			do(s)
		}
	}
}

// captured makes it a trace of somebody else, as a capture shows it.
func captured(s sketch) {
	s.Clock.Captured = true
	for i := range s.Probes {
		s.Probes[i].Checksum, s.Probes[i].HasChecksum = 0, false
	}
}

// overIPv6 makes the target one of IPv6.
func overIPv6(s sketch) {
	s.Target.Addr = netip.MustParseAddr("2001:db8::1")
	s.at(1, end, func(p *path.Probe) {
		p.Reply.Quoted.Dst = s.Target.Addr
		if p.Reply.From == target {
			p.Reply.From = s.Target.Addr
		}
	})
}

func TestRewrites(t *testing.T) {
	tos := func(v uint8) func(*matcher.Quote) { return func(q *matcher.Quote) { q.TOS = v } }
	length := func(v int) func(*matcher.Quote) { return func(q *matcher.Quote) { q.Length = v } }
	df := func(q *matcher.Quote) { q.DF = !q.DF }
	newID := func(q *matcher.Quote) { q.ID = 0xbeef }
	swap := func(q *matcher.Quote) { q.ID = bits.ReverseBytes16(q.ID) }
	for name, test := range map[string]change{
		"nothing":               {},
		"nothing, in a capture": {do: captured},
		"nothing, over IPv6":    {do: overIPv6},
		"nothing, asked once":   {queries: 1},

		"DSCP":                        {do: quote(4, end, tos(0x20)), want: []string{"dscp-rewrite 3-4 certain"}},
		"DSCP in a capture":           {do: both(captured, quote(4, end, tos(0x20))), want: []string{"dscp-rewrite 3-4 certain"}},
		"DSCP, from the first hop on": {do: quote(1, end, tos(0x20)), want: []string{"dscp-rewrite 0-1 certain"}},
		"DSCP in a capture, from the first hop on: it may have been sent": {do: both(captured, quote(1, end, tos(0x20)))},
		"DSCP in a capture, one quote a hop: it may have been sent":       {queries: 1, do: both(captured, quote(4, end, tos(0x20)))},
		"DSCP that differs at a hop":                                      {do: func(s sketch) { s.Probes[3].Reply.Quoted.TOS = 0x20 }},
		"DSCP that differs at a hop of a capture: it may be sent so": {do: both(captured, quote(4, end, tos(0x20)), func(s sketch) {
			s.Probes[2].Reply.Quoted.TOS = 0x20
		})},
		"DSCP of an answer that quotes nothing": {do: func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.Kind, p.Reply.Quoted = matcher.UDP, matcher.Quote{TOS: 0x20} })
		}},

		"ECN": {do: quote(4, end, tos(3)), want: []string{"ecn-rewrite 3-4 certain"}},
		"ECN of one probe, as a router that is congested marks": {do: func(s sketch) { s.Probes[3].Reply.Quoted.TOS = 3 }},
		"both parts, at different hops": {do: both(quote(4, end, tos(1)), quote(6, end, tos(0x21))),
			want: []string{"ecn-rewrite 3-4 certain", "dscp-rewrite 5-6 certain"}},

		"length":                    {do: quote(4, end, length(52)), want: []string{"length-rewrite 3-4 likely"}},
		"length, in one quote":      {do: quote(4, 4, length(40)), want: []string{"length-rewrite 4-4 certain"}},
		"length, its bytes swapped": {do: quote(end, end, length(60<<8)), want: []string{"length-rewrite 9-9 likely"}},
		"length of the last":        {do: quote(end, end, length(40)), want: []string{"length-rewrite 8-9 possible"}},
		"length of probes that are shorter themselves": {do: both(captured, quote(4, end, length(52)), func(s sketch) {
			s.at(4, end, func(p *path.Probe) { p.Length = 52 })
		})},
		"length in a capture that doesn't show it": {do: both(captured, quote(4, end, length(52)), func(s sketch) {
			s.at(1, end, func(p *path.Probe) { p.Length = 0 })
		})},
		"length, two that differ": {do: both(quote(4, 4, length(40)), quote(6, 6, length(88))),
			want: []string{"length-rewrite 4-4 certain", "length-rewrite 6-6 certain"}},

		"DF":               {do: quote(4, end, df), want: []string{"df-rewrite 3-4 likely"}},
		"DF, in one quote": {do: quote(4, 4, df), want: []string{"df-rewrite 4-4 certain"}},
		"DF, over IPv6":    {do: both(overIPv6, quote(4, end, df))},

		"ID, new":                  {do: quote(4, end, newID), want: []string{"id-rewrite 3-4 likely"}},
		"ID, swapped at many hops": {do: quote(4, end, swap), want: []string{"id-rewrite 4-9 likely"}},
		"IDs that read the same both ways": {do: func(s sketch) {
			s.at(4, 4, func(p *path.Probe) { p.ID = 0x4242; p.Reply.Quoted.ID = 0x4242 })
		}},
		"ID of probes without one, given one": {do: func(s sketch) {
			s.at(1, end, func(p *path.Probe) { p.ID = 0 })
		}},
	} {
		t.Run(name, test.run)
	}
}

func TestTranslation(t *testing.T) {
	outside := netip.MustParseAddr("203.0.113.9")
	sum := func(by uint16) func(*matcher.Quote) { return func(q *matcher.Quote) { q.Checksum += by } }
	src := func(q *matcher.Quote) { q.Src = outside }
	for name, test := range map[string]change{
		"a source":                   {do: quote(4, end, src), want: []string{"nat 3-4 certain"}},
		"a source, and its checksum": {do: both(quote(4, end, src), quote(4, end, sum(7))), want: []string{"nat 3-4 certain"}},
		"a source, at one hop":       {do: quote(4, 4, src), want: []string{"nat 3-4 likely"}},
		"a destination":              {do: quote(4, end, func(q *matcher.Quote) { q.Dst = outside }), want: []string{"nat 3-4 certain"}},
		"both":                       {do: quote(4, end, func(q *matcher.Quote) { q.Src, q.Dst = outside, outside }), want: []string{"nat 3-4 certain"}},
		"a port":                     {do: quote(4, end, func(q *matcher.Quote) { q.SrcPort = 1025 }), want: []string{"nat 3-4 certain"}},
		"a destination port":         {do: quote(4, end, func(q *matcher.Quote) { q.DstPort = 53 }), want: []string{"nat 3-4 certain"}},
		"a source, and back":         {do: quote(4, 6, src), want: []string{"nat 3-4 certain"}},
		"a checksum":                 {do: quote(4, end, sum(7)), want: []string{"nat 3-4 likely"}},
		"a checksum, in a capture that doesn't tell the sent": {do: both(captured, quote(4, end, sum(7)))},
		"a checksum that farther hops show as sent":           {do: quote(4, 5, sum(7))},
		"checksums that differ by anything": {do: func(s sketch) {
			s.at(4, end, func(p *path.Probe) { p.Reply.Quoted.Checksum += uint16(p.Number) })
		}},
		"a checksum in one reply":                  {queries: 1, do: quote(end, end, sum(7))},
		"no checksum":                              {do: quote(4, end, func(q *matcher.Quote) { q.Checksum = 0 })},
		"a checksum that isn't visible":            {do: quote(4, end, func(q *matcher.Quote) { q.Checksum, q.HasChecksum = 77, false })},
		"an offloaded checksum, quoted":            {do: quote(1, 1, func(q *matcher.Quote) { q.Checksum = pseudo(40) })},
		"an offloaded checksum, quoted everywhere": {do: quote(1, end, func(q *matcher.Quote) { q.Checksum = pseudo(40) })},
		"an offloaded checksum, captured": {do: func(s sketch) {
			s.at(1, end, func(p *path.Probe) { p.Checksum = pseudo(40) })
		}},
	} {
		t.Run(name, test.run)
	}
}

// pseudo is the sum of the pseudo-header of a UDP packet from host to target.
func pseudo(length uint32) uint16 {
	sum := uint32(0xc000+0x020a) + 0xc633 + 0x6401 + 17 + length
	return uint16(sum>>16 + sum&0xffff)
}
