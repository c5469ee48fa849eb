package session_test

import (
	"testing"

	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// A packet that draws an ICMP error costs the same, however many there were before
// it: the packet that an error is about is found by what the error quotes.
func TestFinderWorksLittleForEachError(t *testing.T) {
	const packets, most = 10_000, 40 // for a packet and its error, on average
	for _, c := range drawing() {
		t.Run(c.name, func(t *testing.T) {
			var recorded tape
			finder := session.NewFinder(func(*path.Path) {})
			for n := range packets {
				recorded.frames = recorded.frames[:0]
				c.record(&recorded, 2*n)
				for i := range recorded.frames {
					finder.Observe(&recorded.frames[i])
				}
			}
			if work := float64(finder.Work()) / packets; work > most {
				t.Errorf("%.1f packets or runs were looked at for each", work)
			}
		})
	}
}
