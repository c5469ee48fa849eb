package engine

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/path"
)

// Each of many runs on one device has its own replies and none of the others', who
// are not foreign to it either.
func TestFramesOfManyRuns(t *testing.T) {
	const runs = 20
	live(t, func(t *testing.T, g *Engine, c *onDemand) {
		specs, told := make([]Spec, runs), make([][]string, runs)
		var all sync.WaitGroup
		for i := range runs {
			specs[i] = specOf(t, i+1, c.Host(), func(p *path.Parameters) { p.MaxTTL = 3 })
			all.Go(func() {
				err := g.Run(t.Context(), specs[i], func(e path.Event) {
					if e.Kind == path.Answer {
						told[i] = append(told[i], fmt.Sprint(e.Probe.SrcPort, " ", e.Reply.From))
					}
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i, s := range specs {
			port := fmt.Sprint(s.Path.Parameters.SrcPort)
			want := []string{port + " 10.0.1.1", port + " 10.0.2.1", port + " " + target.String()}
			if d := cmp.Diff(want, told[i]); d != "" {
				t.Errorf("run %d: -want +got\n%s", s.Number, d)
			}
			if n := s.Path.Counters; n.Foreign+n.Malformed+n.Dropped > 0 || !s.Path.Reached() {
				t.Errorf("run %d: %+v, reached %v", s.Number, n, s.Path.Reached())
			}
		}
	})
}
