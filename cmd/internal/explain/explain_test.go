package explain_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/cmd/internal/dissect"
	"github.com/tracewire/tracewire/cmd/internal/explain"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	ms     = time.Millisecond
	target = "198.51.100.7"
)

// scenario is a trace through a simulated network.
type scenario struct {
	change func(*capturetest.Chain)
	host   capturetest.Host
	also   []string
	o      tracewire.Options
}

// chain is four routers and the target, a millisecond apart.
func (s scenario) chain() capturetest.Chain {
	c := capturetest.ChainOf(ms, "10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1", target)
	if s.change != nil {
		s.change(&c)
	}
	return c
}

// recorded makes the trace in virtual time, and returns its recording.
func (s scenario) recorded(t *testing.T) (file []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.New(s.chain())
		if err != nil {
			t.Fatal(err)
		}
		conn := network.Conn(s.host)
		var to bytes.Buffer
		o := s.o
		o.Seed = 1
		o.Dial = func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
			h := conn.Host()
			return &tracewire.Wire{Conn: conn, Port: 50000, Source: path.Source{
				Addr: h.Addr, Interface: "sim0", MAC: h.MAC, NextHop: netip.MustParseAddr("192.0.2.254"), NextHopMAC: h.GatewayMAC,
				Also: s.also,
			}}, nil
		}
		if o.Recording, err = tracewire.NewRecording(&to, "a test"); err != nil {
			t.Fatal(err)
		}
		tracer, err := tracewire.NewTracer(&o)
		if err != nil {
			t.Fatal(err)
		}
		err = tracer.Trace(t.Context(), tracewire.Target{Addr: netip.MustParseAddr(target), Host: "target.example"}, func(tracewire.Event) {})
		if err != nil {
			t.Fatal(err)
		}
		file = to.Bytes()
	})
	return file
}

// explained reads a capture of one trace twice, as the command does.
func explained(t testing.TB, capture []byte, names map[netip.Addr]string) *explain.Explanation {
	t.Helper()
	var p *path.Path
	err := tracewire.Replay(t.Context(), opened(t, capture), nil, func(e tracewire.Event) {
		if e.Kind == path.Ended && p == nil {
			p = e.Path
		}
	})
	if err != nil || p == nil {
		t.Fatal("no trace", err)
	}
	evidence, err := explain.Gather(t.Context(), opened(t, capture), p)
	if err != nil {
		t.Fatal(err)
	}
	return &explain.Explanation{Evidence: evidence, Names: names}
}

