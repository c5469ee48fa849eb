package render_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Who takes part. The others have no name.
const (
	target = "198.51.100.7" // target.example
	r1     = "10.0.1.1"     // gateway.example
	r2     = "10.0.2.1"
	r3     = "10.0.3.1" // core-3.example
	r3b    = "10.0.3.2" // core-3b.example
	r4     = "10.0.4.1"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	equal = cmpopts.EquateComparable(netip.Addr{})
)

// namer is a Namer that knows names, or looks none up if it is nil.
type namer map[netip.Addr]string

func (namer) Want(netip.Addr) {}

func (n namer) Wait(addrs []netip.Addr) map[netip.Addr]string {
	if n == nil {
		return nil
	}
	found := map[netip.Addr]string{}
	for _, a := range addrs {
		if name, ok := n[a]; ok {
			found[a] = name
		}
	}
	return found
}

var names = namer{
	netip.MustParseAddr(target): "target.example",
	netip.MustParseAddr(r1):     "gateway.example",
	netip.MustParseAddr(r3):     "core-3.example",
	netip.MustParseAddr(r3b):    "core-3b.example",
}

// newPath is the path that these probes, sent in this order and 10 ms apart,
// found. Its kernel stamps are 25 µs after the calls.
func newPath(queries int, probes ...path.Probe) *path.Path {
	p := &path.Path{
		Target: path.Target{Host: "target.example", Addr: netip.MustParseAddr(target)},
		Source: path.Source{
			Addr: netip.MustParseAddr("192.0.2.1"), Interface: "eth0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
			NextHop: netip.MustParseAddr("192.0.2.254"), NextHopMAC: net.HardwareAddr{2, 0, 0, 0, 0, 0xfe},
		},
		Protocol: layers.IPProtocolUDP,
		Tool:     "tracewire",
		Parameters: path.Parameters{
			FirstTTL: 1, MaxTTL: 30, Queries: queries, InFlight: 16,
			Wait:    path.Wait{Max: 5 * time.Second, Here: 3, Near: 10},
			SrcPort: 50000, DstPort: 33434, ID: 100, Length: 60, Seed: 1<<53 - 1,
		},
		Started: start, Ended: start.Add(time.Second), Probes: probes,
	}
	rounds := map[uint8]int{}
	for i := range probes {
		probe := &probes[i]
		rounds[probe.TTL]++
		probe.Number, probe.Round = i, rounds[probe.TTL]
		probe.ID, probe.SrcPort, probe.DstPort = uint16(100+i), 50000, 33434
		probe.Called = start.Add(time.Duration(i) * 10 * ms)
		switch {
		case probe.Status == path.Unsent:
			probe.SentClock = path.User
		case probe.SentClock == path.User:
			probe.Sent = probe.Called
		default:
			probe.Sent = probe.Called.Add(25 * us)
		}
		if probe.Status != path.Unsent {
			p.Counters.Sent++
		}
		if probe.Reply != nil {
			arrive(probe, probe.Reply)
		}
		for j := range probe.Extra {
			arrive(probe, &probe.Extra[j])
			p.Counters.Duplicate++
		}
		switch probe.Status {
		case path.Replied:
			p.Counters.Received++
		case path.Late:
			p.Counters.Late++
		}
	}
	return p
}

// arrive sets the stamps of a reply by its round trip.
func arrive(p *path.Probe, r *path.Reply) {
	r.Received = p.Sent.Add(r.RTT)
	r.Read = r.Received.Add(40 * us)
	if !r.HasRTT {
		r.RTT = 0
	}
}

// exceeded is a probe that a router answered with a time-exceeded.
func exceeded(ttl uint8, from string, rtt time.Duration) path.Probe {
	return path.Probe{TTL: ttl, Status: path.Replied, Reply: &path.Reply{
		Reply: matcher.Reply{
			From: netip.MustParseAddr(from), Kind: matcher.TimeExceeded, ICMPType: 11, TTL: 65 - ttl,
			MatchedBy: matcher.ByCookie,
			Quoted:    matcher.Quote{TTL: 1, ID: uint16(ttl), Length: 60, Checksum: 0xbeef, HasChecksum: true},
		},
		RTT: rtt, HasRTT: true, Hop: ttl, Basis: path.BySentTTL,
	}}
}

