package tracewire_test

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher/path"
)

// No Options crash, whatever is in them.
func TestNoWaitCrashes(t *testing.T) {
	for name, wait := range map[string]path.Wait{
		"no number":      {Max: time.Second, Here: math.NaN()},
		"no end":         {Max: time.Second, Near: math.Inf(1)},
		"minus infinity": {Max: time.Second, Near: math.Inf(-1)},
		"days":           {Max: math.MaxInt64},
	} {
		if _, err := tracewire.NewTracer(&tracewire.Options{Wait: wait}); !errors.Is(err, tracewire.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newChain(t, capturetest.ChainOf(time.Millisecond, "10.0.1.1", target.String()))
		o := &tracewire.Options{Dial: tracewire.Through(l), Wait: path.Wait{Max: 24 * time.Hour, Here: 1e300, Near: math.MaxFloat64}}
		p, err := tracewire.Trace(t.Context(), target.String(), o)
		if err != nil || !p.Reached() {
			t.Errorf("%v, %v", p, err)
		}
	})
}

// A trace that could not begin leaves its number to the next.
func TestFailedAttemptsUseNoNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newChain(t, capturetest.ChainOf(time.Millisecond, "10.0.1.1", target.String()))
		var seeds []uint64
		dial := func(ctx context.Context, dst netip.Addr, o *tracewire.Options) (*tracewire.Wire, error) {
			if dst != target {
				return nil, capture.ErrGone
			}
			return tracewire.Through(l)(ctx, dst, o)
		}
		tracer, err := tracewire.NewTracer(&tracewire.Options{Dial: dial, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []tracewire.Target{{Addr: netip.MustParseAddr("198.51.100.8")}, {Addr: target}, {Addr: target, Number: 1}} {
			err := tracer.Trace(t.Context(), to, func(e tracewire.Event) {
				if e.Kind == path.Ended {
					seeds = append(seeds, e.Path.Parameters.Seed)
				}
			})
			if wanted := to.Addr == target && to.Number == 0; wanted != (err == nil) {
				t.Errorf("%v: %v", to, err)
			}
		}
		if len(seeds) != 1 || seeds[0] != 7 {
			t.Errorf("the seeds %v", seeds)
		}
	})
}

// That nothing more is captured is an error of its own, though the source has none.
func TestSourceThatEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newChain(t, capturetest.ChainOf(time.Millisecond, "10.0.1.1", target.String()))
		time.AfterFunc(500*time.Microsecond, func() { l.Fail(nil) })
		p, err := tracewire.Trace(t.Context(), target.String(), &tracewire.Options{Dial: tracewire.Through(l)})
		if !errors.Is(err, tracewire.ErrCaptureEnded) || p == nil || !p.Interrupted {
			t.Errorf("%v, %v", p, err)
		}
	})
}

func newChain(t *testing.T, c capturetest.Chain) *capturetest.Conn {
	t.Helper()
	network, err := capturetest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return network.Conn(capturetest.Host{})
}
