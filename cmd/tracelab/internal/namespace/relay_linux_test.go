package namespace

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What reaches the command through process 1, of what it gets itself and what
// the launcher tells it of.
func TestRelay(t *testing.T) {
	type event struct {
		at     time.Duration
		signal unix.Signal
		told   bool
	}
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		events []event
		want   []unix.Signal
	}{
		"the launcher alone":        {[]event{{0, unix.SIGINT, true}}, []unix.Signal{unix.SIGINT}},
		"process 1 alone":           {[]event{{0, unix.SIGHUP, false}}, []unix.Signal{unix.SIGHUP}},
		"a terminal":                {[]event{{0, unix.SIGINT, false}, {ms, unix.SIGINT, true}}, nil},
		"a terminal, the other way": {[]event{{0, unix.SIGQUIT, true}, {50 * ms, unix.SIGQUIT, false}}, nil},
		"a terminal, twice":         {[]event{{0, unix.SIGINT, false}, {0, unix.SIGINT, true}, {ms, unix.SIGINT, true}, {ms, unix.SIGINT, false}}, nil},
		"a terminal, and again as its time is over": {
			[]event{{0, unix.SIGINT, false}, {ms, unix.SIGINT, true}, {99 * ms, unix.SIGINT, false}, {101 * ms, unix.SIGINT, true}}, nil,
		},
		"two signals":                {[]event{{0, unix.SIGINT, false}, {ms, unix.SIGHUP, true}}, []unix.Signal{unix.SIGINT, unix.SIGHUP}},
		"one after the other":        {[]event{{0, unix.SIGINT, true}, {500 * ms, unix.SIGINT, true}}, []unix.Signal{unix.SIGINT, unix.SIGINT}},
		"killall":                    {[]event{{0, unix.SIGTERM, true}, {0, unix.SIGTERM, false}}, []unix.Signal{unix.SIGTERM}},
		"a terminal, then one alone": {[]event{{0, unix.SIGINT, false}, {ms, unix.SIGINT, true}, {300 * ms, unix.SIGINT, true}}, []unix.Signal{unix.SIGINT}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, told, passed := make(chan os.Signal), make(chan unix.Signal), make(chan unix.Signal, 8)
				ctx, stop := context.WithCancel(t.Context())
				go relay(ctx, got, told, func(s unix.Signal) { passed <- s })
				began := time.Now()
				for _, e := range c.events {
					time.Sleep(e.at - time.Since(began))
					if e.told {
						told <- e.signal
					} else {
						got <- e.signal
					}
				}
				time.Sleep(time.Second)
				stop()
				synctest.Wait()
				close(passed)
				var all []unix.Signal
				for s := range passed {
					all = append(all, s)
				}
				if d := cmp.Diff(c.want, all); d != "" {
					t.Error(d)
				}
			})
		})
	}
}
