package tracewire_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
)

// A path is compared with what it was. In a test, want comes of a capture that
// was made when all was well, got of one that was made just now, and what
// is printed here goes to t.Errorf.
func ExampleDiff() {
	want, err := traceThrough("10.0.1.1", "10.0.2.1", "10.0.3.1", "198.51.100.7")
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := traceThrough("10.0.1.1", "10.0.9.1", "10.0.2.1", "10.0.8.1", "198.51.100.7")
	if err != nil {
		fmt.Println(err)
		return
	}
	// A simulated network on a busy machine keeps no time: compare no round trips.
	o := &tracewire.DiffOptions{RTT: -1}
	if d := tracewire.Diff(want, got, o).Certain(); len(d) > 0 {
		fmt.Printf("the path has changed:\n%v\n", d)
	}
	// Output:
	// the path has changed:
	// the target is at hop 5, was 4
	// hop 2: new on the path: 10.0.9.1
	// hop 4 (before: hop 3): 10.0.8.1 in the place of 10.0.3.1
}

// traceThrough traces a path through a simulated network of these routers, the
// last being the target.
func traceThrough(addrs ...string) (*tracewire.Path, error) {
	network, err := capturetest.New(capturetest.ChainOf(time.Millisecond, addrs...))
	if err != nil {
		return nil, err
	}
	o := &tracewire.Options{Dial: tracewire.Through(network.Conn(capturetest.Host{}))}
	return tracewire.Trace(context.Background(), addrs[len(addrs)-1], o)
}
