package wire

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWatchSharesTheProcessor(t *testing.T) {
	const ms, µs = time.Millisecond, time.Microsecond
	type step struct{ now, waited time.Duration }
	// clean is so many ms, from one on, without a wait beyond one.
	clean := func(from, n int, waited time.Duration) (steps []step) {
		for i := range n {
			steps = append(steps, step{time.Duration(from+i) * ms, waited})
		}
		return steps
	}
	for name, c := range map[string]struct {
		processors int
		steps      []step
		want       time.Duration
	}{
		"at first":               {2, nil, 2 * ms},
		"undisturbed":            {2, clean(1, 50, 0), 2 * ms},
		"a short wait":           {2, []step{{ms, 100 * µs}}, 2 * ms},
		"a wait":                 {2, []step{{ms, 101 * µs}}, ms},
		"waits, and none":        {2, append([]step{{ms, ms}, {2 * ms, 3 * ms}}, clean(3, 10, 3*ms)...), 700 * µs},
		"long undisturbed again": {2, append([]step{{ms, ms}}, clean(2, 50, ms)...), 2 * ms},
		"one wait seen twice":    {2, []step{{ms, ms}, {ms + 1, 2 * ms}}, ms},
		"nothing but waits":      {2, []step{{ms, ms}, {2 * ms, 2 * ms}, {3 * ms, 3 * ms}, {4 * ms, 4 * ms}, {5 * ms, 5 * ms}}, 120 * µs},
		"a lone processor":       {1, clean(1, 50, 0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(c.processors)
			for _, s := range c.steps {
				w.adapt(s.now, func() time.Duration { return s.waited })
			}
			if d := cmp.Diff(c.want, w.window); d != "" {
				t.Error(d)
			}
		})
	}
}
