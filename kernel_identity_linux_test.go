package tracewire_test

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/path"
)

// Where Linux answers, with what disturbs a trace there, the replay tells what
// was told live.
func TestKernelReplayIsWhatWasTold(t *testing.T) {
	kernelnet.Require(t, "traceroute")
	tests := map[string]struct {
		change func(*kernelnet.Chain)
		delays map[int]kernelnet.Delay
		o      tracewire.Options
		happen func(*path.Path) bool // what the test is about
	}{
		"behind a router that translates": {
			change: func(c *kernelnet.Chain) {
				c.Routers[1].Nft("table ip t {\nchain c {\ntype nat hook postrouting priority 100\nudp dport 33434 snat to 10.77.3.1:4000-5000\n}\n}\n")
			},
			happen: (*path.Path).Reached,
		},
		"late replies": {
			delays: map[int]kernelnet.Delay{2: kernelnet.ICMPFrom("10.77.2.2", 60*ms)},
			o:      tracewire.Options{Wait: path.Wait{Max: 20 * ms}, InFlight: 1},
			happen: func(p *path.Path) bool { return p.Counters.Late > 0 },
		},
		"a router that is silent": {
			change: func(c *kernelnet.Chain) { silence(c.Routers[2]) },
			happen: func(p *path.Path) bool { return slices.Contains(addrs(p), "*") },
		},
		"another program's trace": {
			o:      tracewire.Options{Queries: 10, Interval: ms},
			happen: func(p *path.Path) bool { return p.Counters.Foreign > 0 },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := chain(t, 5, test.delays)
			if test.change != nil {
				test.change(c)
			}
			var other *kernelnet.Process
			r := record(t, &test.o)
			run(t, t.Context(), &test.o, func(e path.Event) {
				if other == nil && e.Kind == path.Started { // we capture by now
					other = c.Host().Start("traceroute", "-n", "-q", "10", destination.String())
				}
				r.tell(e)
			})
			other.Stop()
			r.replays(t)
			if p := r.events[len(r.events)-1].Path; !test.happen(p) {
				t.Errorf("it did not happen: %v, %+v", addrs(p), p.Counters)
			}
		})
	}
}

// run traces to the chain's destination, and is not disappointed if ctx ends.
func run(t testing.TB, ctx context.Context, o *tracewire.Options, emit func(path.Event)) {
	t.Helper()
	err := tracewire.Run(ctx, slices.Values([]netip.Addr{destination}), o, emit)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// A trace that is ended at any moment is replayed as far as it was told.
func TestKernelReplayOfInterruptedTraces(t *testing.T) {
	c := chain(t, 5, nil)
	silence(c.Routers[2])
	for _, after := range []int{0, 1, 2, 5, 12, 20, 24} { // events
		ctx, cancel := context.WithCancel(t.Context())
		o := tracewire.Options{Wait: path.Wait{Max: 5 * time.Second}}
		r := record(t, &o)
		run(t, ctx, &o, func(e path.Event) {
			if r.tell(e); len(r.events) > after {
				cancel()
			}
		})
		cancel()
		r.replays(t)
		if p := r.events[len(r.events)-1].Path; !p.Interrupted {
			t.Errorf("after %d events it was over", after)
		}
	}
}

// BenchmarkKernelTrace compares traces that are recorded in a file with others:
// how long they take, and how long a probe takes from the program to the wire.
func BenchmarkKernelTrace(b *testing.B) {
	kernelnet.NewChain(b, 8, nil)
	for _, name := range []string{"alone", "recorded"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var took, toWire []time.Duration
			for b.Loop() {
				p := benchmarkTrace(b, name == "recorded")
				took = append(took, p.Ended.Sub(p.Started))
				for _, probe := range p.Probes {
					toWire = append(toWire, probe.Sent.Sub(probe.Called))
				}
			}
			slices.Sort(took)
			slices.Sort(toWire)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "median-ns/trace")
			b.ReportMetric(float64(toWire[len(toWire)/2].Nanoseconds()), "median-ns/call-to-wire")
			b.ReportMetric(float64(toWire[len(toWire)*9/10].Nanoseconds()), "p90-ns/call-to-wire")
		})
	}
}

func benchmarkTrace(b *testing.B, recorded bool) *path.Path {
	b.Helper()
	o := tracewire.Options{}
	if recorded {
		file, err := os.CreateTemp(b.TempDir(), "recording")
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		if o.Recording, err = tracewire.NewRecording(file, "a benchmark"); err != nil {
			b.Fatal(err)
		}
	}
	p, err := tracewire.Trace(b.Context(), destination.String(), &o)
	if err != nil {
		b.Fatal(err)
	}
	return p
}
