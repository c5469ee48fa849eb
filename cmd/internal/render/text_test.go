package render_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// line is the text of a hop, without names.
func line(t testing.TB, queries int, probes ...path.Probe) string {
	t.Helper()
	p := newPath(queries, probes...)
	out := rendered(t, "text", namer(nil), []path.Event{
		{Kind: path.Started, Path: p},
		{Kind: path.Decided, Hop: path.Hop{TTL: 9, Probes: p.Probes}},
	})
	_, hop, ok := strings.Cut(out, "\n")
	if !ok || !strings.HasSuffix(hop, "\n") {
		t.Fatalf("%q", out)
	}
	return strings.TrimSuffix(hop, "\n")
}

func TestErrorMarks(t *testing.T) {
	const (
		unreachableType, parameterProblem, timeExceeded = 3, 12, 11
		v6                                              = "2001:db8::1"
	)
	tests := map[string]struct {
		kind      matcher.Kind
		from      string
		typ, code uint8
		mtu       uint32
		want      string
	}{
		"net unreachable":                       {matcher.Unreachable, r1, unreachableType, 0, 0, " !N"},
		"host unreachable":                      {matcher.Unreachable, r1, unreachableType, 1, 0, " !H"},
		"protocol unreachable":                  {matcher.Unreachable, r1, unreachableType, 2, 0, " !P"},
		"port unreachable":                      {matcher.Unreachable, target, unreachableType, 3, 0, ""},
		"port unreachable, from a router":       {matcher.Unreachable, r1, unreachableType, 3, 0, " !<3>"},
		"fragmentation needed":                  {matcher.PacketTooBig, r1, unreachableType, 4, 1492, " !F-1492"},
		"fragmentation needed, no MTU":          {matcher.PacketTooBig, r1, unreachableType, 4, 0, " !F-0"},
		"the largest MTU":                       {matcher.PacketTooBig, r1, unreachableType, 4, 65535, " !F-65535"},
		"source route failed":                   {matcher.Unreachable, r1, unreachableType, 5, 0, " !S"},
		"net unknown":                           {matcher.Unreachable, r1, unreachableType, 6, 0, " !N"},
		"host unknown":                          {matcher.Unreachable, r1, unreachableType, 7, 0, " !H"},
		"source host isolated":                  {matcher.Unreachable, r1, unreachableType, 8, 0, " !N"},
		"net prohibited":                        {matcher.Unreachable, r1, unreachableType, 9, 0, " !X"},
		"host prohibited":                       {matcher.Unreachable, r1, unreachableType, 10, 0, " !X"},
		"net unreachable for the TOS":           {matcher.Unreachable, r1, unreachableType, 11, 0, " !N"},
		"host unreachable for the TOS":          {matcher.Unreachable, r1, unreachableType, 12, 0, " !H"},
		"administratively prohibited":           {matcher.Unreachable, r1, unreachableType, 13, 0, " !X"},
		"host precedence violation":             {matcher.Unreachable, r1, unreachableType, 14, 0, " !V"},
		"precedence cutoff":                     {matcher.Unreachable, r1, unreachableType, 15, 0, " !C"},
		"a code to come":                        {matcher.Unreachable, r1, unreachableType, 16, 0, " !<16>"},
		"the last code":                         {matcher.Unreachable, r1, unreachableType, 255, 0, " !<255>"},
		"parameter problem":                     {matcher.ParameterProblem, r1, parameterProblem, 0, 0, " !<12-0>"},
		"parameter problem, another":            {matcher.ParameterProblem, r1, parameterProblem, 2, 0, " !<12-2>"},
		"time exceeded":                         {matcher.TimeExceeded, r1, timeExceeded, 0, 0, ""},
		"the destination's own datagram":        {matcher.UDP, r1, 0, 0, 0, ""},
		"an echo reply":                         {matcher.EchoReply, r1, 0, 0, 0, ""},
		"an open TCP port":                      {matcher.SYNACK, r1, 0, 0, 0, ""},
		"a closed TCP port":                     {matcher.RST, r1, 0, 0, 0, ""},
		"IPv6: no route":                        {matcher.Unreachable, v6, 1, 0, 0, " !N"},
		"IPv6: prohibited":                      {matcher.Unreachable, v6, 1, 1, 0, " !X"},
		"IPv6: beyond the scope":                {matcher.Unreachable, v6, 1, 2, 0, " !H"},
		"IPv6: address unreachable":             {matcher.Unreachable, v6, 1, 3, 0, " !H"},
		"IPv6: port unreachable, from a router": {matcher.Unreachable, v6, 1, 4, 0, " !<4>"},
		"IPv6: source address's policy":         {matcher.Unreachable, v6, 1, 5, 0, " !<5>"},
		"IPv6: route rejects":                   {matcher.Unreachable, v6, 1, 6, 0, " !<6>"},
		"IPv6: packet too big":                  {matcher.PacketTooBig, v6, 2, 0, 1280, " !F-1280"},
		"IPv6: the largest MTU":                 {matcher.PacketTooBig, v6, 2, 0, 1<<32 - 1, " !F-4294967295"},
		"IPv6: unknown next header":             {matcher.ParameterProblem, v6, 4, 1, 0, " !<4-1>"},
		"IPv6: time exceeded":                   {matcher.TimeExceeded, v6, 3, 0, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := exceeded(9, test.from, 1500*us)
			p.Reply.Kind, p.Reply.ICMPType, p.Reply.ICMPCode, p.Reply.MTU = test.kind, test.typ, test.code, test.mtu
			if got, want := line(t, 1, p), " 9  "+test.from+"  1.500 ms"+test.want; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestEveryLineHasAFieldForEachQuery(t *testing.T) {
	a := func(rtt int) path.Probe { return exceeded(9, r1, time.Duration(rtt)*ms) }
	b := func(rtt int) path.Probe { return exceeded(9, r2, time.Duration(rtt)*ms) }
	prohibited := func(rtt int) path.Probe { return unreachable(9, 9, r1, 13, time.Duration(rtt)*ms) }
	open := func(rtt int) path.Probe { return datagram(9, 9, time.Duration(rtt)*ms) }
	tests := map[string]struct {
		queries int
		probes  []path.Probe
		want    string
	}{
		"as many replies":                {3, []path.Probe{a(1), a(2), a(3)}, "10.0.1.1  1.000 ms  2.000 ms  3.000 ms"},
		"one query":                      {1, []path.Probe{a(1)}, "10.0.1.1  1.000 ms"},
		"ten queries":                    {10, []path.Probe{a(1)}, "10.0.1.1  1.000 ms * * * * * * * * *"},
		"no probe":                       {3, nil, "* * *"},
		"fewer probes":                   {3, []path.Probe{a(1)}, "10.0.1.1  1.000 ms * *"},
		"more replies":                   {2, []path.Probe{a(1), a(2), a(3)}, "10.0.1.1  1.000 ms  2.000 ms"},
		"another responder":              {3, []path.Probe{a(1), b(2), a(3)}, "10.0.1.1  1.000 ms 10.0.2.1  2.000 ms 10.0.1.1  3.000 ms"},
		"the same behind a star":         {3, []path.Probe{a(1), lost(9), a(3)}, "10.0.1.1  1.000 ms *  3.000 ms"},
		"another behind a star":          {3, []path.Probe{a(1), lost(9), b(3)}, "10.0.1.1  1.000 ms * 10.0.2.1  3.000 ms"},
		"silence first":                  {3, []path.Probe{lost(9), lost(9), a(3)}, "* * 10.0.1.1  3.000 ms"},
		"replies before silence":         {2, []path.Probe{lost(9), a(1), lost(9), a(2)}, "10.0.1.1  1.000 ms  2.000 ms"},
		"a late reply is silence":        {2, []path.Probe{late(a(1)), a(2)}, "* 10.0.1.1  2.000 ms"},
		"late replies give way":          {1, []path.Probe{late(a(1)), a(2)}, "10.0.1.1  2.000 ms"},
		"a late error is silence":        {1, []path.Probe{late(prohibited(1))}, "*"},
		"unsent":                         {1, []path.Probe{{TTL: 9, Status: path.Unsent}}, "*"},
		"outstanding":                    {1, []path.Probe{{TTL: 9}}, "*"},
		"further replies are not shown":  {2, []path.Probe{with(a(1), b(2)), a(3)}, "10.0.1.1  1.000 ms  3.000 ms"},
		"each error has its mark":        {3, []path.Probe{prohibited(1), a(2), prohibited(3)}, "10.0.1.1  1.000 ms !X  2.000 ms  3.000 ms !X"},
		"an error behind other replies":  {2, []path.Probe{a(1), a(2), a(3), prohibited(4)}, "10.0.1.1  1.000 ms  4.000 ms !X"},
		"an error with room for no more": {1, []path.Probe{a(1), prohibited(2)}, "10.0.1.1  2.000 ms !X"},
		"the first error of several":     {2, []path.Probe{a(1), prohibited(2), prohibited(3)}, "10.0.1.1  1.000 ms  2.000 ms !X"},
		"no round trip":                  {1, []path.Probe{ambiguous(open(1))}, "198.51.100.7 *"},
		"no round trip gives way":        {1, []path.Probe{ambiguous(open(1)), open(2)}, "198.51.100.7  2.000 ms"},
		"no round trip before silence":   {2, []path.Probe{lost(9), ambiguous(open(1)), open(2)}, "198.51.100.7 *  2.000 ms"},
		"no round trip, another after":   {2, []path.Probe{ambiguous(open(1)), a(2)}, "198.51.100.7 * 10.0.1.1  2.000 ms"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(" 9  "+test.want, line(t, test.queries, test.probes...)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestHopNumbers(t *testing.T) {
	for ttl, want := range map[uint8]string{1: " 1  *\n", 9: " 9  *\n", 10: "10  *\n", 255: "255  *\n"} {
		out := rendered(t, "text", namer(nil), []path.Event{
			{Kind: path.Started, Path: newPath(1)}, {Kind: path.Decided, Hop: path.Hop{TTL: ttl}},
		})
		if _, got, _ := strings.Cut(out, "\n"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Names come from whoever runs the name servers, and the host from whoever
// made the list of targets.
func TestNoNameMovesTheCursor(t *testing.T) {
	p := newPath(1, exceeded(1, r1, ms))
	p.Target.Host = "evil\x1b]0;title\a"
	got := rendered(t, "text", namer{netip.MustParseAddr(r1): "a\x1b[2Jb\nc\u202ed"}, events(p))
	want := `traceroute to evil\x1b]0;title\a (198.51.100.7), 30 hops max, 60 byte packets` + "\n" +
		` 1  a\x1b[2Jb\nc\u202ed (10.0.1.1)  1.000 ms` + "\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestOneTraceAfterTheOther(t *testing.T) {
	first, second := newPath(1, exceeded(1, r1, ms)), newPath(3, exceeded(1, r2, ms))
	second.Target, second.Parameters.MaxTTL, second.Parameters.Length = path.Target{Host: r4, Addr: netip.MustParseAddr(r4)}, 12, 1400
	got := rendered(t, "text", namer(nil), append(events(first), events(second)...))
	want := "traceroute to target.example (198.51.100.7), 30 hops max, 60 byte packets\n" +
		" 1  10.0.1.1  1.000 ms\n" +
		"traceroute to 10.0.4.1 (10.0.4.1), 12 hops max, 1400 byte packets\n" +
		" 1  10.0.2.1  1.000 ms * *\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A line is not taken back. When the reply that ends the path comes after it, a
// person is told so beside the lines.
func TestNotes(t *testing.T) {
	told := func(p *path.Path, ttl uint8, probes ...path.Probe) []path.Event {
		return tellingHop(ttl, events(p), probes...)
	}
	reached := func() *path.Path { return newPath(1, late(unreachable(1, 1, target, 3, 6*time.Second)), lost(2)) }
	tests := map[string]struct {
		events []path.Event
		want   string
	}{
		"no end":            {events: events(newPath(1, exceeded(1, r1, ms), lost(2)))},
		"the end was shown": {events: events(newPath(1, exceeded(1, r1, ms), unreachable(2, 2, target, 3, ms)))},
		"an end without a RTT": {
			events: events(newPath(1, ambiguous(datagram(1, 1, ms)))),
			want:   "tracewire: unverified: nothing in what 198.51.100.7 answered shows that it got the probes\n",
		},
		"a refusal was shown":                      {events: events(newPath(1, exceeded(1, r1, ms), unreachable(2, 1, r1, 13, ms)))},
		"a refusal was shown before another reply": {events: events(newPath(2, unreachable(1, 1, r1, 13, ms), exceeded(1, r1, ms)))},
		"another reply from the end came later": {
			events: told(newPath(2, unreachable(1, 1, target, 3, ms), late(unreachable(1, 1, target, 3, 6*time.Second))),
				1, unreachable(1, 1, target, 3, ms), lost(1)),
		},
		"the end came later": {
			events: told(reached(), 1, lost(1)),
			want:   "tracewire: the path ends at hop 1, where 198.51.100.7 answered unreachable after that line was written\n",
		},
		"a refusal came later, from a router whose line was written": {
			events: told(newPath(1, exceeded(1, r1, ms), unreachable(2, 1, r1, 13, 2*ms)), 1, exceeded(1, r1, ms)),
			want:   "tracewire: the path ends at hop 1, where 10.0.1.1 answered unreachable !X after that line was written\n",
		},
		"two traces": {
			events: append(events(newPath(1, unreachable(1, 1, target, 3, ms))), told(reached(), 1, lost(1))...),
			want:   "tracewire: the path ends at hop 1, where 198.51.100.7 answered unreachable after that line was written\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := renderedWithNotes(t, "text", namer(nil), test.events); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			for _, format := range []string{"json", "jsonl"} {
				if _, got := renderedWithNotes(t, format, namer(nil), test.events); got != "" {
					t.Errorf("%s: %q", format, got)
				}
			}
		})
	}
}

func TestANoteThatCannotBeWrittenIsReported(t *testing.T) {
	r, err := render.New("text", io.Discard, broken{}, namer(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range belated() {
		if err = r.Event(e); err != nil && e.Kind != path.Ended {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// What a script makes of the text.
type parsedTrace struct {
	Host, Addr   string
	MaxTTL, Size int
	Hops         []parsedHop
}

type parsedHop struct {
	TTL    int
	Fields []parsedField
}

// parsedField is a star if it is zero.
type parsedField struct{ Name, Addr, RTT, Mark string }

var (
	headerLine = regexp.MustCompile(`^traceroute to (\S+) \((\S+)\), (\d+) hops max, (\d+) byte packets$`)
	hopLine    = regexp.MustCompile(`^ ?(\d+) ((?: .*)?)$`)
	responder  = regexp.MustCompile(`^ ([^\s*]\S*)(?: \(([^\s)]+)\))?`)
	roundTrip  = regexp.MustCompile(`^  (\d+\.\d{3}) ms(?: (!\S+))?`)
)

// parse reads the text as scripts that were written for traceroute do, but
// takes nothing that it doesn't know.
func parse(t testing.TB, text string) parsedTrace {
	t.Helper()
	lines := strings.Split(text, "\n")
	head := headerLine.FindStringSubmatch(lines[0])
	if head == nil || lines[len(lines)-1] != "" {
		t.Fatalf("no trace:\n%s", text)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	p := parsedTrace{Host: head[1], Addr: head[2], MaxTTL: number(head[3]), Size: number(head[4])}
	for _, l := range lines[1 : len(lines)-1] {
		m := hopLine.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("no hop: %q", l)
		}
		h := parsedHop{TTL: number(m[1])}
		var at parsedField
		for rest := m[2]; rest != ""; {
			switch field := roundTrip.FindStringSubmatch(rest); {
			case field != nil:
				h.Fields = append(h.Fields, parsedField{at.Name, at.Addr, field[1], field[2]})
				rest = rest[len(field[0]):]
			case strings.HasPrefix(rest, " *"):
				h.Fields = append(h.Fields, parsedField{})
				rest = rest[2:]
			default:
				who := responder.FindStringSubmatch(rest)
				if who == nil {
					t.Fatalf("neither responder, time nor star: %q in %q", rest, l)
				}
				at = parsedField{Name: who[1], Addr: who[2]}
				if at.Addr == "" {
					at = parsedField{Addr: who[1]}
				}
				rest = rest[len(who[0]):]
			}
		}
		p.Hops = append(p.Hops, h)
	}
	return p
}

// expected is what a script should make of a path of which every hop has as
// many probes as there are queries.
func expected(p *path.Path, n namer) parsedTrace {
	want := parsedTrace{
		Host: p.Target.Host, Addr: p.Target.Addr.String(), MaxTTL: int(p.Parameters.MaxTTL), Size: p.Parameters.Length,
	}
	for _, h := range p.Hops() {
		hop := parsedHop{TTL: int(h.TTL)}
		for _, probe := range h.Probes {
			var f parsedField
			if probe.Status == path.Replied && probe.Reply.HasRTT {
				us := (probe.Reply.RTT + 500) / 1000 // rounded, as there are no halves
				f = parsedField{Addr: probe.Reply.From.String(), RTT: fmt.Sprintf("%d.%03d", us/1000, us%1000)}
				if n != nil {
					f.Name = n[probe.Reply.From]
					if f.Name == "" {
						f.Name = f.Addr
					}
				}
				if probe.Reply.Kind == matcher.Unreachable && (probe.Reply.ICMPCode != 3 || probe.Reply.From != p.Target.Addr) {
					f.Mark = map[uint8]string{0: "!N", 1: "!H", 3: "!<3>", 13: "!X", 200: "!<200>"}[probe.Reply.ICMPCode]
				}
			}
			hop.Fields = append(hop.Fields, f)
		}
		want.Hops = append(want.Hops, hop)
	}
	return want
}

func TestScriptsReadWhatTheTraceFound(t *testing.T) {
	for seed := range uint64(300) {
		p := randomPath(rand.New(rand.NewPCG(seed, 0)))
		for kind, n := range map[string]namer{"with names": names, "numeric": nil} {
			got := parse(t, rendered(t, "text", n, events(p)))
			if d := cmp.Diff(expected(p, n), got); d != "" {
				t.Fatalf("seed %d, %s: -want +got\n%s", seed, kind, d)
			}
		}
	}
}

// randomPath has as many probes in every hop as there are queries.
func randomPath(random *rand.Rand) *path.Path {
	routers := []string{r1, r2, r3, r3b, r4}
	queries, hops := 1+random.IntN(5), 1+random.IntN(12)
	var probes []path.Probe
	for ttl := uint8(1); int(ttl) <= hops; ttl++ {
		for range queries {
			rtt := time.Duration(random.IntN(3000))*ms + time.Duration(random.IntN(499))
			router := routers[random.IntN(len(routers))]
			probe := exceeded(ttl, router, rtt)
			switch random.IntN(6) {
			case 0:
				probe = lost(ttl)
			case 1:
				probe = late(probe)
			case 2:
				if int(ttl) == hops {
					probe = unreachable(ttl, ttl, router, []uint8{0, 1, 3, 13, 200}[random.IntN(5)], rtt)
				}
			case 3:
				if int(ttl) == hops {
					probe = ambiguous(datagram(ttl, ttl, rtt))
				}
			}
			probes = append(probes, probe)
		}
	}
	return newPath(queries, probes...)
}

// Whatever stands in a hop, its line has a field for each query, in the order
// of sending.
func TestScriptsFindAFieldForEachQuery(t *testing.T) {
	marked := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		all := randomPath(random)
		probes := slices.Clone(all.Probes)
		random.Shuffle(len(probes), func(i, j int) { probes[i], probes[j] = probes[j], probes[i] })
		p := newPath(1+random.IntN(4), probes...)
		for _, h := range p.Hops() {
			refused := slices.ContainsFunc(h.Probes, func(p path.Probe) bool {
				return p.Status == path.Replied && p.Reply.Kind == matcher.Unreachable // a router's
			})
			got := parse(t, rendered(t, "text", namer(nil), []path.Event{
				{Kind: path.Started, Path: p}, {Kind: path.Decided, Hop: h},
			})).Hops[0]
			if len(got.Fields) != p.Parameters.Queries {
				t.Fatalf("seed %d: %d fields, want %d: %+v", seed, len(got.Fields), p.Parameters.Queries, got)
			}
			if shown := slices.ContainsFunc(got.Fields, func(f parsedField) bool { return f.Mark != "" }); shown != refused {
				t.Fatalf("seed %d: a refusal is shown: %v, want %v: %+v", seed, shown, refused, got)
			}
			if refused {
				marked++
			}
		}
	}
	if marked < 50 {
		t.Errorf("only %d hops refused", marked)
	}
}

// abandoned is a probe that nobody waited for.
func abandoned(ttl uint8) path.Probe { return path.Probe{TTL: ttl, Status: path.Abandoned} }

// A star says that no reply came in time. None stands for a probe that was not
// waited for.
func TestStars(t *testing.T) {
	hop := func(ttl uint8, probes ...path.Probe) path.Hop { return path.Hop{TTL: ttl, Probes: probes} }
	tests := map[string]struct {
		change func(*path.Path)
		hops   []path.Hop
		want   string
		notes  string
	}{
		"interrupted": {
			func(p *path.Path) { p.Interrupted = true; p.Probes = []path.Probe{abandoned(2), abandoned(3)} },
			[]path.Hop{hop(1, exceeded(1, r1, time.Millisecond), lost(1)), hop(2, exceeded(2, r2, time.Millisecond), abandoned(2)), hop(3, abandoned(3))},
			" 1  10.0.1.1  1.000 ms *\n 2  10.0.2.1  1.000 ms\n",
			"tracewire: interrupted, while 2 probes were waited for\n",
		},
		"interrupted between two probes": {
			func(p *path.Path) { p.Interrupted = true },
			[]path.Hop{hop(1, exceeded(1, r1, time.Millisecond))},
			" 1  10.0.1.1  1.000 ms\n", "tracewire: interrupted\n",
		},
		"beyond the end, in a capture": {
			func(p *path.Path) { p.Clock.Captured = true },
			[]path.Hop{hop(2, datagram(2, 2, time.Millisecond), lost(3), abandoned(4)), hop(5, abandoned(5))},
			" 2  198.51.100.7  1.000 ms\n 5  *\n", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPath(3)
			test.change(p)
			all := []path.Event{{Kind: path.Started, Path: p}}
			for _, h := range test.hops {
				all = append(all, path.Event{Kind: path.Decided, Hop: h, Path: p})
			}
			out, notes := renderedWithNotes(t, "text", namer(nil), append(all, path.Event{Kind: path.Ended, Path: p}))
			if _, got, _ := strings.Cut(out, "\n"); got != test.want || notes != test.notes {
				t.Errorf("-want +got\n%s", cmp.Diff(test.want+test.notes, got+notes))
			}
		})
	}
}

// The destination's line is the last one, even if a line was written for its hop
// before its answer came.
func TestTheDestinationsLineIsWrittenAgain(t *testing.T) {
	p := newPath(1, lost(1), lost(2), unreachable(4, 2, target, 3, 5*ms))
	told := []path.Event{
		{Kind: path.Started, Path: p}, {Kind: path.Decided, Hop: path.Hop{TTL: 1, Probes: p.Probes[:1]}},
		{Kind: path.Decided, Hop: path.Hop{TTL: 2, Probes: p.Probes[1:2]}}, {Kind: path.Ended, Path: p},
	}
	out, notes := renderedWithNotes(t, "text", namer(nil), told)
	_, got, _ := strings.Cut(out, "\n")
	if d := cmp.Diff(" 1  *\n 2  *\n 2  198.51.100.7  5.000 ms\n", got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if !strings.Contains(notes, "the path ends at hop 2") {
		t.Error(notes)
	}
}

// What a TCP answer says of the port is a note beside the lines, which are as
// traceroute's; the flags stand behind the address if they are asked for.
func TestPorts(t *testing.T) {
	answer := func(kind matcher.Kind) *path.Path {
		p := datagram(1, 1, ms)
		p.Reply.Kind, p.Reply.MatchedBy = kind, matcher.ByFields
		return withTCP(newPath(1, p))
	}
	flags := func(p *path.Path, f craft.TCPFlags) *path.Path { p.Parameters.TCP.Flags = f; return p }
	silence := withTCP(newPath(1, lost(1)))
	cut := withTCP(newPath(1, abandoned(1)))
	cut.Interrupted = true
	for name, test := range map[string]struct {
		path                     *path.Path
		line, info, state, notes string
	}{
		"open":                 {answer(matcher.SYNACK), "198.51.100.7  1.000 ms", "198.51.100.7 <syn,ack>  1.000 ms", "open", "tracewire: port 33434 is open\n"},
		"closed":               {answer(matcher.RST), "198.51.100.7  1.000 ms", "198.51.100.7 <rst,ack>  1.000 ms", "closed", "tracewire: port 33434 is closed\n"},
		"an answer to an ACK":  {flags(answer(matcher.RST), craft.FlagACK), "198.51.100.7  1.000 ms", "198.51.100.7 <rst,ack>  1.000 ms", "", ""},
		"an answer, with ECN":  {flags(answer(matcher.SYNACK), craft.FlagSYN|craft.FlagECE|craft.FlagCWR), "198.51.100.7  1.000 ms", "198.51.100.7 <syn,ack>  1.000 ms", "open", "tracewire: port 33434 is open\n"},
		"filtered":             {silence, "*", "*", "filtered", "tracewire: port 33434 is filtered: no answer came from 198.51.100.7\n"},
		"a trace that was cut": {cut, "", "", "", "tracewire: interrupted, while 1 probe was waited for\n"},
		"no TCP":               {newPath(1, lost(1)), "*", "*", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for info, want := range map[bool]string{false: test.line, true: test.info} {
				var out, notes bytes.Buffer
				r := render.NewText(&out, &notes, namer(nil), render.TextOptions{Info: info})
				h := path.Hop{TTL: 1, Probes: test.path.Probes}
				for _, e := range []path.Event{{Kind: path.Started, Path: test.path}, {Kind: path.Decided, Hop: h, Path: test.path}, {Kind: path.Ended, Path: test.path}} {
					if err := r.Event(e); err != nil {
						t.Fatal(err)
					}
				}
				_, got, _ := strings.Cut(out.String(), "\n")
				if got = strings.TrimSpace(strings.TrimPrefix(got, " 1  ")); got != want || notes.String() != test.notes {
					t.Errorf("%q and %q, want %q and %q", got, notes.String(), want, test.notes)
				}
			}
			if got := render.PortState(test.path); got != test.state {
				t.Errorf("%q, want %q", got, test.state)
			}
		})
	}
}

func withTCP(p *path.Path) *path.Path {
	p.Protocol = layers.IPProtocolTCP
	return p
}

// Extensions stand on the lines of those who replied to probes that are not known.
func TestExtensionsOfUnknownProbes(t *testing.T) {
	labelled := func(label uint32) path.Probe {
		p := exceeded(0, r1, 0)
		p.Reply.Hop, p.Reply.HasRTT = 0, false
		p.Reply.Extensions = &matcher.Extensions{Verified: true, Objects: []matcher.ExtensionObject{
			{Class: 1, Type: 1, Labels: []matcher.Label{{Label: label, Bottom: true, TTL: 1}}},
		}}
		return p
	}
	p := newPath(1)
	var out bytes.Buffer
	r := render.NewText(&out, io.Discard, namer(nil), render.TextOptions{Extensions: true})
	for _, e := range []path.Event{{Kind: path.Started, Path: p}, {Kind: path.Decided, Hop: path.Hop{Probes: []path.Probe{labelled(7), labelled(7), labelled(8)}}}} {
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	want := " ?  10.0.1.1 <MPLS:L=7,E=0,S=1,T=1> * * <MPLS:L=8,E=0,S=1,T=1> *\n"
	if _, got, _ := strings.Cut(out.String(), "\n"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
