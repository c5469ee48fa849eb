package tracewire_test

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// The NAT of a virtual machine gives packets new IDs and leaves the checksum that is
// quoted off by one constant. What the file has as checksums of the probes is left over
// from checksum offload, for addresses that were replaced since. So the ports are all
// that tells whose a reply is; each is at the probe that has them.
func TestCaptureBehindTheNATOfAVirtualMachine(t *testing.T) {
	file, err := os.ReadFile("testdata/field/vmnat_4pairs.pcap")
	if err != nil {
		t.Fatal(err)
	}
	told, err := replayed(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	type pair struct {
		From    string
		Hop     uint8
		SrcPort uint16
		By      matcher.Rule
		How     matcher.Translation
	}
	how := matcher.Translation{ID: matcher.IDRenumbered, Token: matcher.TokenOther}
	want := []pair{
		{"198.18.0.3", 1, 45344, matcher.ByPorts, how}, {"198.18.0.3", 1, 48975, matcher.ByPorts, how},
		{"198.18.0.3", 1, 40110, matcher.ByPorts, how}, {"198.18.0.4", 2, 46241, matcher.ByPorts, how},
	}
	var got []pair
	for _, probe := range told[len(told)-1].Path.Probes {
		if r := probe.Reply; r != nil && r.Quoted.SrcPort == probe.SrcPort {
			got = append(got, pair{r.From.String(), r.Hop, probe.SrcPort, r.MatchedBy, r.Translation})
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Live, every kind of probe sees all hops behind such a NAT.
func TestTraceBehindTheNATOfAVirtualMachine(t *testing.T) {
	data, err := os.ReadFile("testdata/field/vmnat28.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"192.168.100.1", "10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1", "198.51.100.1"}
	for name, o := range map[string]tracewire.Options{
		"constant flow": {}, "-q 1": {Queries: 1}, "--classic": {Classic: true}, "--classic -q 1": {Classic: true, Queries: 1},
		"-I": {Protocol: layers.IPProtocolICMPv4}, "-T": {Protocol: layers.IPProtocolTCP, DstPort: 80},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				top, err := topology.Parse("vmnat28.toml", data)
				if err != nil {
					t.Fatal(err)
				}
				network, err := capturetest.Simulate(top)
				if err != nil {
					t.Fatal(err)
				}
				l := &lab{T: t, ctx: t.Context(), conn: network.Conn(capturetest.Host{Addr: netip.MustParseAddr("192.168.100.17")})}
				o.Seed = 1
				o.Dial = func(ctx context.Context, to netip.Addr, o *tracewire.Options) (*tracewire.Wire, error) {
					return l.dial(ctx, to, o)
				}
				r := record(t, &o)
				tracer, err := tracewire.NewTracer(&o)
				if err != nil {
					t.Fatal(err)
				}
				if err := tracer.Trace(t.Context(), tracewire.Target{Addr: netip.MustParseAddr("198.51.100.1")}, r.tell); err != nil {
					t.Fatal(err)
				}
				r.replays(t)
				got := addrs(r.events[len(r.events)-1].Path)
				got[len(got)-1] = strings.TrimSuffix(got[len(got)-1], " *")
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
				for i, e := range r.events {
					if e.Kind == path.GaveUp && e.Probe.TTL <= 6 {
						t.Errorf("event %d: probe %d was given up", i, e.Probe.Number)
					}
				}
			})
		})
	}
}

// In a recording made before there was a status for it, probes that nobody waited for
// are abandoned: the file proves that no deadline passed.
func TestARecordingMadeBeforeProbesWereAbandoned(t *testing.T) {
	file, err := os.ReadFile("testdata/field/overshoot_v1.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	told, err := replayed(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := told[len(told)-1].Path
	statuses := map[path.Status]int{}
	for _, probe := range p.Probes {
		statuses[probe.Status]++
		if abandoned := probe.Status == path.Abandoned; abandoned != probe.Overshot(p.End()) {
			t.Errorf("%v: TTL %d of %d", probe.Status, probe.TTL, p.End())
		}
	}
	if d := cmp.Diff(map[path.Status]int{path.Replied: 6, path.Abandoned: 5}, statuses); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