// unreachable is a probe that the target, or a router at some hop, answered
// with a destination-unreachable.
func unreachable(ttl, hop uint8, from string, code uint8, rtt time.Duration) path.Probe {
	p := exceeded(ttl, from, rtt)
	r := p.Reply
	r.Kind, r.ICMPType, r.ICMPCode, r.Quoted.TTL = matcher.Unreachable, 3, code, ttl-hop+1
	r.Hop, r.Basis = hop, path.ByArithmetic
	if from == target {
		r.Basis = path.ByQuotedTTL
	}
	return p
}

// datagram is a probe that the target answered with a datagram of its own.
func datagram(ttl, hop uint8, rtt time.Duration) path.Probe {
	return path.Probe{TTL: ttl, Status: path.Replied, Reply: &path.Reply{
		Reply: matcher.Reply{From: netip.MustParseAddr(target), Kind: matcher.UDP, TTL: 60, MatchedBy: matcher.Alone},
		RTT:   rtt, HasRTT: true, Hop: hop, Basis: path.ByLowestTTL,
	}}
}

// lost is a probe that nobody answered.
func lost(ttl uint8) path.Probe { return path.Probe{TTL: ttl, Status: path.Timeout} }

// late is p, answered after the wait was over.
func late(p path.Probe) path.Probe {
	p.Status, p.Reply.Late = path.Late, true
	return p
}

// ambiguous is p, with an answer that may be another's.
func ambiguous(p path.Probe) path.Probe {
	p.Reply.HasRTT, p.Reply.MatchedBy = false, matcher.Ambiguous
	return p
}

// user is p, of which no copy was captured.
func user(p path.Probe) path.Probe {
	p.SentClock = path.User
	return p
}

// with is p with further replies: those to others.
func with(p path.Probe, others ...path.Probe) path.Probe {
	for _, o := range others {
		p.Extra = append(p.Extra, *o.Reply)
	}
	return p
}

// events are those of a trace that found p.
func events(p *path.Path) []path.Event {
	begun := *p
	begun.Probes, begun.Counters, begun.Ended = nil, path.Counters{}, time.Time{}
	all := []path.Event{{Kind: path.Started, Path: &begun}}
	for _, probe := range p.Probes {
		if probe.SentClock != path.User && probe.TTL != 0 {
			all = append(all, path.Event{Kind: path.ProbeOut, Probe: probe})
		}
		if probe.Status == path.Timeout || probe.Status == path.Late || probe.Status == path.Unsent {
			given := probe
			given.Reply, given.Extra = nil, nil
			if given.Status == path.Late {
				given.Status = path.Timeout
			}
			all = append(all, path.Event{Kind: path.GaveUp, Probe: given})
		}
		if probe.Reply != nil {
			first := probe
			first.Extra = nil
			all = append(all, path.Event{Kind: path.Answer, Probe: first, Reply: probe.Reply})
		}
		for i := range probe.Extra {
			then := probe
			then.Extra = probe.Extra[:i+1]
			all = append(all, path.Event{Kind: path.Answer, Probe: then, Reply: &probe.Extra[i]})
		}
	}
	for _, h := range p.Hops() {
		all = append(all, path.Event{Kind: path.Decided, Hop: h})
	}
	return append(all, path.Event{Kind: path.Ended, Path: p})
}

// rendered is what a format makes of events.
func rendered(t testing.TB, format string, n render.Namer, all []path.Event) string {
	t.Helper()
	out, _ := renderedWithNotes(t, format, n, all)
	return out
}

func renderedWithNotes(t testing.TB, format string, n render.Namer, all []path.Event) (out, notes string) {
	t.Helper()
	var b, beside bytes.Buffer
	r, err := render.New(format, &b, &beside, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if err := r.Event(e); err != nil {
			t.Fatalf("%v: %v", e.Kind, err)
		}
	}
	return b.String(), beside.String()
}

// traces are the events of traces that between them show all there is to see.
func traces() map[string][]path.Event {
	return map[string][]path.Event{
		"plain":     events(plain()),
		"mtu":       events(mtu()),
		"syn":       events(syn()),
		"hole":      events(hole()),
		"silence":   events(silence()),
		"refused":   events(refused()),
		"ambiguous": events(ambiguousTarget()),
		"belated":   belated(),
		"all":       events(everything()),
		"bare":      events(bare()),
		"icmpv6":    events(icmpv6()),
		"tcp":       events(tcp()),
		"replies":   events(replies()),
	}
}

