package tracewire_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// kinds are the kinds of probes, and how a Linux host answers each when it serves
// nothing.
var kinds = map[string]struct {
	o      tracewire.Options
	answer matcher.Kind
}{
	"UDP":            {tracewire.Options{}, matcher.Unreachable},
	"UDP, classic":   {tracewire.Options{Classic: true}, matcher.Unreachable},
	"DNS":            {tracewire.Options{Payload: craft.DNSQuery}, matcher.Unreachable},
	"UDP-Lite":       {tracewire.Options{Protocol: layers.IPProtocolUDPLite}, matcher.Unreachable},
	"echo":           {tracewire.Options{Protocol: layers.IPProtocolICMPv4}, matcher.EchoReply},
	"SYN":            {tracewire.Options{Protocol: layers.IPProtocolTCP}, matcher.RST},
	"SYN, options":   {tracewire.Options{Protocol: layers.IPProtocolTCP, DstPort: 443, TCP: craft.TCP{MSS: 1400, SACK: true, Timestamps: true, Scaling: true, Scale: 7}}, matcher.RST},
	"ACK":            {tracewire.Options{Protocol: layers.IPProtocolTCP, TCP: craft.TCP{Flags: craft.FlagACK}}, matcher.RST},
	"with a TOS":     {tracewire.Options{TOS: 0xb9}, matcher.Unreachable},
	"longer":         {tracewire.Options{Length: 1200}, matcher.Unreachable},
	"don't fragment": {tracewire.Options{DF: true}, matcher.Unreachable},
}

// Every kind of probe finds every hop, over both families, and the recording of
// it replays event for event.
func TestKernelFamilies(t *testing.T) {
	c := kernelnet.NewChain(t, 5, &kernelnet.ChainOptions{Families: []kernelnet.Family{kernelnet.IPv4, kernelnet.IPv6}})
	for name, kind := range kinds {
		for version, family := range map[string]kernelnet.Family{"IPv4": kernelnet.IPv4, "IPv6": kernelnet.IPv6} {
			t.Run(name+"/"+version, func(t *testing.T) {
				o := kind.o
				if family == kernelnet.IPv6 && name == "UDP" {
					o.FlowLabel = 0x12345
				}
				p := mustTraceTo(t, family.Destination, o)
				var want []string
				for _, a := range c.Hops(family) {
					want = append(want, a.String())
				}
				if d := cmp.Diff(want, addrs(p)); d != "" {
					t.Error(d)
				}
				last := p.Hop(uint8(len(want)))
				answered := 0
				for _, probe := range last.Probes {
					if r := probe.Reply; r != nil && r.HasRTT && r.Kind == kind.answer && r.From == family.Destination {
						answered++
					}
				}
				if answered < 3 {
					t.Errorf("the target answered %d times: %+v", answered, p.Counters)
				}
			})
		}
	}
}

// mustTraceTo traces to a destination, and holds the replay against it.
func mustTraceTo(t *testing.T, dst netip.Addr, o tracewire.Options) *path.Path {
	t.Helper()
	var p *path.Path
	recorded := record(t, &o)
	err := tracewire.Run(t.Context(), slices.Values([]netip.Addr{dst}), &o, func(e tracewire.Event) {
		recorded.tell(e)
		p = e.Path
	})
	if err != nil {
		t.Fatal(err)
	}
	recorded.replays(t)
	return p
}

// This host itself is one hop away, by every kind of probe.
func TestKernelThisHost(t *testing.T) {
	chain(t, 1, nil)
	for name, kind := range kinds {
		for _, dst := range []string{"127.0.0.1", "::1", "127.1.2.3"} {
			t.Run(name+"/"+dst, func(t *testing.T) {
				p := mustTraceTo(t, netip.MustParseAddr(dst), kind.o)
				if !p.Reached() || p.End() != 1 || len(p.Hops()) != 1 {
					t.Fatalf("reached %v, ends at %d: %v", p.Reached(), p.End(), addrs(p))
				}
				for _, probe := range p.Probes {
					if probe.Status == path.Replied && (probe.SentClock != path.Kernel || probe.Reply.From.String() != dst) {
						t.Errorf("probe %d was stamped by the %v, and answered by %v", probe.Number, probe.SentClock, probe.Reply.From)
					}
				}
			})
		}
	}
}

// A neighbour's link-local address has a zone: by every kind of probe, it is one hop
// away.
func TestKernelLinkLocal(t *testing.T) {
	c := kernelnet.NewChain(t, 1, &kernelnet.ChainOptions{Families: []kernelnet.Family{kernelnet.IPv6}})
	fields := strings.Fields(c.Routers[0].Run("ip", "-6", "-o", "addr", "show", "dev", c.Links[0].B.Interface, "scope", "link"))
	at := slices.Index(fields, "inet6") + 1
	neighbour := netip.MustParsePrefix(fields[at]).Addr()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			p := mustTraceTo(t, neighbour.WithZone(c.Links[0].A.Interface), kind.o)
			if !p.Reached() || p.End() != 1 || len(p.Hops()) != 1 || !p.Source.Addr.IsLinkLocalUnicast() {
				t.Errorf("from %v: %v", p.Source.Addr, addrs(p))
			}
		})
	}
}
