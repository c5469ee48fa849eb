package report_test

import (
	"testing"

	"github.com/tracewire/tracewire/matcher/report"
)

// BenchmarkMarshal writes the document of a trace whose findings are known.
func BenchmarkMarshal(b *testing.B) {
	trace := concluded(tracesIn(b, "../../testdata/captures/peers/traceroute-demo.pcap")[0])
	line, err := report.Marshal(trace)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := report.Marshal(trace); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshal reads it.
func BenchmarkUnmarshal(b *testing.B) {
	line, err := report.Marshal(concluded(tracesIn(b, "../../testdata/captures/peers/traceroute-demo.pcap")[0]))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := report.Unmarshal(line); err != nil {
			b.Fatal(err)
		}
	}
}