// plain is a path with names and without, and a hop of two routers.
func plain() *path.Path {
	return newPath(3,
		exceeded(1, r1, 28*us), exceeded(2, r2, 1250*us), exceeded(3, r3, 13*us), unreachable(4, 4, target, 3, 10*ms),
		exceeded(1, r1, 6*us), exceeded(2, r2, 1250499), exceeded(3, r3b, 176*us), unreachable(4, 4, target, 3, 1234567*us),
		exceeded(1, r1, 5*us), exceeded(2, r2, 1250500), exceeded(3, r3, 15*us), unreachable(5, 4, target, 3, 999*us),
	)
}

// syn is a trace of ours with TCP.
func syn() *path.Path {
	p := newPath(1, exceeded(1, r1, ms))
	p.Protocol = layers.IPProtocolTCP
	p.Parameters.TCP = craft.TCP{Flags: craft.FlagSYN | craft.FlagECE | craft.FlagCWR, MSS: 1400, SACK: true, Scaling: true, Scale: 7}
	return p
}

// mtu is a path whose MTU was sought: 1400 behind the second hop.
func mtu() *path.Path {
	long := func(p path.Probe) path.Probe { p.Length = 1500; return p }
	short := func(p path.Probe) path.Probe { p.Length = 1400; return p }
	tooBig := long(unreachable(3, 2, r2, 4, ms))
	tooBig.Reply.Kind, tooBig.Reply.MTU = matcher.PacketTooBig, 1400
	p := newPath(2,
		long(exceeded(1, r1, ms)), long(exceeded(1, r1, ms)), long(exceeded(2, r2, ms)), long(exceeded(2, r2, ms)),
		tooBig, short(unreachable(3, 3, target, 3, 3*ms)), short(unreachable(3, 3, target, 3, 3*ms)),
	)
	p.Parameters.MTU, p.Parameters.DF, p.Parameters.Length = true, true, 1500
	p.Parameters.Gateways = []netip.Addr{netip.MustParseAddr(r1)}
	p.Parameters.Payload = "\x00\x00query"
	return p
}

// hole is a path whose MTU was sought: nobody says that it is 1400 behind the first
// hop, and the second is mute.
func hole() *path.Path {
	of := func(length int, p path.Probe) path.Probe { p.Length = length; return p }
	p := newPath(2,
		of(1500, exceeded(1, r1, ms)), of(1500, exceeded(1, r1, ms)), of(1500, lost(2)), of(576, lost(2)),
		of(1500, lost(3)), of(576, unreachable(3, 3, target, 3, ms)), of(1401, lost(3)), of(1400, unreachable(3, 3, target, 3, 3*ms)),
	)
	p.Parameters.MTU, p.Parameters.DF, p.Parameters.Length = true, true, 1500
	return p
}

// silence is a path of which much is not known.
func silence() *path.Path {
	return newPath(3,
		exceeded(1, r1, 28*us), lost(2), lost(3), late(exceeded(4, r4, 6*time.Second)), exceeded(5, r3, ms), path.Probe{TTL: 6},
		lost(1), lost(2), exceeded(3, r3, 2*ms), exceeded(4, r4, 3*ms), exceeded(5, r3, 2*ms), path.Probe{TTL: 6},
		exceeded(1, r1, 30*us), lost(2), exceeded(3, r3b, 3*ms), late(exceeded(4, r4, 7*time.Second)), path.Probe{TTL: 5, Status: path.Unsent},
	)
}

// refused is a path that ends at a router's refusal; the router answered the
// first probe of its own hop with a time-exceeded.
func refused() *path.Path {
	return newPath(3,
		exceeded(1, r1, 28*us), exceeded(2, r2, ms), unreachable(3, 2, r2, 13, 2*ms), unreachable(4, 2, r2, 13, 3*ms),
		exceeded(1, r1, 28*us), exceeded(2, r2, ms), lost(3),
		exceeded(1, r1, 28*us), exceeded(2, r2, ms),
	)
}

