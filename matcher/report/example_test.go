package report_test

import (
	"fmt"
	"os"

	"github.com/tracewire/tracewire/matcher/report"
)

// A program reads what 'tracewire --format json' wrote. Here it is a trace that another
// program made in 2004.
func ExampleRead() {
	file, err := os.Open("../../testdata/golden/tcpdump_mpls_traceroute.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	for trace, err := range report.Read(file) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("to", trace.Path.Target.Addr)
		for _, hop := range trace.Path.Hops() {
			for _, probe := range hop.Probes[:1] {
				if r := probe.Reply; r != nil {
					fmt.Println(hop.TTL, r.From, r.RTT, r.Extensions.Labels())
				} else {
					fmt.Println(hop.TTL, "*")
				}
			}
		}
		for _, f := range trace.Findings {
			fmt.Println(f.Kind, f.Where())
		}
	}
	// Output:
	// to 12.1.1.1
	// 1 10.5.0.1 815µs [{100704 0 true 1}]
	// 2 10.4.0.2 741µs [{102672 0 true 1}]
	// 3 12.1.1.1 657µs []
	// mpls hops 1 to 2
}

// A library user writes the document of a trace: p is what tracewire.Trace returned.
func ExampleMarshal() {
	p := small()
	line, err := report.Marshal(&report.Trace{Path: p})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.80s…\n", line)
	// Output:
	// {"schema":"tracewire/1","target":{"host":"target.example","addr":"198.51.100.7"}…
}
