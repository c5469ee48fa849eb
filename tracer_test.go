package tracewire_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// Traces that run at the same time.

// beside is a Tracer, what its traces told, and what they recorded. It is on two
// interfaces, by which the targets are reached by turns.
type beside struct {
	*testing.T
	*tracewire.Tracer
	conns    [2]*capturetest.Conn
	recorded *recorder

	mu     sync.Mutex
	events map[int][]path.Event // by the number of the trace
	errs   map[int]error
}

// newBeside makes a Tracer in the network with a million destinations.
func newBeside(t *testing.T, h capturetest.Host, o tracewire.Options) *beside {
	t.Helper()
	data, err := topologies.Read("million")
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Parse("million", data)
	if err != nil {
		t.Fatal(err)
	}
	network, err := capturetest.Simulate(top)
	if err != nil {
		t.Fatal(err)
	}
	b := &beside{
		T: t, conns: [...]*capturetest.Conn{network.Conn(h), network.Conn(h)},
		events: map[int][]path.Event{}, errs: map[int]error{},
	}
	o.Dial = b.dial
	b.recorded = record(t, &o)
	if b.Tracer, err = tracewire.NewTracer(&o); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *beside) dial(_ context.Context, dst netip.Addr, _ *tracewire.Options) (*tracewire.Wire, error) {
	bytes := dst.As16()
	by := int(bytes[15]) % len(b.conns)
	h := b.conns[by].Host()
	w := &tracewire.Wire{Conn: b.conns[by], Port: 50000, Source: path.Source{
		Addr: h.Addr, Interface: fmt.Sprint("sim", by), MAC: h.MAC, NextHopMAC: h.GatewayMAC,
	}}
	if dst.Is6() {
		w.Source.Addr = h.Addr6
	}
	return w, nil
}

// trace runs the trace with a number.
func (b *beside) trace(ctx context.Context, number int, dst netip.Addr) {
	err := b.Trace(ctx, tracewire.Target{Addr: dst, Number: number}, func(e path.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events[number] = append(b.events[number], e)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs[number] = err
}

// hold keeps the Conn in use until the test's other traces have ended: the function
// that it returns is to be called then.
func (b *beside) hold() (release func()) {
	held := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		err := b.Trace(b.Context(), tracewire.Target{Addr: netip.MustParseAddr("10.31.255.253"), Number: holder}, func(e path.Event) {
			<-held
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events[holder] = append(b.events[holder], e)
		})
		if err != nil {
			b.Error(err)
		}
	})
	synctest.Wait()
	return func() {
		close(held)
		wait.Wait()
	}
}

// holder is the number of the trace that holds the Conn.
const holder = 1000

// path is the Path of the trace with a number.
func (b *beside) path(number int) *path.Path {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events[number]
	if len(events) == 0 || events[len(events)-1].Kind != path.Ended {
		b.Fatalf("trace %d has not ended: %v", number, b.errs[number])
	}
	return events[len(events)-1].Path
}

// replays holds the replay of the recording against what was told live: the traces
// come one after the other, in the order of their numbers.
func (b *beside) replays() {
	b.Helper()
	b.recorded.events = nil
	numbers := make([]int, 0, len(b.events))
	for number := range b.events {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		b.recorded.events = append(b.recorded.events, b.events[number]...)
	}
	b.recorded.replays(b)
}

// someOfMillion are some of the million, of both families.
func someOfMillion(n int) (all []netip.Addr) {
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 16, byte(i * 37), byte(1 + i*11)})
		if i%3 == 2 {
			b := netip.MustParseAddr("2001:db8:ffff::").As16()
			b[15] = byte(1 + i)
			a = netip.AddrFrom16(b)
		}
		all = append(all, a)
	}
	return all
}

