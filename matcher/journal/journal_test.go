package journal

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

var at = time.Date(2026, 11, 23, 15, 12, 45, 249811278, time.UTC)

func newPath() *path.Path {
	return &path.Path{
		Target: path.Target{Host: "www.example", Addr: netip.MustParseAddr("198.51.100.80")},
		Source: path.Source{
			Addr: netip.MustParseAddr("192.0.2.10"), Interface: "eth0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
			NextHop: netip.MustParseAddr("192.0.2.1"), NextHopMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		},
		Protocol: layers.IPProtocolUDP, Tool: "tracewire",
		Parameters: path.Parameters{
			FirstTTL: 1, MaxTTL: 30, Queries: 3, InFlight: 16, Wait: path.Wait{Max: 5 * time.Second, Here: 3, Near: 10},
			Interval: time.Millisecond, SrcPort: 50000, DstPort: 33434, ID: 7, Length: 60, TOS: 0xb8, DF: true, Seed: 1<<63 + 1,
		},
	}
}

func notes() map[string]*Note {
	probe := path.Probe{TTL: 6, Round: 2, ID: 8, SrcPort: 50000, DstPort: 33434, Sequence: 9, Called: at}
	bare := newPath()
	bare.Source.MAC, bare.Source.NextHopMAC = nil, nil
	return map[string]*Note{
		"start":              {Trace: 1, Start: StartOf(newPath(), 7, at)},
		"start without MACs": {Trace: 1, Start: StartOf(bare, 7, at)},
		"sent":               {Trace: 2, Sent: SentOf(&probe, &craft.Key{ID: 8, Token: 1 << 31, HasCookie: true, Cookie: 1<<64 - 1})},
		"sent, no cookie":    {Trace: 2, Sent: SentOf(&probe, &craft.Key{ID: 8, Token: 3})},
		"failed":             {Trace: 1, Failed: &Failed{Probe: 17}},
		"passed":             {Trace: 1, Passed: &Passed{At: At(at), Step: -time.Second}},
		"read":               {Trace: 1, Read: &Read{At: At(at)}},
		"end":                {Trace: 1, End: &End{At: At(at), Interrupted: true, Dropped: 3}},
	}
}

func TestNotesAreReadBack(t *testing.T) {
	for name, note := range notes() {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(note.Comment())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(note, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestStartGivesThePathBack(t *testing.T) {
	want := newPath()
	if d := cmp.Diff(want, StartOf(want, 7, at).Path(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSentGivesTheProbeBack(t *testing.T) {
	probe := path.Probe{TTL: 6, Round: 2, ID: 8, SrcPort: 50000, DstPort: 33434, Called: at}
	key := craft.Key{
		Dst: newPath().Target.Addr, Protocol: layers.IPProtocolUDP, SrcPort: 50000, DstPort: 33434, ID: 8, Token: 5, Cookie: 6, HasCookie: true,
	}
	gotProbe, gotKey := SentOf(&probe, &key).Probe(key.Dst, key.Protocol)
	if d := cmp.Diff(probe, gotProbe); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if gotKey != key {
		t.Errorf("%+v, want %+v", gotKey, key)
	}
}

// People read the notes too.
func TestNotesAsPeopleSeeThem(t *testing.T) {
	all := notes()
	for name, want := range map[string]string{
		"start":  `"mac":"02:00:00:00:00:02","next_hop":"192.0.2.1","next_hop_mac":"02:00:00:00:00:01"`,
		"sent":   `tracewire/1 {"trace":2,"sent":{"ttl":6,"round":2,"id":8,"src_port":50000,"dst_port":33434,"sequence":9,"called":1795446765249811278,"key":{"id":8,"token":2147483648,"cookie":"18446744073709551615"}}}`,
		"passed": `tracewire/1 {"trace":1,"passed":{"at":1795446765249811278,"step":-1000000000}}`,
	} {
		if got := all[name].Comment(); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got, want := all["start"].Comment(), `"wait":{"max":5000000000,"here":3,"near":10}`; !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOtherCommentsAreNoNotes(t *testing.T) {
	for _, comment := range []string{"", "probe 17: TTL 6, round 2", "tracewire/1", `tracewire/2 {"trace":1}`, ` tracewire/1 {"trace":1}`} {
		if note, err := Parse(comment); note != nil || err != nil {
			t.Errorf("%q: %+v, %v", comment, note, err)
		}
	}
}

func TestDamagedNotes(t *testing.T) {
	start := notes()["start"].Comment()
	damage := func(old, by string) string {
		if !strings.Contains(start, old) {
			t.Fatalf("%s is not in %s", old, start)
		}
		return strings.Replace(start, old, by, 1)
	}
	for name, comment := range map[string]string{
		"no JSON":                  "tracewire/1 {",
		"of no trace":              `tracewire/1 {"read":{"at":1}}`,
		"something behind it":      `tracewire/1 {"trace":1} {}`,
		"a number that is none":    `tracewire/1 {"trace":1,"read":{"at":"now"}}`,
		"a number that is large":   `tracewire/1 {"trace":1,"sent":{"ttl":256,"round":1}}`,
		"a probe without a TTL":    `tracewire/1 {"trace":1,"sent":{"round":1}}`,
		"a probe in round 0":       `tracewire/1 {"trace":1,"sent":{"ttl":1}}`,
		"a probe before all":       `tracewire/1 {"trace":1,"failed":{"probe":-1}}`,
		"a negative count":         `tracewire/1 {"trace":1,"end":{"at":1,"dropped":-1}}`,
		"no target":                damage(`"198.51.100.80"`, `""`),
		"no source":                damage(`"192.0.2.10"`, `""`),
		"a MAC that is none":       damage("02:00:00:00:00:02", "AgAAAAAC"),
		"TTL 0":                    damage(`"first_ttl":1`, `"first_ttl":0`),
		"TTLs that go down":        damage(`"first_ttl":1`, `"first_ttl":31`),
		"no queries":               damage(`"queries":3`, `"queries":0`),
		"more queries than memory": damage(`"queries":3`, `"queries":1000000000`),
		"no wait":                  damage(`"max":5000000000`, `"max":0`),
		"a wait that is negative":  damage(`"here":3`, `"here":-3`),
	} {
		t.Run(name, func(t *testing.T) {
			if note, err := Parse(comment); note != nil || !errors.Is(err, ErrNote) {
				t.Errorf("%+v, %v", note, err)
			}
		})
	}
}

// What Parse takes, Comment writes so that Parse takes it again, and the same.
func FuzzParse(f *testing.F) {
	seeds := 0
	for _, note := range notes() {
		f.Add(strings.TrimPrefix(note.Comment(), prefix))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, text string) {
		note, err := Parse(prefix + text)
		if err != nil {
			if note != nil || !errors.Is(err, ErrNote) {
				t.Fatalf("%+v, %v", note, err)
			}
			return
		}
		again, err := Parse(note.Comment())
		if err != nil {
			t.Fatalf("%s: %v", note.Comment(), err)
		}
		if d := cmp.Diff(note, again, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	})
}
