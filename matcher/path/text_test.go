package path_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/stats"
)

// answer is a probe that was answered in time.
func answer(number int, ttl, hop uint8, from string, kind matcher.Kind, rtt time.Duration) path.Probe {
	return path.Probe{Number: number, TTL: ttl, Status: path.Replied, Reply: &path.Reply{
		Reply: matcher.Reply{From: netip.MustParseAddr(from), Kind: kind, ICMPCode: 3}, RTT: rtt, HasRTT: true, Hop: hop,
	}}
}

// printed is a path with a hop of two routers, a hop that is silent, a refusal, and a
// reply to a probe that is not known.
func printed() *path.Path {
	ms := time.Millisecond
	const target = "198.51.100.7"
	late := answer(4, 2, 2, "10.0.2.1", matcher.TimeExceeded, 6*time.Second)
	late.Status = path.Late
	ambiguous := answer(5, 4, 4, target, matcher.UDP, 0)
	ambiguous.Reply.HasRTT = false
	unknown := answer(8, 0, 0, "10.0.9.1", matcher.TimeExceeded, 0)
	unknown.Reply.HasRTT = false
	refused := answer(9, 2, 2, "10.0.2.9", matcher.Unreachable, 7*ms)
	refused.Reply.ICMPCode = 13
	return &path.Path{
		Target:     path.Target{Host: "target.example", Addr: netip.MustParseAddr(target)},
		Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 30, Length: 60},
		Probes: []path.Probe{
			answer(0, 1, 1, "10.0.1.1", matcher.TimeExceeded, 815*time.Microsecond), answer(1, 2, 2, "10.0.2.1", matcher.TimeExceeded, 2*ms),
			{Number: 2, TTL: 3, Status: path.Timeout}, answer(3, 4, 4, target, matcher.Unreachable, 1234567*time.Microsecond),
			late, ambiguous,
			{Number: 6, TTL: 5, Status: path.Timeout}, {Number: 7, TTL: 1, Status: path.Abandoned}, unknown, refused,
			{Number: 10, TTL: 1, Status: path.Unsent}, answer(11, 1, 1, "10.0.1.1", matcher.TimeExceeded, 3*ms),
		},
	}
}

func TestPathsAsText(t *testing.T) {
	want := "traceroute to target.example (198.51.100.7), 30 hops max, 60 byte packets\n" +
		" 1  10.0.1.1  0.815 ms * *  3.000 ms\n" +
		" 2  10.0.2.1  2.000 ms * 10.0.2.9  7.000 ms !X\n" +
		" 3  *\n" +
		" 4  198.51.100.7  1234.567 ms *\n" +
		" ?  10.0.9.1 *"
	if d := cmp.Diff(want, printed().String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Names come from outside: they can neither move a cursor nor pass for an address.
func TestNamesAsText(t *testing.T) {
	for _, name := range []string{"a\x1b[2J", "a\nb", "a (192.0.2.9)", "a\u202eb", "\xff", "a\u00a0b"} {
		p := &path.Path{Target: path.Target{Host: name, Addr: netip.MustParseAddr("198.51.100.7")}}
		want := "traceroute to \""
		got := p.String()
		if !strings.HasPrefix(got, want) || !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n\u202e") {
			t.Errorf("%q", got)
		}
	}
}

func TestEventsAsText(t *testing.T) {
	p := printed()
	p.Probes = p.Probes[:4]
	var got []string
	p.Events(func(e path.Event) { got = append(got, e.String()) })
	got = append(got, path.Event{Kind: path.GaveUp, Probe: path.Probe{Number: 9, TTL: 7, Status: path.Unsent}}.String())
	for i := range p.Probes {
		got = append(got, path.Event{Kind: path.ProbeOut, Probe: p.Probes[i]}.String())
	}
	want := []string{
		"start: traceroute to target.example (198.51.100.7), 30 hops max, 60 byte packets",
		"reply: probe 0, TTL 1, time-exceeded from 10.0.1.1, 0.815 ms, hop 1",
		"reply: probe 1, TTL 2, time-exceeded from 10.0.2.1, 2.000 ms, hop 2",
		"timeout: probe 2, TTL 3",
		"reply: probe 3, TTL 4, unreachable from 198.51.100.7, 1234.567 ms, hop 4",
		"hop: 1  10.0.1.1  0.815 ms",
		"hop: 2  10.0.2.1  2.000 ms",
		"hop: 3  *",
		"hop: 4  198.51.100.7  1234.567 ms",
		"end: 198.51.100.7 reached, the path ends at hop 4",
		"timeout: probe 9, TTL 7, unsent",
		"probe: probe 0, TTL 1", "probe: probe 1, TTL 2", "probe: probe 2, TTL 3", "probe: probe 3, TTL 4",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSummaryOfAHop(t *testing.T) {
	type summary struct {
		Sent, Late     int
		Loss           stats.Loss
		N              int
		Min, Mean, Max time.Duration
	}
	ms := time.Millisecond
	want := []summary{
		{Sent: 3, Loss: stats.Loss{Of: 2}, N: 2, Min: 815 * time.Microsecond, Mean: 1907500, Max: 3 * ms},
		{Sent: 3, Late: 1, Loss: stats.Loss{Of: 3}, N: 3, Min: 2 * ms, Mean: 2003 * ms, Max: 6 * time.Second},
		{Sent: 1, Loss: stats.Loss{Lost: 1, Of: 1}},
		{Sent: 2, Loss: stats.Loss{Of: 2}, N: 1, Min: 1234567 * time.Microsecond, Mean: 1234567 * time.Microsecond, Max: 1234567 * time.Microsecond},
		{},
	}
	var got []summary
	for _, h := range printed().Hops() {
		s := h.Summary()
		got = append(got, summary{s.Sent, s.Late, s.Loss, s.RTT.N(), s.RTT.Min(), s.RTT.Mean(), s.RTT.Max()})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