// What is captured is read once, by all; and what is a reply to one of the traces
// is foreign to none. (A Conn can't be ranged over twice, and with one probe in
// flight nothing comes for a trace that has ended.)
func TestTracesAtOnceShareACapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{InFlight: 1})
		var wait sync.WaitGroup
		targets := someOfMillion(40)
		for i, dst := range targets {
			wait.Go(func() { b.trace(t.Context(), len(targets)-i, dst) })
		}
		wait.Wait()
		for number := 1; number <= len(targets); number++ {
			p := b.path(number)
			if b.errs[number] != nil || !p.Reached() || p.Counters.Received != p.Counters.Sent || p.Counters.Foreign != 0 {
				t.Errorf("trace %d to %v: %v, %+v", number, p.Target.Addr, b.errs[number], p.Counters)
			}
			if p.Parameters.SrcPort != b.path(1).Parameters.SrcPort || number > 1 && p.Parameters.Seed != b.path(number-1).Parameters.Seed%tracewire.MaxSeed+1 {
				t.Errorf("trace %d: %+v", number, p.Parameters)
			}
		}
		b.replays()
	})
}

// Whatever happens to traces that begin and end beside each other, the replay tells
// the same of each.
func TestReplayOfTracesAtOnceIsWhatWasTold(t *testing.T) {
	var late, unsent, interrupted, failed int
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			host := capturetest.Host{NoCopies: random.IntN(12) == 0, Idle: time.Duration(1+random.IntN(100)) * ms}
			b := newBeside(t, host, tracewire.Options{Queries: 1 + random.IntN(3), Wait: path.Wait{Max: time.Duration(5+random.IntN(40)) * ms}})
			var wait sync.WaitGroup
			for i, dst := range someOfMillion(1 + random.IntN(12)) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begin := time.Duration(random.IntN(60)) * ms
				if random.IntN(4) == 0 {
					defer time.AfterFunc(begin+time.Duration(random.IntN(60))*ms, cancel).Stop()
				}
				wait.Go(func() {
					time.Sleep(begin)
					b.trace(ctx, i+1, dst)
				})
			}
			for range random.IntN(12) {
				l := &lab{T: t, conn: b.conns[random.IntN(len(b.conns))]}
				defer time.AfterFunc(time.Duration(random.IntN(100))*ms, l.trouble(random)).Stop()
			}
			wait.Wait()
			b.replays()
			for number := range b.events {
				p := b.path(number)
				late += p.Counters.Late
				unsent += len(p.Probes) - p.Counters.Sent
				if p.Interrupted {
					interrupted++
				}
				if errors.Is(b.errs[number], errTrouble) {
					failed++
				}
			}
		})
	}
	if min(late, unsent, interrupted, failed) < 5 {
		t.Errorf("too little happened: %d late, %d unsent, %d interrupted, %d failed", late, unsent, interrupted, failed)
	}
}

// Two traces to one target can't be told apart by what quotes little: the second
// waits for the first, and for no longer than its ctx.
func TestTracesToOneTargetWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		release := b.hold()
		dst := someOfMillion(1)[0]
		ctx, cancel := context.WithCancelCause(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { b.trace(t.Context(), 1, dst) })
		synctest.Wait()
		wait.Go(func() { b.trace(t.Context(), 2, dst) })
		wait.Go(func() { b.trace(ctx, 3, dst) })
		synctest.Wait()
		cancel(errTrouble)
		wait.Wait()
		release()
		if first, second := b.path(1), b.path(2); second.Started.Before(first.Ended) || !first.Reached() || !second.Reached() {
			t.Errorf("the second began at %v, the first ended at %v", second.Started, first.Ended)
		}
		if !errors.Is(b.errs[3], errTrouble) || len(b.events[3]) > 0 {
			t.Errorf("the third: %v", b.errs[3])
		}
	})
}

