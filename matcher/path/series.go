package path

import (
	"net/netip"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// Series returns the Series of the probes that p asks for, with a protocol and to a
// target. Their source address is left to the caller. It fails for gateways
// that no source route can name; what it returns then has no route.
func (p *Parameters) Series(protocol layers.IPProtocol, dst netip.Addr) (craft.Series, error) {
	route, err := craft.NewRoute(p.Gateways...)
	return craft.Series{
		Seed: p.Seed, FirstTTL: p.FirstTTL, MaxTTL: p.MaxTTL, ID: p.ID, Classic: p.Classic,
		Probe: craft.Probe{
			Dst: dst, Protocol: protocol, TOS: p.TOS, DF: p.DF, FlowLabel: p.FlowLabel,
			SrcPort: p.SrcPort, DstPort: p.DstPort, Length: p.Length, Payload: p.Payload, TCP: p.TCP, Route: route,
		},
	}, err
}
