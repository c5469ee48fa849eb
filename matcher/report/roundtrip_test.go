package report_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/report"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// schema is a JSON Schema, ready to validate; formats (IP addresses) included.
func schema(t testing.TB, text string) *jsonschema.Schema {
	t.Helper()
	const name = "schema.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, decoded(t, []byte(text))); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decoded(t testing.TB, document []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	return v
}

// concluded is a trace with everything that the command concludes from it, and a name
// for every other responder.
func concluded(p *path.Path) *report.Trace {
	t := &report.Trace{Path: p, Details: report.Details{Findings: findings.Of(p), Names: map[netip.Addr]string{}}}
	for _, s := range tracewire.MTUs(p) {
		t.MTUs = append(t.MTUs, report.MTU{Hop: s.Hop, MTU: s.MTU, Known: s.Known.String()})
	}
	for i, probe := range p.Probes {
		if probe.Reply != nil && i%2 == 0 {
			t.Names[probe.Reply.From] = "router \u202e\x1b " + probe.Reply.From.String()
		}
	}
	return t
}

// tracesIn are the traces in a capture; a broken one has those before its fault.
func tracesIn(t testing.TB, name string) (all []*path.Path) {
	t.Helper()
	file, err := capture.OpenFile(name)
	if err != nil {
		t.Log(err) // of some captures the tests elsewhere pin that they are refused
		return nil
	}
	defer file.Close()
	err = tracewire.Replay(t.Context(), file, nil, func(e tracewire.Event) {
		if e.Kind == path.Ended {
			all = append(all, e.Path)
		}
	})
	if err != nil {
		t.Log(err)
	}
	return all
}

// captures are the names of all captures that the repository holds.
func captures(t testing.TB) (names []string) {
	t.Helper()
	for _, dir := range []string{"../../testdata", "../../cmd/tracewire/testdata"} {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if ext := filepath.Ext(name); ext == ".pcap" || ext == ".pcapng" {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// readBack writes a trace, reads it, and writes it again: the same, by the schema.
func readBack(t *testing.T, s *jsonschema.Schema, trace *report.Trace) *report.Trace {
	t.Helper()
	first, err := report.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(decoded(t, first)); err != nil {
		t.Errorf("%v\n%s", err, first)
	}
	back, err := report.Unmarshal(first)
	if err != nil {
		t.Fatalf("%v\n%s", err, first)
	}
	second, err := report.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(first), string(second)); d != "" {
		t.Errorf("-first +second\n%s", d)
	}
	return back
}

// checkRoundTrip checks that a trace is read back as it was written.
func checkRoundTrip(t *testing.T, s *jsonschema.Schema, p *path.Path) {
	t.Helper()
	back := readBack(t, s, concluded(p))
	if d := cmp.Diff(documented(p), back.Path, comparing...); d != "" {
		t.Errorf("-path +its document, read\n%s", d)
	}
}

// comparing treats empty as nil, and compares addresses and times by value.
var comparing = []cmp.Option{
	cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(), cmp.AllowUnexported(path.Path{}),
}

// documented is a Path without what Document.Trace says that documents lack.
func documented(p *path.Path) *path.Path {
	c := p.Clone()
	c.Flooded = false
	c.Started, c.Ended = c.Started.UTC(), c.Ended.UTC()
	for i := range c.Gaps {
		c.Gaps[i].From, c.Gaps[i].To = c.Gaps[i].From.UTC(), c.Gaps[i].To.UTC()
	}
	if c.Protocol == layers.IPProtocolTCP && !c.Clock.Captured && c.Parameters.TCP.Flags == 0 {
		c.Parameters.TCP.Flags = craft.FlagSYN
	}
	if c.Target.Addr.Is6() {
		c.Parameters.ID, c.Parameters.DF = 0, false
	}
	for i := range c.Probes {
		probe := &c.Probes[i]
		if c.Target.Addr.Is6() {
			probe.ID = 0
		}
		probe.HasChecksum, probe.Checksum, probe.Frame = false, 0, 0
		if probe.Status == path.Outstanding {
			probe.Status = path.Abandoned
		}
		if probe.SentClock != path.Kernel {
			probe.Called = time.Time{}
		}
		if probe.TTL == 0 {
			probe.Round = 0
		}
		probe.Called, probe.Sent = probe.Called.UTC(), probe.Sent.UTC()
		if probe.Reply != nil {
			strip(probe.Reply)
		}
		for j := range probe.Extra {
			strip(&probe.Extra[j])
		}
	}
	return c
}

func strip(r *path.Reply) {
	r.Frame, r.Translation = 0, matcher.Translation{}
	q := &r.Quoted
	r.Quoted = matcher.Quote{TTL: q.TTL, TOS: q.TOS, ID: q.ID, Length: q.Length, Checksum: q.Checksum, HasChecksum: q.HasChecksum}
	r.Received, r.Read = r.Received.UTC(), r.Read.UTC()
}

// What a document has comes back, and gives the same document again: for every trace in
// every capture.
func TestRoundTripOfCaptures(t *testing.T) {
	s := schema(t, report.Schema)
	traces := 0
	for _, name := range captures(t) {
		t.Run(strings.TrimPrefix(name, "../../"), func(t *testing.T) {
			for _, p := range tracesIn(t, name) {
				traces++
				checkRoundTrip(t, s, p)
			}
		})
	}
	if traces < 200 {
		t.Errorf("only %d traces", traces)
	}
}

// probes are the settings of the traces that go through each simulated network.
var probes = map[string]tracewire.Options{
	"UDP":       {},
	"echo":      {Protocol: layers.IPProtocolICMPv4},
	"a SYN":     {Protocol: layers.IPProtocolTCP},
	"UDP-Lite":  {Protocol: layers.IPProtocolUDPLite},
	"an ACK":    {Protocol: layers.IPProtocolTCP, TCP: craft.TCP{Flags: craft.FlagACK, MSS: 1400, Scaling: true}},
	"classic":   {Classic: true, TOS: 0xb8, DF: true, Interval: time.Millisecond},
	"a payload": {Payload: "\x00\x00query"},
	"an MTU":    {MTU: true},
	"in a rush": {Wait: path.Wait{Max: time.Millisecond}, MaxTTL: 5},
}

// simulated runs a trace through a network in memory.
func simulated(t *testing.T, network *capturetest.Network, to netip.Addr, o tracewire.Options) *path.Path {
	t.Helper()
	conn := network.Conn(capturetest.Host{})
	o.Dial = func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
		h := conn.Host()
		source := path.Source{Addr: h.Addr, Interface: "sim0", MAC: h.MAC, NextHop: to, NextHopMAC: h.GatewayMAC}
		if to.Is6() {
			source.Addr = h.Addr6
		}
		return &tracewire.Wire{Conn: conn, Port: 50000, MTU: 1500, Source: source}, nil
	}
	p, err := tracewire.Trace(t.Context(), to.String(), &o)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Probes) == 0 {
		t.Error("no probes")
	}
	return p
}