func opened(t testing.TB, file []byte) *capture.File {
	t.Helper()
	f, err := capture.NewFile(bytes.NewReader(file), "a capture")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// text is what an Explanation writes: the overview, and all about some probes.
func text(t testing.TB, x *explain.Explanation, probes ...int) string {
	t.Helper()
	var b bytes.Buffer
	if err := x.Overview(&b); err != nil {
		t.Fatal(err)
	}
	for _, n := range probes {
		b.WriteString("\n==== --probe\n")
		if err := x.Probe(&b, n); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, l := range strings.Split(got, "\n") {
		if n := len([]rune(l)); n > render.Columns && strings.ContainsRune(strings.TrimSpace(l), ' ') {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// quoting has a router quote what an edit leaves of its message, from the ICMP
// header on.
func quoting(n int, edit func(message []byte)) func(*capturetest.Chain) {
	return func(c *capturetest.Chain) {
		c.Routers[n].Quote.Edit = func(m []byte) []byte {
			edit(m)
			return m
		}
	}
}

// Where things are in an ICMP error that quotes IPv4 and UDP.
const (
	quotedPort     = 8 + 20
	quotedChecksum = 8 + 20 + 6
	quotedCookie   = 8 + 20 + 8 + 2
)

func TestExplanations(t *testing.T) {
	cleared := uint8(0)
	tests := map[string]struct {
		scenario
		probes []int
	}{
		"clean": {scenario{o: tracewire.Options{Queries: 2}}, []int{0, 4}},
		"dscp": {scenario{o: tracewire.Options{Queries: 2, TOS: 0xb8, DF: true}, change: func(c *capturetest.Chain) {
			c.Routers[2].Quote.TOS, c.Routers[3].Quote.TOS, c.Destination.Quote.TOS = &cleared, &cleared, &cleared
		}}, []int{2}},
		"late": {scenario{o: tracewire.Options{Queries: 1, Interval: 300 * ms, Wait: path.Wait{Max: time.Second}}, change: func(c *capturetest.Chain) {
			c.Routers[1].Reply.Late = map[int]time.Duration{1: 1200 * ms}
			c.Routers[2].Silent = true
		}}, []int{1, 2}},
		"short": {scenario{o: tracewire.Options{Queries: 1}, change: func(c *capturetest.Chain) {
			c.Routers[0].Quote.Length = capturetest.QuoteRFC792
		}}, []int{0}},
		"cookie": {scenario{o: tracewire.Options{Queries: 1}, change: quoting(1, func(m []byte) {
			m[quotedCookie] ^= 0xff
		})}, []int{1}},
		"translated": {scenario{o: tracewire.Options{Queries: 1}, change: func(c *capturetest.Chain) {
			quoting(1, func(m []byte) { m[quotedPort] ^= 0x10; m[quotedChecksum] ^= 0x10 })(c)
			c.Routers[1].Quote.Length = capturetest.QuoteRFC792
		}}, []int{1}},
		"unseen":    {scenario{o: tracewire.Options{Queries: 1}, host: capturetest.Host{NoCopies: true}}, []int{0}},
		"duplicate": {scenario{o: tracewire.Options{Queries: 1}, change: func(c *capturetest.Chain) { c.Routers[0].Reply.Copies, c.Routers[0].Reply.Spacing = 1, ms }}, []int{0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".txt", text(t, explained(t, test.recorded(t), nil), test.probes...))
		})
	}
}

// The captures of others: labels, interface information, IPv6, cut quotes, and
// replies of which the probe is not there.
func TestExplanationsOfCaptures(t *testing.T) {
	for _, name := range []string{
		"caracal_icmp-icmp-ttl-exceeded-mpls", "caracal_icmp6-icmp6-ttl-exceeded", "caracal_udp-icmp-ttl-exceeded",
		"caracal_udp-icmp6-ttl-exceeded", "tcpdump_mpls_traceroute", "tcpdump_icmp-rfc5837", "tcpdump_icmp_inft_name_length_zero",
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".txt", text(t, explained(t, shipped(t, name), nil), 0))
		})
	}
}

// field is a file in testdata/field.
func field(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("../../../testdata/field", name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// shipped is a capture in testdata.
func shipped(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("../../../testdata/captures", name+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Whoever runs a name server may have written anything.
func TestNothingMovesTheCursor(t *testing.T) {
	file := scenario{o: tracewire.Options{Queries: 1}, change: func(c *capturetest.Chain) {
		quoting(0, func(m []byte) { copy(m[quotedCookie+8:], "\x1b[2J\x1b]0;title\a") })(c)
	}}.recorded(t)
	x := explained(t, file, map[netip.Addr]string{netip.MustParseAddr("10.0.1.1"): "evil\x1b[31m\nname\u202e"})
	got := text(t, x, 0)
	if !strings.Contains(got, `10.0.1.1 (evil\x1b[31m\nname\u202e)`) {
		t.Errorf("no escaped name:\n%s", got)
	}
	for _, r := range got {
		if r != '\n' && r < ' ' || r == 0x202e || r == 0x7f {
			t.Fatalf("%q is in\n%s", r, got)
		}
	}
}

func TestColoursAreOnlyAddedToTheText(t *testing.T) {
	x := explained(t, scenario{o: tracewire.Options{Queries: 1}}.recorded(t), nil)
	plain := text(t, x, 0)
	x.Painter = dissect.Painter{Coloured: true}
	coloured := text(t, x, 0)
	if plain == coloured {
		t.Error("no colours")
	}
	if d := cmp.Diff(plain, withoutColours(coloured)); d != "" {
		t.Errorf("-plain +coloured\n%s", d)
	}
}

// withoutColours removes SGR sequences.
func withoutColours(s string) string {
	var b strings.Builder
	for s != "" {
		before, after, found := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !found {
			break
		}
		_, s, _ = strings.Cut(after, "m")
	}
	return b.String()
}

func TestWhatIsNotThere(t *testing.T) {
	x := explained(t, scenario{o: tracewire.Options{Queries: 1, FirstTTL: 2}}.recorded(t), nil)
	tests := map[string]struct {
		err  error
		want string
	}{
		"a hop before the first": {x.Hop(&bytes.Buffer{}, 1), "there is no hop 1: the trace has hops 2-5"},
		"a hop beyond the last":  {x.Hop(&bytes.Buffer{}, 200), "there is no hop 200: the trace has hops 2-5"},
		"a probe":                {x.Probe(&bytes.Buffer{}, 1000), "there is no probe 1000: the trace has probes 0 to"},
		"a negative one":         {x.Probe(&bytes.Buffer{}, -1), "there is no probe -1: the trace has probes 0 to"},
	}
	for name, test := range tests {
		if missing := (*explain.MissingError)(nil); !errors.As(test.err, &missing) || !strings.HasPrefix(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, test.err, test.want)
		}
	}
}

// A hop is all of its probes.
func TestAHopIsItsProbes(t *testing.T) {
	x := explained(t, scenario{o: tracewire.Options{Queries: 2}}.recorded(t), nil)
	var hop bytes.Buffer
	if err := x.Hop(&hop, 2); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(hop.String(), ": TTL 2, round "); n != 2 {
		t.Errorf("%d probes:\n%s", n, hop.String())
	}
}

// A reply in which nothing is noteworthy is explained in the memory of the one before.
func TestAReplyCostsLittle(t *testing.T) {
	allocated := func(queries int) float64 {
		x := explained(t, scenario{o: tracewire.Options{Queries: queries}}.recorded(t), nil)
		return testing.AllocsPerRun(5, func() {
			if err := x.Overview(io.Discard); err != nil {
				t.Fatal(err)
			}
		})
	}
	const hops, few, many = 5, 3, 10
	if each := (allocated(many) - allocated(few)) / (hops * (many - few)); each > 30 { // it was 98 before it kept its memory
		t.Errorf("explaining a reply allocates %v times", each)
	}
}

// Where replies could come in by other interfaces, it says that these were looked at.
func TestOverviewNamesWhatWasCapturedOn(t *testing.T) {
	const line = "the probes left by sim0; replies were captured on sim0, eth1, wg0\n"
	for _, also := range [][]string{nil, {"eth1", "wg0"}} {
		var b strings.Builder
		if err := explained(t, scenario{also: also}.recorded(t), nil).Overview(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), line) != (also != nil) {
			t.Errorf("captured on %q too:\n%s", also, b.String())
		}
	}
}
