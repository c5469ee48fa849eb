package resolver

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Names looks names and addresses of a topology up, as net.Resolver does, without
// a server. Any goroutine may use it.
type Names struct{ zone *zone }

// NewNames returns the Names of a topology.
func NewNames(t *topology.Topology) *Names { return &Names{newZone(t)} }

// LookupNetIP returns the addresses of a name in a network: "ip4", "ip6", or "ip"
// for both. The error is a *net.DNSError that says IsNotFound.
func (n *Names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, a := range n.zone.addrs[strings.ToLower(strings.TrimSuffix(host, "."))] {
		if network == "ip" || a.Is4() == (network == "ip4") {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil, notFound(host)
	}
	return found, nil
}

// LookupAddr returns the name of an address, with a dot at its end. The error is a
// *net.DNSError that says IsNotFound.
func (n *Names) LookupAddr(_ context.Context, addr string) ([]string, error) {
	a, err := netip.ParseAddr(addr)
	if name := n.zone.names[a]; err == nil && name != "" {
		return []string{name + "."}, nil
	}
	return nil, notFound(addr)
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