// The same holds for traces that have just ended, through every simulated network that
// tracewire comes with.
func TestRoundTripOfLiveTraces(t *testing.T) {
	s := schema(t, report.Schema)
	for _, name := range topologies.Names() {
		if name == "million" {
			continue // it takes long, and is a chain
		}
		text, err := topologies.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		top, err := topology.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		for kind, o := range probes {
			t.Run(name+"/"+kind, func(t *testing.T) {
				for _, to := range top.Destinations[0].Addresses {
					synctest.Test(t, func(t *testing.T) {
						network, err := capturetest.Simulate(top)
						if err != nil {
							t.Fatal(err)
						}
						o := o
						if o.DF && to.Is6() {
							o.DF = false
						}
						checkRoundTrip(t, s, simulated(t, network, to, o))
					})
				}
			})
		}
	}
}

// The lines of jsonl say together what the document says, except for replies that came
// after their hop was final.
func TestEventsMakeTheDocument(t *testing.T) {
	s := schema(t, report.Schema)
	name := "../../testdata/captures/tcpdump_mpls_traceroute.pcap"
	for _, p := range tracesIn(t, name) {
		whole := concluded(p)
		var lines bytes.Buffer
		var writer report.Events
		p.Events(func(e path.Event) {
			line, err := report.JSON(writer.Event(e, whole.Details))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(decoded(t, line)); err != nil {
				t.Errorf("%v\n%s", err, line)
			}
			lines.Write(line)
		})
		var document report.Document
		var again bytes.Buffer
		for e, err := range report.ReadEvents(bytes.NewReader(lines.Bytes())) {
			if err != nil {
				t.Fatal(err)
			}
			line, err := report.JSON(e)
			if err != nil {
				t.Fatal(err)
			}
			again.Write(line)
			document.Add(e)
		}
		if d := cmp.Diff(lines.String(), again.String()); d != "" {
			t.Errorf("-written +read and written again\n%s", d)
		}
		want, err := report.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		got, err := document.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("-document +events\n%s", d)
		}
	}
}

// What the command writes, as its golden files have it, reads and gives the same bytes.
func TestGoldenDocumentsRead(t *testing.T) {
	documents := seeds(t) // with every field
	names, err := filepath.Glob("../../testdata/golden/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, file)
	}
	for _, document := range documents {
		var again []byte
		for trace, err := range report.Read(bytes.NewReader(document)) {
			if err != nil {
				t.Fatalf("%v: %s", err, document)
			}
			line, err := report.Marshal(trace)
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, line...)
		}
		if d := cmp.Diff(string(document), string(again)); d != "" {
			t.Errorf("-file +read and written again\n%s", d)
		}
	}
}

// brokenReader fails as a disk does.
type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func TestReadErrorsAreKept(t *testing.T) {
	want := errors.New("input/output error")
	for _, err := range report.Read(brokenReader{want}) {
		if !errors.Is(err, want) || errors.Is(err, report.ErrMalformed) {
			t.Error(err)
		}
	}
	for _, err := range report.ReadEvents(brokenReader{want}) {
		if !errors.Is(err, want) || errors.Is(err, report.ErrMalformed) {
			t.Error(err)
		}
	}
}
