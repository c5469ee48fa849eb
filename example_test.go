package tracewire_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher/path"
)

// A trace through a simulated network. Without Dial it would leave by an
// interface of this host.
func ExampleTrace() {
	target := netip.MustParseAddr("198.51.100.7")
	network, err := capturetest.New(capturetest.ChainOf(time.Millisecond, "10.0.1.1", "10.0.2.1", target.String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	conn := network.Conn(capturetest.Host{})
	dial := func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
		h := conn.Host()
		return &tracewire.Wire{Conn: conn, Port: 50000, Source: path.Source{
			Addr: h.Addr, MAC: h.MAC, NextHop: netip.MustParseAddr("192.0.2.254"), NextHopMAC: h.GatewayMAC,
		}}, nil
	}

	p, err := tracewire.Trace(context.Background(), target, &tracewire.Options{Dial: dial})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hop := range p.Hops() {
		fmt.Println(hop.TTL, hop.Probes[0].Reply.From, hop.Probes[0].Reply.Kind)
	}
	fmt.Println("reached:", p.Reached())
	// Output:
	// 1 10.0.1.1 time-exceeded
	// 2 10.0.2.1 time-exceeded
	// 3 198.51.100.7 unreachable
	// reached: true
}
