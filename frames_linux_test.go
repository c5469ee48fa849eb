package tracewire_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/path"
)

// What Linux is given to send, in a kernel lab, was built before: of every
// protocol, over both families.
func TestFramesAreThoseThatLinuxSends(t *testing.T) {
	c := kernelnet.NewChain(t, 3, &kernelnet.ChainOptions{Families: []kernelnet.Family{kernelnet.IPv4, kernelnet.IPv6}})
	tests := map[string]struct {
		dst netip.Addr
		o   tracewire.Options
	}{
		"UDP":           {kernelnet.IPv4.Destination, tracewire.Options{}},
		"ICMP":          {kernelnet.IPv4.Destination, tracewire.Options{Protocol: layers.IPProtocolICMPv4, TOS: 0xb8, DF: true}},
		"TCP":           {kernelnet.IPv4.Destination, tracewire.Options{Protocol: layers.IPProtocolTCP}},
		"UDP, IPv6":     {kernelnet.IPv6.Destination, tracewire.Options{FlowLabel: 77}},
		"ICMP, IPv6":    {kernelnet.IPv6.Destination, tracewire.Options{Protocol: layers.IPProtocolICMPv6}},
		"TCP, IPv6":     {kernelnet.IPv6.Destination, tracewire.Options{Protocol: layers.IPProtocolTCP}},
		"other lengths": {kernelnet.IPv4.Destination, tracewire.Options{Length: 1000, FirstTTL: 2, ID: 65534}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := test.o
			o.Seed, o.Queries, o.Wait = 42, 2, path.Wait{Max: time.Second}
			recorded := record(t, &o)
			p, err := tracewire.Trace(t.Context(), test.dst.String(), &o)
			if err != nil {
				t.Fatal(err)
			}
			if p.Source.MAC.String() != c.Links[0].A.MAC.String() {
				t.Fatalf("sent from %v", p.Source.MAC)
			}
			o.Recording = nil
			built, sent := crafted(t, test.dst, &tracewire.Wire{Source: p.Source}, o), framesOf(t, &recorded.file)
			for _, probe := range p.Probes {
				if probe.Frame == 0 {
					t.Fatalf("TTL %d was not seen leaving", probe.TTL)
				}
				if d := cmp.Diff(built[slot{probe.TTL, probe.Round}], string(sent[probe.Frame-1])); d != "" {
					t.Errorf("TTL %d, round %d: -built +sent\n%s", probe.TTL, probe.Round, d)
				}
			}
		})
	}
}