// A slow listener keeps neither the capture nor other traces from going on.
func TestSlowListenerDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		targets := someOfMillion(2)
		var wait sync.WaitGroup
		var slow *path.Path
		wait.Go(func() {
			err := b.Trace(t.Context(), tracewire.Target{Addr: targets[0]}, func(e path.Event) {
				time.Sleep(time.Minute)
				if e.Kind == path.Ended {
					slow = e.Path
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		began := time.Now()
		wait.Go(func() { b.trace(t.Context(), 7, targets[1]) })
		synctest.Wait()
		time.Sleep(time.Second)
		if p := b.path(7); time.Since(began) > time.Second || !p.Reached() {
			t.Errorf("the other took until %v", p.Ended)
		}
		wait.Wait()
		if slow.Counters.Late > 0 || slow.Counters.Received != slow.Counters.Sent {
			t.Errorf("%+v", slow.Counters)
		}
	})
}

// What ends a capture ends all traces on it, each with what it knows, and no other.
func TestCaptureThatFailsEndsAllTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		time.AfterFunc(9*ms, func() { b.conns[0].Fail(capture.ErrGone) })
		var wait sync.WaitGroup
		for i, dst := range someOfMillion(5) {
			wait.Go(func() { b.trace(t.Context(), i+1, dst) })
		}
		wait.Wait()
		for number := 1; number <= 5; number++ {
			p, want := b.path(number), error(nil)
			if p.Source.Interface == "sim0" {
				want = capture.ErrGone
			}
			if !errors.Is(b.errs[number], want) || p.Interrupted != (want != nil) || p.Counters.Received == 0 {
				t.Errorf("trace %d: %v, %+v", number, b.errs[number], p.Counters)
			}
		}
		b.replays()
	})
}

// A trace whose context is over before it begins sends nothing, and has no Path.
func TestTraceThatIsOverBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTrouble)
		if b.trace(ctx, 1, someOfMillion(1)[0]); !errors.Is(b.errs[1], errTrouble) || len(b.events[1]) > 0 {
			t.Errorf("%v, %d events", b.errs[1], len(b.events[1]))
		}
	})
}

// A target that can't be traced to is no other's trouble, and leaves its number free
// to nobody.
func TestTargetThatCantBeTracedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		release := b.hold()
		for i, to := range []string{"10.16.0.1", "0.0.0.0", "224.0.0.1", "10.16.0.3"} {
			b.trace(t.Context(), i+1, netip.MustParseAddr(to))
		}
		release()
		for number, want := range map[int]error{1: nil, 2: tracewire.ErrTarget, 3: tracewire.ErrTarget, 4: nil} {
			if !errors.Is(b.errs[number], want) || (len(b.events[number]) > 0) != (want == nil) {
				t.Errorf("trace %d: %v, %d events", number, b.errs[number], len(b.events[number]))
			}
		}
		b.replays()
	})
}

