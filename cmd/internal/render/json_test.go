package render_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/path"
)

// object reads a JSON object.
func object(t testing.TB, s string) map[string]any {
	t.Helper()
	v, ok := decoded(t, s).(map[string]any)
	if !ok {
		t.Fatalf("no object: %s", s)
	}
	return v
}

// The lines of jsonl tell together what the document of json tells, but for what
// came after a hop's line.
func TestBothJSONFormatsTellTheSame(t *testing.T) {
	for name := range traces() {
		if name == "belated" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			document := object(t, jsonLines(t, "json", name)[0])
			together := map[string]any{}
			hops := []any{}
			for _, l := range jsonLines(t, "jsonl", name) {
				o := object(t, l)
				switch o["event"] {
				case "hop":
					delete(o, "event")
					hops = append(hops, o)
				case "start", "end":
					delete(o, "event")
					for k, v := range o {
						if was, ok := together[k]; ok && !cmp.Equal(was, v) {
							t.Errorf("%s is %v at the start and %v at the end", k, was, v)
						}
						together[k] = v
					}
				}
			}
			together["hops"] = hops
			if d := cmp.Diff(document, together); d != "" {
				t.Errorf("-json +jsonl\n%s", d)
			}
		})
	}
}

// In jsonl a probe's story is told as it happens; the document has its outcome.
func TestRepliesToldOneByOne(t *testing.T) {
	p := newPath(1, with(late(exceeded(1, r1, 6*time.Second)), late(exceeded(1, r3, 7*time.Second))))
	type event struct {
		Event, Status string
		First         *bool
		Reply         struct {
			From netip.Addr
			RTT  int64 `json:"rtt_ns"`
			Late bool
		}
	}
	var got []event
	for _, l := range strings.SplitAfter(rendered(t, "jsonl", names, events(p)), "\n")[1:5] {
		var e event
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		got = append(got, e)
	}
	yes, no := true, false
	want := []event{{Event: "probe"}, {Event: "timeout", Status: "timeout"}, {Event: "reply", Status: "late", First: &yes}, {Event: "reply", Status: "late", First: &no}}
	for i, r := range []*path.Reply{p.Probes[0].Reply, &p.Probes[0].Extra[0]} {
		told := &want[2+i].Reply
		told.From, told.RTT, told.Late = r.From, int64(r.RTT), true
	}
	if d := cmp.Diff(want, got, equal); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestWhichClockStampedTheProbes(t *testing.T) {
	unsent := path.Probe{TTL: 1, Status: path.Unsent}
	tests := map[string]struct {
		probes []path.Probe
		want   string
	}{
		"none was sent":         {nil, "kernel"},
		"none left":             {[]path.Probe{unsent}, "kernel"},
		"every copy was seen":   {[]path.Probe{exceeded(1, r1, ms), lost(1)}, "kernel"},
		"no copy was seen":      {[]path.Probe{user(exceeded(1, r1, ms)), user(lost(1))}, "user"},
		"some copies were seen": {[]path.Probe{exceeded(1, r1, ms), user(lost(1))}, "mixed"},
		"all but what was lost": {[]path.Probe{exceeded(1, r1, ms), unsent}, "kernel"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clock := object(t, rendered(t, "json", names, events(newPath(1, test.probes...))))["clock"]
			want := map[string]any{"tx": test.want, "rx": "kernel", "stepped": false}
			if d := cmp.Diff(any(want), clock); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// Times are UTC with all nine digits, wherever and however round they are.
func TestTimes(t *testing.T) {
	tests := map[string]struct {
		at   time.Time
		want any
	}{
		"nanoseconds":    {time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "2026-01-02T03:04:05.000000006Z"},
		"a whole second": {time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05.000000000Z"},
		"another zone":   {time.Date(2026, 1, 2, 3, 4, 5, 999999999, time.FixedZone("", 2*60*60)), "2026-01-02T01:04:05.999999999Z"},
		"not known":      {time.Time{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPath(1)
			p.Started = test.at
			if got := object(t, rendered(t, "json", names, events(p)))["started"]; got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// What comes from outside can't end a line or a string.
func TestNamesInJSON(t *testing.T) {
	const nasty = "a\"b\\c\nd\x1b[2J<&>\u2028"
	p := newPath(1, exceeded(1, r1, ms))
	p.Target.Host = nasty
	out := rendered(t, "json", namer{netip.MustParseAddr(r1): nasty}, events(p))
	if strings.Count(out, "\n") != 1 || strings.ContainsRune(out, '\x1b') {
		t.Errorf("%q", out)
	}
	if !strings.Contains(out, "<&>") {
		t.Errorf("escaped for HTML: %q", out)
	}
	var got struct {
		Target struct{ Host string }
		Hops   []struct {
			Probes []struct{ Reply struct{ Name string } }
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Target.Host != nasty || got.Hops[0].Probes[0].Reply.Name != nasty {
		t.Errorf("%+v", got)
	}
}

// Without a Namer's names, every name is null; so it is for those without one.
func TestNamesThatAreNotLookedUp(t *testing.T) {
	out := rendered(t, "json", namer(nil), events(newPath(1, exceeded(1, r1, ms))))
	if !strings.Contains(out, `"name":null`) || strings.Contains(out, "gateway.") {
		t.Error(out)
	}
}
