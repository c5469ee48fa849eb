package path_test

import (
	"net/netip"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
)

// A source route makes the IP header longer, and so the shortest probe.
func TestSeriesHasTheGateways(t *testing.T) {
	p := path.Parameters{FirstTTL: 1, MaxTTL: 30}
	for range 8 {
		p.Gateways = append(p.Gateways, netip.MustParseAddr("192.0.2.9"))
	}
	dst := netip.MustParseAddr("198.51.100.7")
	s, err := p.Series(layers.IPProtocolUDP, dst)
	if err != nil || s.Shortest() != 20+36+18 {
		t.Errorf("the shortest probe has %d bytes: %v", s.Shortest(), err)
	}
	p.Gateways = append(p.Gateways, dst, dst)
	if _, err := p.Series(layers.IPProtocolUDP, dst); err == nil {
		t.Error("a source route names ten gateways")
	}
}
