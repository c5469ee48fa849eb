package tracewire_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/path"
)

// BenchmarkKernelTraceBeside measures a trace that starts while another, to a host that
// never answers, runs on the same interface: how long after the call its first probe
// leaves, and how long after its last reply it ends.
func BenchmarkKernelTraceBeside(b *testing.B) {
	c, silent := kernelnet.NewChain(b, 8, nil), destination.Next()
	c.Routers[0].Nft(rule("forward", "ip daddr "+silent.String()+" drop"))
	tracer, err := tracewire.NewTracer(&tracewire.Options{Wait: path.Wait{Max: time.Hour}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	began, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = tracer.Trace(ctx, tracewire.Target{Addr: silent}, func(path.Event) {
			select {
			case began <- struct{}{}:
			default:
			}
		}) // it is cancelled
	}()
	<-began
	var first, last []time.Duration
	for b.Loop() {
		called := time.Now()
		var p *path.Path
		err := tracer.Trace(ctx, tracewire.Target{Addr: destination}, func(e path.Event) { p = e.Path })
		returned := time.Now()
		if err != nil {
			b.Fatal(err)
		}
		first = append(first, p.Probes[0].Called.Sub(called))
		last = append(last, returned.Sub(lastReply(p)))
	}
	cancel()
	<-ended
	reportMedian(b, first, "median-ns/call-to-first-probe")
	reportMedian(b, last, "median-ns/last-reply-to-end")
}

func lastReply(p *path.Path) (last time.Time) {
	for i := range p.Probes {
		if r := p.Probes[i].Reply; r != nil && r.Received.After(last) {
			last = r.Received
		}
	}
	return last
}

func reportMedian(b *testing.B, all []time.Duration, unit string) {
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), unit)
}

// BenchmarkKernelSilence measures the processor time of a trace that waits ten seconds for
// a silent hop.
func BenchmarkKernelSilence(b *testing.B) {
	c := kernelnet.NewChain(b, 3, nil)
	c.Routers[1].Nft(rule("output", "icmp type time-exceeded drop"))
	before := usedTime(b)
	began := time.Now()
	for b.Loop() {
		o := tracewire.Options{Queries: 1, Wait: path.Wait{Max: 10 * time.Second}}
		if _, err := tracewire.Trace(b.Context(), destination.String(), &o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((usedTime(b)-before).Seconds()*1000/time.Since(began).Seconds(), "cpu-ms/s")
}

// usedTime is the processor time that this process has used so far.
func usedTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
