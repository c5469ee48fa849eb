package tracewire_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
)

// A trace through a simulated network. Without Dial it would leave by an
// interface of this host.
func ExampleTrace() {
	network, err := capturetest.New(capturetest.ChainOf(time.Millisecond, "10.0.1.1", "10.0.2.1", "198.51.100.7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	o := &tracewire.Options{Dial: tracewire.Through(network.Conn(capturetest.Host{}))}
	p, err := tracewire.Trace(context.Background(), "198.51.100.7", o)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hop := range p.Hops() {
		if reply := hop.Probes[0].Reply; reply != nil {
			fmt.Println(hop.TTL, reply.From, reply.Kind)
		}
	}
	fmt.Println("reached:", p.Reached())
	// Output:
	// 1 10.0.1.1 time-exceeded
	// 2 10.0.2.1 time-exceeded
	// 3 198.51.100.7 unreachable
	// reached: true
}
