package wire

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWatchSharesTheProcessor(t *testing.T) {
	const ms, µs = time.Millisecond, time.Microsecond
	// A step is a time awake, and how long the service waited before and in it.
	type step struct{ asleep, awake, before, in time.Duration }
	for name, c := range map[string]struct {
		processors int
		steps      []step
		want       time.Duration
	}{
		"at first":              {2, nil, 2 * ms},
		"undisturbed":           {2, []step{{ms, 5 * ms, 0, 0}, {ms, 5 * ms, 0, 0}}, 2 * ms},
		"a short wait":          {2, []step{{ms, ms, 0, 100 * µs}}, 2 * ms},
		"a wait":                {2, []step{{ms, ms, 0, 101 * µs}}, ms},
		"a wait to wake up":     {2, []step{{ms, ms, 3 * ms, 0}}, 2 * ms},
		"waits":                 {2, []step{{ms, ms, 0, ms}, {ms, ms, 0, ms}}, 500 * µs},
		"nothing but waits":     {2, []step{{ms, ms, 0, ms}, {ms, ms, 0, ms}, {ms, ms, 0, ms}, {ms, ms, 0, ms}, {ms, ms, 0, ms}}, 120 * µs},
		"a wait, and none":      {2, []step{{ms, ms, 0, ms}, {ms, ms, 0, 0}, {ms, 3 * ms, 0, 0}}, 1400 * µs},
		"long undisturbed":      {2, []step{{ms, ms, 0, ms}, {ms, 60 * ms, 0, 0}}, 2 * ms},
		"a sleep grows nothing": {2, []step{{ms, ms, 0, ms}, {time.Hour, 0, 0, 0}}, ms},
		"a lone processor":      {1, []step{{ms, ms, 0, 0}, {ms, ms, 0, ms}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(c.processors)
			var now, waited time.Duration
			for _, s := range c.steps {
				now, waited = now+s.asleep, waited+s.before
				w.woke(now, waited)
				now, waited = now+s.awake, waited+s.in
				w.adapt(now, waited)
			}
			if d := cmp.Diff(c.want, w.window); d != "" {
				t.Error(d)
			}
		})
	}
}