// ambiguousTarget is a target whose answers can't be told apart at first.
func ambiguousTarget() *path.Path {
	return newPath(3,
		exceeded(1, r1, 28*us), ambiguous(datagram(2, 2, ms)), ambiguous(datagram(3, 2, ms)),
		exceeded(1, r1, 28*us), datagram(2, 2, 2*ms),
		exceeded(1, r1, 28*us),
	)
}

// belated is a trace in which the reply that shows the end came after that hop
// had been told.
func belated() []path.Event {
	p := newPath(2,
		exceeded(1, r1, 28*us), late(unreachable(2, 2, target, 13, 6*time.Second)), lost(3),
		exceeded(1, r1, 28*us), late(unreachable(2, 2, target, 3, 7*time.Second)), lost(3),
	)
	return tellingHop(2, events(p), newPath(2, lost(2), lost(2)).Probes...)
}

// tellingHop has a hop told with these probes only, whatever became of them.
func tellingHop(ttl uint8, all []path.Event, probes ...path.Probe) []path.Event {
	for i := range all {
		if all[i].Kind == path.Decided && all[i].Hop.TTL == ttl {
			all[i].Hop.Probes = probes
		}
	}
	return all
}

// everything is a path in which every field of the output has a value, and most
// that can have none have none somewhere.
func everything() *path.Path {
	short := unreachable(3, 3, r3, 4, ms)
	short.Reply.Kind, short.Reply.MTU, short.Reply.Quoted.Checksum, short.Reply.Quoted.HasChecksum = matcher.PacketTooBig, 1400, 0, false
	short.Reply.MatchedBy, short.Reply.Basis = matcher.ByFields, path.BySameAddress
	problem := unreachable(4, 4, r4, 0, 2*ms)
	problem.Reply.Kind, problem.Reply.ICMPType, problem.Reply.MatchedBy = matcher.ParameterProblem, 12, matcher.ByOrder
	problem.Reply.Quoted.TOS = 0x48
	p := newPath(2,
		exceeded(1, r1, 28*us), user(exceeded(2, r2, 5*ms)), short, problem, datagram(5, 5, 7*ms),
		with(exceeded(1, r1, 29*us), exceeded(1, r1, 31*us), exceeded(1, r2, 33*us)), path.Probe{TTL: 2, Status: path.Unsent},
		with(late(exceeded(3, r3, 6*time.Second)), late(exceeded(3, r3b, 7*time.Second))), lost(4), ambiguous(datagram(6, 5, ms)),
		unreachable(5, 5, target, 3, 8*ms), path.Probe{TTL: 7},
	)
	p.Probes[1].Reply.Read = time.Time{}
	p.Probes[0].Reply.Extensions, p.Probes[1].Reply.Extensions = extensions(), &matcher.Extensions{Offset: 128}
	p.Parameters.TOS, p.Parameters.DF, p.Parameters.Interval = 0x2e<<2, true, 50*ms
	p.Clock.Stepped = true
	p.Source.Also = []string{"eth1", "wg0"}
	p.Counters.Foreign, p.Counters.Malformed, p.Counters.Dropped = 3, 2, 1
	p.Gaps = []frame.Gap{{From: p.Started, To: p.Started.Add(time.Second), Frames: 1}, {From: p.Started.Add(-time.Hour), To: p.Started.Add(-time.Minute), Cause: frame.NoCarrier}}
	return p
}

// extensions are objects of every kind.
func extensions() *matcher.Extensions {
	return &matcher.Extensions{Offset: 128, Stated: 68, Verified: true, Objects: []matcher.ExtensionObject{
		{Class: 1, Type: 1, Length: 12, Labels: []matcher.Label{{Label: 24001, TTL: 1}, {Label: 24002, TC: 5, Bottom: true, TTL: 253}}},
		{Class: 2, Type: 0x0f, Length: 32, Interface: &matcher.InterfaceInfo{
			Index: 515, Address: netip.MustParseAddr("10.3.0.6"), Name: "et-0/0/3.0\x1b[2J", MTU: 9000,
		}},
		{Class: 2, Type: 0x80, Length: 4, Interface: &matcher.InterfaceInfo{Role: matcher.Outgoing}},
		{Class: 5, Type: 6, Length: 20, Node: &matcher.NodeInfo{Address: netip.MustParseAddr("10.3.0.7"), Name: "pe7\x1b[2J"}},
		{Class: 3, Type: 1, Length: 9, Payload: []byte{0, 0, 2, 3, 10}, Malformed: true},
	}}
}

