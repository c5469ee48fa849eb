package tracewire_test

import (
	"fmt"

	"github.com/tracewire/tracewire"
)

// What a capture shows of a network can be pinned in a test: the capture lies
// beside the test, made by 'tracewire --write', or by tcpdump while any other
// tracer ran. This one is of somebody's routers, in 2004.
func ExampleOpen() {
	traces, err := tracewire.Open("testdata/captures/tcpdump_mpls_traceroute.pcap")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range traces {
		fmt.Printf("%s of %d to %v, reached: %t\n", p.Tool, p.Started.Year(), p.Target.Addr, p.Reached())
		for _, hop := range p.Hops() {
			if reply := hop.Probes[0].Reply; reply != nil {
				fmt.Println(hop.TTL, reply.From, reply.RTT)
			}
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
func ExampleOpen_compared() {
	traces, err := tracewire.Open("testdata/captures/peers/twice-chain.pcap")
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
