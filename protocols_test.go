package tracewire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// Through address translators and routers that quote little or wrongly, probes of every
// protocol find the same routers.
func TestEveryProtocolFindsTheSameRouters(t *testing.T) {
	for _, name := range []string{"chain", "nat", "quotes"} {
		top := shipped(t, name)
		dst := destinations(top)[0]
		udp := simulated(t, top, dst, tracewire.Options{})
		want := addrs(udp)
		if len(want) < 5 {
			t.Fatalf("%s: the path over UDP is %v", name, want)
		}
		for _, protocol := range craft.Protocols() {
			if !protocol.ReachesOver(dst) {
				continue
			}
			p := simulated(t, top, dst, tracewire.Options{Protocol: protocol.Number})
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
	top := shipped(t, "nat")
	p := simulated(t, top, destinations(top)[0], tracewire.Options{Protocol: layers.IPProtocolUDPLite})
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