// The replay of recordings that several programs made in turn, into one file, has
// the traces of each in order, and an end to those that were cut; whichever numbers
// they have.
func TestRecordingsOfTracesAtOnceInOneFile(t *testing.T) {
	for name, first := range map[string]int{"as many traces": 3, "fewer": 1} {
		t.Run(name, func(t *testing.T) {
			var files [2][]byte
			var want []string
			for i, traces := range []int{first, 3} {
				synctest.Test(t, func(t *testing.T) {
					b := newBeside(t, capturetest.Host{}, tracewire.Options{})
					release := b.hold()
					for n, dst := range someOfMillion(traces) {
						b.trace(t.Context(), traces-n, dst) // the last number begins first
					}
					release()
					files[i] = b.recorded.file.Bytes()
					for number := 1; number <= traces; number++ {
						want = append(want, fmt.Sprint(b.path(number).Target.Addr))
					}
					want = append(want, fmt.Sprint(b.path(holder).Target.Addr))
				})
			}
			told, err := replayed(t, slices.Concat(files[0], files[1]), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range told {
				if e.Kind == path.Ended {
					got = append(got, fmt.Sprint(e.Path.Target.Addr))
					if e.Path.Interrupted {
						t.Errorf("the trace to %v is interrupted", e.Path.Target.Addr)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			cut := files[0][:cutAtBlock(files[0], len(files[0])/2)]
			if told, err = replayed(t, slices.Concat(cut, files[1]), nil); err != nil {
				t.Fatal(err)
			}
			ended := slices.DeleteFunc(told, func(e path.Event) bool { return e.Kind != path.Ended })
			interrupted := func(e path.Event) bool { return e.Path.Interrupted }
			others := len(ended) - 4
			if others < 1 || !slices.ContainsFunc(ended[:others], interrupted) || slices.ContainsFunc(ended[others:], interrupted) {
				t.Errorf("of a file that is cut, and another: %d traces", len(ended))
			}
		})
	}
}

// A trace that is over stays so, though a frame that is captured for others tells
// that its path goes on.
func TestTraceThatIsOverStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := eight()
		for i := 2; i < len(c.Routers); i++ {
			c.Routers[i].Silent = true
		}
		network, err := capturetest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		l := &lab{T: t, conn: network.Conn(capturetest.Host{Keep: true})}
		tracer, err := tracewire.NewTracer(&tracewire.Options{Dial: l.dial, Queries: 1, MaxTTL: 6})
		if err != nil {
			t.Fatal(err)
		}
		var other sync.WaitGroup
		other.Go(func() { // keeps the capture going
			_ = tracer.Trace(t.Context(), tracewire.Target{Addr: netip.MustParseAddr("198.51.100.8")}, func(path.Event) {})
		})
		var p *path.Path
		err = tracer.Trace(t.Context(), tracewire.Target{Addr: target}, func(e path.Event) {
			switch {
			case e.Kind == path.Ended:
				p = e.Path
			case e.Kind == path.ProbeOut && e.Probe.TTL == 6:
				l.answer(3, layers.ICMPv4TypeDestinationUnreachable) // which ends the path
				time.Sleep(time.Second)
				l.answer(5, layers.ICMPv4TypeTimeExceeded) // but it goes on
				time.Sleep(time.Second)
			}
		})
		other.Wait()
		if err != nil || p == nil || p.Interrupted || p.Hop(5).Probes[0].Reply == nil {
			t.Errorf("%v, %+v", err, p)
		}
	})
}

// answer makes the router that a TTL leads to answer the probe to the target that
// had it, with an ICMP error of a type.
func (l *lab) answer(ttl, typ byte) {
	l.Helper()
	for _, sent := range l.conn.Sent() {
		ip := sent[14:]
		if ip[8] != ttl || netip.AddrFrom4([4]byte(ip[16:20])) != target {
			continue
		}
		message, err := capturetest.ICMPError{
			From: netip.AddrFrom4([4]byte{10, 0, ttl, 1}), To: l.conn.Host().Addr, Type: typ, Datagram: ip,
		}.Packet()
		if err != nil {
			l.Fatal(err)
		}
		l.conn.Deliver(0, l.conn.Inbound(message))
	}
}

// Numbers are one trace's each, and count from 1.
func TestTraceNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		release := b.hold()
		for _, test := range []struct {
			number int
			want   error
		}{{4, nil}, {4, tracewire.ErrTarget}, {holder, tracewire.ErrTarget}, {-1, tracewire.ErrTarget}} {
			err := b.Trace(t.Context(), tracewire.Target{Addr: someOfMillion(1)[0], Number: test.number}, func(path.Event) {})
			if !errors.Is(err, test.want) {
				t.Errorf("number %d: %v", test.number, err)
			}
		}
		release()
	})
}

// cutAtBlock is where the last block of a pcapng file ends that ends before most.
func cutAtBlock(file []byte, most int) (end int) {
	for {
		next := end + int(uint32(file[end+4])|uint32(file[end+5])<<8|uint32(file[end+6])<<16|uint32(file[end+7])<<24)
		if next > most {
			return end
		}
		end = next
	}
}