// bare is the path of a trace that was interrupted before it found anything,
// on a link without addresses.
func bare() *path.Path {
	p := newPath(1)
	p.Source = path.Source{Addr: p.Source.Addr, Interface: "tun0"}
	p.Interrupted = true
	return p
}

func TestGoldenFiles(t *testing.T) {
	for name, all := range traces() {
		golden(t, name+".txt", rendered(t, "text", names, all))
		golden(t, name+".n.txt", rendered(t, "text", namer(nil), all))
		if slices.Contains([]string{"all", "bare", "icmpv6", "tcp", "replies"}, name) {
			golden(t, name+".json", rendered(t, "json", names, all))
			golden(t, name+".jsonl", rendered(t, "jsonl", names, all))
		}
	}
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Run(name, func(t *testing.T) {
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
	})
}

func TestFormats(t *testing.T) {
	if d := cmp.Diff([]string{"text", "json", "jsonl"}, render.Formats()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, format := range append(render.Formats(), "", "TEXT", "xml") {
		_, err := render.New(format, io.Discard, io.Discard, namer(nil))
		known := format == "text" || format == "json" || format == "jsonl"
		if (err == nil) != known {
			t.Errorf("%q: %v", format, err)
		}
	}
}

// broken is a writer that can't write.
type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestAWriteThatFailsIsReported(t *testing.T) {
	// The first thing that each format writes.
	for format, kind := range map[string]path.EventKind{"text": path.Started, "json": path.Ended, "jsonl": path.Started} {
		r, err := render.New(format, broken{}, io.Discard, names)
		if err != nil {
			t.Fatal(err)
		}
		all := traces()["plain"]
		failed := slices.IndexFunc(all, func(e path.Event) bool {
			err = r.Event(e)
			return err != nil
		})
		if failed < 0 || all[failed].Kind != kind || !errors.Is(err, errBroken) {
			t.Errorf("%s: event %d: %v", format, failed, err)
		}
	}
}

// diary is a Namer that writes down what it is asked.
type diary struct {
	namer
	wanted []netip.Addr
	waited [][]netip.Addr
}

func (d *diary) Want(a netip.Addr) { d.wanted = append(d.wanted, a) }

func (d *diary) Wait(addrs []netip.Addr) map[netip.Addr]string {
	d.waited = append(d.waited, addrs)
	return d.namer.Wait(addrs)
}

// A look-up begins with the reply; it is waited for where its name is shown.
func TestNamesAreLookedUpAhead(t *testing.T) {
	addrs := func(all ...string) (list []netip.Addr) {
		for _, a := range all {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	p := func() *path.Path {
		return newPath(1, exceeded(1, r1, ms), exceeded(2, r3, ms), lost(3), exceeded(1, r1, ms), exceeded(2, r4, ms))
	}
	tests := map[string][][]netip.Addr{
		"text":  {addrs(r1), addrs(r3), nil}, // r4 does not fit on the line
		"json":  {addrs(r1, r3, r4)},
		"jsonl": {addrs(r1), addrs(r3, r4), nil},
	}
	for format, want := range tests {
		t.Run(format, func(t *testing.T) {
			d := &diary{namer: names}
			rendered(t, format, d, events(p()))
			if diff := cmp.Diff(addrs(r1, r3, r1, r4), d.wanted, equal); diff != "" {
				t.Errorf("wanted: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(want, d.waited, equal); diff != "" {
				t.Errorf("waited for: -want +got\n%s", diff)
			}
		})
	}
}

// The JSON formats have names for all who answered: late, or more than once.
func TestEveryResponderHasItsNameInJSON(t *testing.T) {
	p := newPath(1, late(with(exceeded(1, r3, 6*time.Second), exceeded(1, r3b, 7*time.Second))))
	for _, format := range []string{"json", "jsonl"} {
		out := rendered(t, format, names, events(p))
		for _, name := range []string{"core-3.example", "core-3b.example"} {
			if n := strings.Count(out, `"name":"`+name+`"`); n != 1 {
				t.Errorf("%s: %s is there %d times", format, name, n)
			}
		}
	}
}
