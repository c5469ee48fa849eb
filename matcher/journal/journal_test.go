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

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/plan"
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
			Interval: time.Millisecond, SrcPort: 50000, DstPort: 33434, ID: 7, Length: 60, TOS: 0xb8, DF: true, Seed: 1<<53 - 1,
		},
	}
}

func started(p *path.Path) *Start {
	return noteOf(&path.Entry{Kind: path.Start, Trace: 1, At: at, Path: p, Run: 7}).Start
}

func sent(p path.Probe, k craft.Key) *Sent {
	return noteOf(&path.Entry{Kind: path.Sent, Trace: 1, Probe: p, Key: k}).Sent
}

func missed(g frame.Gap) *Missed {
	return noteOf(&path.Entry{Kind: path.Missed, Trace: 1, Gap: g}).Missed
}

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }

func notes() map[string]*Note {
	probe := path.Probe{TTL: 6, Round: 2, ID: 8, SrcPort: 50000, DstPort: 33434, Sequence: 9, Called: at}
	several := newPath()
	several.Source.Also = []string{"eth1", "wg0"}
	bare := newPath()
	bare.Source.MAC, bare.Source.NextHopMAC = nil, nil
	return map[string]*Note{
		"start":              {Trace: 1, Start: started(newPath())},
		"start on several":   {Trace: 1, Start: started(several)},
		"start without MACs": {Trace: 1, Start: started(bare)},
		"sent":               {Trace: 2, Sent: sent(probe, craft.Key{ID: 8, Token: 1 << 31, HasCookie: true, Cookie: 1<<64 - 1})},
		"sent, no cookie":    {Trace: 2, Sent: sent(probe, craft.Key{ID: 8, Token: 3})},
		"failed":             {Trace: 1, Failed: &Failed{Probe: 17}},
		"passed":             {Trace: 1, Passed: &Passed{At: At(at), Step: -time.Second}},
		"missed":             {Trace: 1, Missed: missed(frame.Gap{From: at, To: at.Add(time.Second), Frames: 124})},
		"missed, and lasts":  {Trace: 1, Missed: missed(frame.Gap{From: at, Cause: frame.AddressRemoved, Addr: newPath().Source.Addr})},
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
	want.Source.Also = []string{"eth1"}
	if d := cmp.Diff(want, started(want).path(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSentGivesTheProbeBack(t *testing.T) {
	probe := path.Probe{TTL: 6, Round: 2, ID: 8, SrcPort: 50000, DstPort: 33434, Called: at}
	key := craft.Key{
		Dst: newPath().Target.Addr, Protocol: layers.IPProtocolUDP, SrcPort: 50000, DstPort: 33434, ID: 8, Token: 5, Cookie: 6, HasCookie: true,
	}
	gotProbe, gotKey := sent(probe, key).probe(key.Dst, key.Protocol)
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
		"sent":   `tracewire/2 {"trace":2,"sent":{"ttl":6,"round":2,"id":8,"src_port":50000,"dst_port":33434,"sequence":9,"called":1795446765249811278,"key":{"id":8,"token":2147483648,"cookie":"18446744073709551615"}}}`,
		"passed": `tracewire/2 {"trace":1,"passed":{"at":1795446765249811278,"step":-1000000000}}`,
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
	for _, comment := range []string{"", "probe 17: TTL 6, round 2", "tracewire/1", `tracewire/3 {"trace":1}`, ` tracewire/1 {"trace":1}`} {
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
		"no other interface":       damage(`"next_hop":`, `"also":["eth0"],"next_hop":`),
		"an interface twice":       damage(`"next_hop":`, `"also":["eth1","eth1"],"next_hop":`),
		"an unnamed interface":     damage(`"next_hop":`, `"also":[""],"next_hop":`),
		"interfaces that are none": damage(`"next_hop":`, `"also":[],"next_hop":`),
		"of no trace":              `tracewire/2 {"read":{"at":1}}`,
		"something behind it":      `tracewire/2 {"trace":1} {}`,
		"a number that is none":    `tracewire/2 {"trace":1,"read":{"at":"now"}}`,
		"a number that is large":   `tracewire/2 {"trace":1,"sent":{"ttl":256,"round":1}}`,
		"a probe without a TTL":    `tracewire/2 {"trace":1,"sent":{"round":1}}`,
		"a probe in round 0":       `tracewire/2 {"trace":1,"sent":{"ttl":1}}`,
		"a probe before all":       `tracewire/2 {"trace":1,"failed":{"probe":-1}}`,
		"a negative count":         `tracewire/2 {"trace":1,"end":{"at":1,"dropped":-1}}`,
		"a gap of no cause":        `tracewire/2 {"trace":1,"missed":{"from":1,"cause":3}}`,
		"a gap without a past":     `tracewire/2 {"trace":1,"missed":{"from":2,"to":1}}`,
		"a gap of less than none":  `tracewire/2 {"trace":1,"missed":{"from":2,"frames":-1}}`,
		"no target":                damage(`"198.51.100.80"`, `""`),
		"no source":                damage(`"192.0.2.10"`, `""`),
		"a MAC that is none":       damage("02:00:00:00:00:02", "AgAAAAAC"),
		"TTL 0":                    damage(`"first_ttl":1`, `"first_ttl":0`),
		"TTLs that go down":        damage(`"first_ttl":1`, `"first_ttl":31`),
		"no queries":               damage(`"queries":3`, `"queries":0`),
		"more queries than memory": damage(`"queries":3`, `"queries":1000000000`),
		"no wait":                  damage(`"max":5000000000`, `"max":0`),
		"a wait that is negative":  damage(`"here":3`, `"here":-3`),

		"two things at once":           `tracewire/2 {"trace":1,"read":{"at":1},"failed":{"probe":0}}`,
		"a trace beyond all":           `tracewire/2 {"trace":2147483648,"read":{"at":1}}`,
		"read before 1970":             `tracewire/2 {"trace":1,"read":{"at":-1}}`,
		"passed before 1970":           `tracewire/2 {"trace":1,"passed":{"at":-1}}`,
		"a step beyond all":            `tracewire/2 {"trace":1,"passed":{"at":1,"step":-9223372036854775808}}`,
		"ended before 1970":            `tracewire/2 {"trace":1,"end":{"at":-1}}`,
		"called before 1970":           `tracewire/2 {"trace":1,"sent":{"ttl":1,"round":1,"called":-1}}`,
		"started before 1970":          damage(`"at":1795446765249811278`, `"at":-1`),
		"a probe of negative length":   `tracewire/2 {"trace":1,"sent":{"ttl":1,"round":1,"length":-60}}`,
		"a probe of 64 kB":             `tracewire/2 {"trace":1,"sent":{"ttl":1,"round":1,"length":65536}}`,
		"a probe that is no packet":    `tracewire/2 {"trace":1,"sent":{"ttl":1,"round":1,"length":1}}`,
		"a MAC of 8 bytes":             damage("02:00:00:00:00:02", "02:00:00:00:00:00:00:02"),
		"a next hop's MAC of 20 bytes": damage("02:00:00:00:00:01", "02:00:00:00:00:00:00:01:00:00:00:00:00:00:00:00:00:00:00:01"),
		"protocol 0":                   damage(`"protocol":17`, `"protocol":0`),
		"protocol 255":                 damage(`"protocol":17`, `"protocol":255`),
		"the other family's ICMP":      damage(`"protocol":17`, `"protocol":58`),
		"a negative length":            damage(`"length":60`, `"length":-60`),
		"a length above 16 bits":       damage(`"length":60`, `"length":65536`),
		"a negative interval":          damage(`"interval":1000000`, `"interval":-1`),
		"none in flight":               damage(`"in_flight":16`, `"in_flight":0`),
		"too many in flight":           damage(`"in_flight":16`, `"in_flight":1001`),
		"too many queries":             damage(`"queries":3`, `"queries":11`),
		"a seed above 53 bits":         damage(`"seed":9007199254740991`, `"seed":9007199254740992`),
		"no gateways":                  damage(`"seed":`, `"gateways":[],"seed":`),
		"a gateway of IPv6":            damage(`"seed":`, `"gateways":["2001:db8::1"],"seed":`),
		"a gateway that is none":       damage(`"seed":`, `"gateways":[""],"seed":`),
		"ten gateways":                 damage(`"seed":`, `"gateways":["192.0.2.1"`+strings.Repeat(`,"192.0.2.1"`, 9)+`],"seed":`),
		"a flow label of IPv4":         damage(`"seed":`, `"flow_label":1,"seed":`),
		"a payload of a byte":          damage(`"seed":`, `"payload":"AA==","seed":`),
		"a payload, and many ports":    damage(`"seed":`, `"payload":"AAA=","classic":true,"seed":`),
		"a payload, and an MTU":        damage(`"seed":`, `"payload":"AAA=","mtu":true,"seed":`),
		"TCP over UDP":                 damage(`"seed":`, `"tcp":{"Flags":2},"seed":`),
		"no program":                   damage(`"tool":"tracewire"`, `"tool":""`),
		"a target with a zone":         damage(`"198.51.100.80"`, `"fe80::1%\u001b[2J"`),
		"a source with a zone":         damage(`"192.0.2.10"`, `"fe80::1%eth0"`),
		"a next hop with a zone":       damage(`"192.0.2.1"`, `"fe80::1%eth0"`),
		"a source of another family":   damage(`"192.0.2.10"`, `"2001:db8::1"`),
		"IPv4 as IPv6":                 damage(`"192.0.2.10"`, `"::ffff:192.0.2.10"`),
		"a target that is a group":     damage(`"198.51.100.80"`, `"224.0.0.1"`),
		"a target that is nobody":      damage(`"198.51.100.80"`, `"0.0.0.0"`),
		"a target that is everybody":   damage(`"198.51.100.80"`, `"255.255.255.255"`),
	} {
		t.Run(name, func(t *testing.T) {
			if note, err := Parse(comment); note != nil || !errors.Is(err, ErrNote) {
				t.Errorf("%+v, %v", note, err)
			}
		})
	}
}

// start6 is a start to IPv6, over a protocol.
func start6(protocol layers.IPProtocol, change func(*path.Parameters)) *Note {
	p := newPath()
	p.Target.Addr, p.Source.Addr, p.Source.NextHop = netip.MustParseAddr("2001:db8::80"), netip.MustParseAddr("2001:db8::10"), netip.Addr{}
	p.Protocol = protocol
	change(&p.Parameters)
	return &Note{Trace: 1, Start: started(p)}
}

func TestDamagedNotesOfIPv6(t *testing.T) {
	tests := map[string]struct {
		protocol layers.IPProtocol
		change   func(*path.Parameters)
		ok       bool
	}{
		"UDP":                     {layers.IPProtocolUDP, func(p *path.Parameters) { p.FlowLabel = 0xfffff }, true},
		"a flow label of 21 bits": {layers.IPProtocolUDP, func(p *path.Parameters) { p.FlowLabel = 0x100000 }, false},
		"a source route":          {layers.IPProtocolUDP, func(p *path.Parameters) { p.Gateways = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }, false},
		"echo":                    {layers.IPProtocolICMPv6, func(p *path.Parameters) { p.DstPort = 0 }, true},
		"echo to a port":          {layers.IPProtocolICMPv6, func(p *path.Parameters) { p.DstPort = 7 }, false},
		"the other echo":          {layers.IPProtocolICMPv4, func(p *path.Parameters) { p.DstPort = 0 }, false},
		"counting ports of TCP":   {layers.IPProtocolTCP, func(p *path.Parameters) { p.Classic = true }, false},
		"TCP":                     {layers.IPProtocolTCP, func(p *path.Parameters) { p.TCP = craft.TCP{Scaling: true, Scale: 14} }, true},
		"a scale of 15":           {layers.IPProtocolTCP, func(p *path.Parameters) { p.TCP = craft.TCP{Scaling: true, Scale: 15} }, false},
		"a scale that isn't sent": {layers.IPProtocolTCP, func(p *path.Parameters) { p.TCP = craft.TCP{Scale: 1} }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			note, err := Parse(start6(test.protocol, test.change).Comment())
			if test.ok != (err == nil) || test.ok != (note != nil) || err != nil && !errors.Is(err, ErrNote) {
				t.Errorf("%+v, %v", note, err)
			}
		})
	}
}

func TestCheckerKnowsWhatCanFollow(t *testing.T) {
	sent := func(ttl uint8, round int) *Note { return &Note{Trace: 1, Sent: &Sent{TTL: ttl, Round: round}} }
	failed := func(probe int) *Note { return &Note{Trace: 1, Failed: &Failed{Probe: probe}} }
	udp := &Note{Trace: 1, Start: started(newPath())}
	echo := start6(layers.IPProtocolICMPv6, func(p *path.Parameters) { p.FirstTTL, p.MaxTTL, p.DstPort = 3, 5, 0 })
	sizes := start6(layers.IPProtocolUDP, func(p *path.Parameters) { p.MTU = true })
	tests := map[string]struct {
		start *Note
		notes []*Note // of which the last is broken
	}{
		"a TTL before the first":   {echo, []*Note{sent(3, 1), sent(2, 1)}},
		"a TTL beyond the last":    {echo, []*Note{sent(5, 1), sent(6, 1)}},
		"a round again":            {udp, []*Note{sent(1, 1), sent(2, 1), sent(1, 1)}},
		"a round before":           {udp, []*Note{sent(1, 1), sent(1, 3), sent(1, 2)}},
		"a round beyond all":       {udp, []*Note{sent(1, 9), sent(1, 10)}},
		"a size beyond all":        {sizes, []*Note{sent(1, 137), sent(1, 138)}},
		"a port of an echo":        {echo, []*Note{sent(3, 1), {Trace: 1, Sent: &Sent{TTL: 4, Round: 1, DstPort: 1}}}},
		"a sequence beyond 16 bit": {echo, []*Note{sent(3, 1), {Trace: 1, Sent: &Sent{TTL: 4, Round: 1, Sequence: 1 << 16}}}},
		"a sequence of UDP":        {udp, []*Note{sent(3, 1), {Trace: 1, Sent: &Sent{TTL: 4, Round: 1, Sequence: 1}}}},
		"an ID of IPv6":            {sizes, []*Note{sent(3, 1), {Trace: 1, Sent: &Sent{TTL: 4, Round: 1, ID: 1}}}},
		"failed before it is sent": {udp, []*Note{sent(1, 1), failed(0), failed(1)}},
		"failed twice":             {udp, []*Note{sent(1, 1), failed(0), failed(0)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewChecker(test.start.Start)
			for i, n := range test.notes {
				err := c.Check(n)
				if broken := i == len(test.notes)-1; broken != errors.Is(err, ErrNote) {
					t.Fatalf("note %d: %v", i, err)
				}
			}
		})
	}
}

// A plan never asks for what a Checker refuses.
func TestMaxRoundsAreThoseOfThePlans(t *testing.T) {
	for queries := 1; queries <= maxQueries; queries++ {
		if got, want := MaxRounds(queries, true), plan.MaxRounds(queries); got != want {
			t.Errorf("%d queries: %d rounds, the plan has %d", queries, got, want)
		}
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
