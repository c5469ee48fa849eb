package tracewire_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// simulated traces in virtual time to the first target of a topology that tracewire
// comes with.
func simulated(t *testing.T, name string, o tracewire.Options) (p *path.Path) {
	t.Helper()
	data, err := topologies.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.Simulate(top)
		if err != nil {
			t.Fatal(err)
		}
		o.Seed, o.SrcPort, o.MaxTTL, o.Wait = 11, 50123, 20, path.Wait{Max: 500 * time.Millisecond}
		o.Dial = tracewire.Through(network.Conn(capturetest.Host{}))
		if p, err = tracewire.Trace(t.Context(), top.Destinations[0].Addresses[0].String(), &o); err != nil {
			t.Fatal(err)
		}
	})
	return p
}

// Through address translators and routers that quote little or wrongly, probes of every
// protocol find the same routers.
func TestEveryProtocolFindsTheSameRouters(t *testing.T) {
	for _, name := range []string{"chain", "nat", "quotes"} {
		udp := simulated(t, name, tracewire.Options{})
		want := addrs(udp)
		if len(want) < 5 {
			t.Fatalf("%s: the path over UDP is %v", name, want)
		}
		for _, protocol := range craft.Protocols() {
			if !protocol.ReachesOver(udp.Target.Addr) {
				continue
			}
			p := simulated(t, name, tracewire.Options{Protocol: protocol.Number})
			if d := cmp.Diff(want, addrs(p)); d != "" {
				t.Errorf("%s over %s: -over UDP +got\n%s", name, protocol.Title, d)
			}
			if c := p.Counters; c.Foreign != 0 || c.Malformed != udp.Counters.Malformed {
				t.Errorf("%s over %s: %+v, and over UDP %+v", name, protocol.Title, c, udp.Counters)
			}
		}
	}
}

// A simulated target, like a host without UDP-Lite, refuses the protocol.
func TestTargetWithoutUDPLite(t *testing.T) {
	p := simulated(t, "nat", tracewire.Options{Protocol: layers.IPProtocolUDPLite})
	last := p.Hop(p.End())
	for _, probe := range last.Probes {
		if r := probe.Reply; r == nil || r.Kind != matcher.Unreachable || r.ICMPCode != layers.ICMPv4CodeProtocol || !probe.HasChecksum {
			t.Errorf("probe %d: %+v", probe.Number, r)
		}
	}
	if !p.Reached() || p.Parameters.DstPort != 53 {
		t.Errorf("reached: %v; port %d", p.Reached(), p.Parameters.DstPort)
	}
}

func TestUnknownProtocolIsRefused(t *testing.T) {
	if _, err := tracewire.NewTracer(&tracewire.Options{Protocol: layers.IPProtocolSCTP}); err == nil {
		t.Error("SCTP probes are accepted")
	}
}
