// Package simulated is the host of a simulated network inside the process that
// traces from it: without a namespace, a socket or a privilege. It looks to
// tracewire as the host that tracelab makes in a namespace does: the same
// interface, addresses, gateways and names.
package simulated

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/cmd/internal/resolver"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
)

// Interface is the name of the host's interface.
const Interface = "eth0"

var (
	hostMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	gatewayMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
)

// Host is the host of a simulated network. Any goroutine may use it.
type Host struct {
	*resolver.Names
	host topology.Host // with its defaults
	conn *conn
}

// New returns the host of a topology, which must not be changed afterwards. The
// error is that of the topology's Validate. Close must be called.
func New(t *topology.Topology) (*Host, error) {
	network, err := capturetest.Simulate(t)
	if err != nil {
		return nil, err
	}
	full := t.WithDefaults()
	return &Host{
		Names: resolver.NewNames(&full),
		host:  full.Host,
		conn:  newConn(network.Conn(capturetest.Host{MAC: hostMAC, GatewayMAC: gatewayMAC})),
	}, nil
}

// Close ends what the host captures. Nothing may be traced from it afterwards.
func (h *Host) Close() { h.conn.close() }

// Dial is a tracewire.Options.Dial: it opens the way to a target. The errors wrap
// those of package route, and tracewire.ErrTarget and ErrOptions.
func (h *Host) Dial(_ context.Context, dst netip.Addr, o *tracewire.Options) (*tracewire.Wire, error) {
	source, err := h.source(dst, o)
	if err != nil {
		return nil, err
	}
	return &tracewire.Wire{Conn: h.conn, MTU: h.host.MTU, VLAN: o.VLAN, Source: source}, nil
}

// source is where the probes to a target leave the host.
func (h *Host) source(dst netip.Addr, o *tracewire.Options) (s path.Source, err error) {
	prefix, ok := h.prefixFor(dst)
	switch {
	case o.Namespace != "":
		return s, fmt.Errorf("%w: a simulated network has no namespace %s", tracewire.ErrOptions, o.Namespace)
	case o.Interface != "" && o.Interface != Interface:
		return s, fmt.Errorf("%s: %w", o.Interface, route.ErrInterface)
	case dst.IsLoopback() || slices.ContainsFunc(h.host.Addresses, func(p netip.Prefix) bool { return p.Addr() == dst }):
		return s, fmt.Errorf("%w %v: it is the host itself, which a network simulated in this process does not reach", tracewire.ErrTarget, dst)
	case !ok:
		return s, fmt.Errorf("%v: %w", dst, route.ErrNoRoute)
	case o.Source.IsValid() && o.Source != prefix.Addr():
		return s, fmt.Errorf("source %v: %w", o.Source, route.ErrSource)
	}
	to, nextHopMAC := dst, o.NextHopMAC
	if len(o.Gateways) > 0 {
		to = o.Gateways[0]
	}
	if nextHopMAC == nil {
		nextHopMAC = gatewayMAC
	}
	return path.Source{
		Addr: prefix.Addr(), Interface: Interface, MAC: hostMAC,
		NextHop: h.nextHop(prefix, to), NextHopMAC: nextHopMAC,
	}, nil
}

// prefixFor is the host's own address of a target's family, and its link.
func (h *Host) prefixFor(dst netip.Addr) (netip.Prefix, bool) {
	for _, p := range h.host.Addresses {
		if p.Addr().Is4() == dst.Is4() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// nextHop is the gateway to an address, or the address itself on the host's link.
func (h *Host) nextHop(link netip.Prefix, to netip.Addr) netip.Addr {
	if link.Contains(to) {
		return to
	}
	for _, g := range h.host.Gateways {
		if g.Is4() == to.Is4() {
			return g
		}
	}
	return to
}
