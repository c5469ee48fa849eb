package tracewire_test

import (
	"context"
	"fmt"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/matcher/path"
)

// tracesIn are the traces that a capture holds.
func tracesIn(name string) ([]*tracewire.Path, error) {
	file, err := capture.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var traces []*tracewire.Path
	err = tracewire.Replay(context.Background(), file, nil, func(e tracewire.Event) {
		if e.Kind == path.Ended {
			traces = append(traces, e.Path)
		}
	})
	return traces, err
}

// What a capture shows of a network can be pinned in a test: the capture lies
// beside the test, made by 'tracewire --write', or by tcpdump while any other
// tracer ran. This one is of somebody's routers, in 2004.
func ExampleReplay() {
	traces, err := tracesIn("testdata/captures/tcpdump_mpls_traceroute.pcap")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range traces {
		fmt.Printf("%s of %d to %v, reached: %t\n", p.Tool, p.Started.Year(), p.Target.Addr, p.Reached())
		for _, hop := range p.Hops() {
			fmt.Println(hop.TTL, hop.Probes[0].Reply.From, hop.Probes[0].Reply.RTT)
		}
	}
	// Output:
	// traceroute of 2004 to 12.1.1.1, reached: true
	// 1 10.5.0.1 815µs
	// 2 10.4.0.2 741µs
	// 3 12.1.1.1 657µs
}

// Two captures of a path are compared: here two runs of traceroute in one file.
// In a test, the first was recorded when all was well, and a difference is told
// with t.Errorf.
func ExampleReplay_compared() {
	traces, err := tracesIn("testdata/captures/peers/twice-chain.pcap")
	if err != nil {
		fmt.Println(err)
		return
	}
	want, got := traces[0], traces[1]
	if d := tracewire.Diff(want, got, nil).Certain(); len(d) > 0 {
		fmt.Printf("the path has changed:\n%v\n", d)
	} else {
		fmt.Printf("%d hops, as before\n", got.End())
	}
	// Output:
	// 9 hops, as before
}
