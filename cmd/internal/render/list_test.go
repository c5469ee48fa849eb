package render_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// listed is what a list makes of events.
func listed(t testing.TB, format string, all []path.Event) string {
	t.Helper()
	var b bytes.Buffer
	l, err := render.NewList(format, &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := l.Event(e); err != nil {
			t.Fatalf("%v: %v", e.Kind, err)
		}
	}
	return b.String()
}

// eventsOf are the events of traces, one after the other.
func eventsOf(paths ...*path.Path) (list []path.Event) {
	for _, p := range paths {
		list = append(list, events(p)...)
	}
	return list
}

func TestListOfTraces(t *testing.T) {
	long := icmpv6()
	long.Source.Addr = netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666")
	long.Target.Addr = netip.MustParseAddr("2001:db8:7777:8888:9999:aaaa:bbbb:cccc")
	odd := silence()
	odd.Tool = "a\ttool of mine"
	unanswered := newPath(1, lost(1), path.Probe{TTL: 2, Status: path.Unsent})
	got := listed(t, "text", eventsOf(plain(), tcp(), icmpv6(), replies(), refused(), odd, long, unanswered))
	want := `    1  2026-01-02T03:04:05.000000Z  192.0.2.1 -> 198.51.100.7           udp     tracewire        4 hops  reached
    2  2026-01-02T03:04:05.000000Z  192.0.2.1 -> 198.51.100.7           tcp     tcptraceroute    5 hops  reached
    3  2026-01-02T03:04:05.000000Z  2001:db8::2 -> 2001:db8:7::7                          icmpv6  tracewire        4 hops  reached
    4  2026-01-02T03:04:05.000000Z  192.0.2.1 -> 198.51.100.7           udp     -                ? hops  reached
    5  2026-01-02T03:04:05.000000Z  192.0.2.1 -> 198.51.100.7           udp     tracewire        2 hops  unreached
    6  2026-01-02T03:04:05.000000Z  192.0.2.1 -> 198.51.100.7           udp     a\ttool_of_mine    5 hops  unreached
    7  2026-01-02T03:04:05.000000Z  2001:db8:1111:2222:3333:4444:5555:6666 -> 2001:db8:7777:8888:9999:aaaa:bbbb:cccc  icmpv6  tracewire        3 hops  unreached
    8  2026-01-02T03:04:05.000000Z  192.0.2.1 -> 198.51.100.7           udp     tracewire        0 hops  unreached
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for l := range strings.Lines(got) {
		if n := len(strings.Fields(l)); n != 10 {
			t.Errorf("%d fields, want 10: %q", n, l)
		}
	}
}

func TestListAsJSON(t *testing.T) {
	const times = `"started":"2026-01-02T03:04:05.000000006Z","ended":"2026-01-02T03:04:06.000000006Z",`
	want := `{"trace":1,` + times + `"source":"192.0.2.1","target":"198.51.100.7","protocol":"tcp","tool":"tcptraceroute","hops":5,"reached":true,"probes":8,"replies":6}
{"trace":2,` + times + `"source":"192.0.2.1","target":"198.51.100.7","protocol":"udp","tool":null,"hops":null,"reached":true,"probes":0,"replies":6}
{"trace":3,` + times + `"source":"192.0.2.1","target":"198.51.100.7","protocol":"udp","tool":"tracewire","hops":0,"reached":false,"probes":1,"replies":0}
`
	unanswered := newPath(1, lost(1), path.Probe{TTL: 2, Status: path.Unsent})
	for _, format := range []string{"json", "jsonl"} {
		if d := cmp.Diff(want, listed(t, format, eventsOf(tcp(), replies(), unanswered))); d != "" {
			t.Errorf("%s: -want +got\n%s", format, d)
		}
	}
}

// Who leaves traces out numbers the others as they are in the file.
func TestTheNumberOfATrace(t *testing.T) {
	var b bytes.Buffer
	l, err := render.NewList("text", &b)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{7, 123456} {
		if err := l.Trace(n, plain()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Fields(line)[0])
	}
	if d := cmp.Diff([]string{"7", "123456"}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestListThatCannotBeWritten(t *testing.T) {
	for _, format := range render.Formats() {
		l, err := render.NewList(format, broken{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Trace(1, plain()); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := render.NewList("xml", io.Discard); err == nil {
		t.Error("xml is taken for a format")
	}
}
