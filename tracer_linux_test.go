package tracewire_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/path"
)

// However many hosts are traced at the same time, one pair of handles is open on
// an interface, and all probes come from one port. Each trace finds what it finds
// alone, and nothing of the others is foreign to it.
func TestKernelTracesAtOnceShareHandles(t *testing.T) {
	c := chain(t, 8, nil)
	want, targets := hops(c), c.Hops(kernelnet.IPv4)
	o := tracewire.Options{InFlight: 1} // so that nothing comes for a trace that has ended
	r := record(t, &o)
	tracer, err := tracewire.NewTracer(&o)
	if err != nil {
		t.Fatal(err)
	}
	var begun, wait sync.WaitGroup
	begun.Add(len(targets))
	told := make([][]path.Event, len(targets))
	for i, dst := range targets {
		wait.Go(func() {
			err := tracer.Trace(t.Context(), tracewire.Target{Addr: dst, Number: i + 1}, func(e path.Event) {
				if told[i] = append(told[i], e); e.Kind != path.Started {
					return
				}
				begun.Done()
				begun.Wait() // all have their handles now
				if n := packetSockets(t); n != 2 {
					t.Errorf("%d packet sockets are open for %d traces", n, len(targets))
				}
			})
			if err != nil {
				t.Errorf("to %v: %v", dst, err)
			}
		})
	}
	wait.Wait()
	ports := map[uint16]bool{}
	for i, events := range told {
		r.events = append(r.events, events...)
		p := events[len(events)-1].Path
		ports[p.Parameters.SrcPort] = true
		if d := cmp.Diff(append(want[:i:i], targets[i].String()), addrs(p)); d != "" || p.Counters.Foreign+p.Counters.Duplicate > 0 {
			t.Errorf("to %v: %+v\n%s", targets[i], p.Counters, d)
		}
	}
	if len(ports) != 1 {
		t.Errorf("from the ports %v", ports)
	}
	r.replays(t)
	if n := packetSockets(t); n != 0 {
		t.Errorf("%d packet sockets are left", n)
	}
}

// In a network namespace with a name it takes no more descriptors.
func TestKernelTracesAtOnceLeaveNoDescriptors(t *testing.T) {
	c := chain(t, 4, nil)
	tracer, err := tracewire.NewTracer(&tracewire.Options{Namespace: "/proc/thread-self/ns/net"})
	if err != nil {
		t.Fatal(err)
	}
	all := func() {
		var wait sync.WaitGroup
		for _, dst := range c.Hops(kernelnet.IPv4) {
			wait.Go(func() {
				if err := tracer.Trace(t.Context(), tracewire.Target{Addr: dst}, func(path.Event) {}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	all() // whatever is opened once is open now
	before := descriptors(t)
	for range 3 {
		all()
	}
	if now := descriptors(t); now > before {
		t.Errorf("%d descriptors are open, %d were", now, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// packetSockets is how many packet sockets are open in the network namespace.
func packetSockets(t *testing.T) int {
	t.Helper()
	list, err := os.ReadFile("/proc/thread-self/net/packet")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(list), "\n") - 1 // a line is the head
}

// Where another program has the port on one of this host's addresses, the trace
// from there takes another port, and so waits until the handles are free.
func TestKernelPortThatIsTakenElsewhere(t *testing.T) {
	kernelnet.NewChain(t, 3, &kernelnet.ChainOptions{Families: []kernelnet.Family{kernelnet.IPv4, kernelnet.IPv6}})
	o := tracewire.Options{Seed: 5}
	usual := mustTraceTo(t, kernelnet.IPv4.Destination, o).Parameters.SrcPort
	source := mustTraceTo(t, kernelnet.IPv6.Destination, o).Source.Addr
	taken, err := net.ListenPacket("udp6", netip.AddrPortFrom(source, usual).String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := record(t, &o)
	tracer, err := tracewire.NewTracer(&o)
	if err != nil {
		t.Fatal(err)
	}
	var told [2][]path.Event
	trace := func(ctx context.Context, number int, dst netip.Addr, begun func()) error {
		return tracer.Trace(ctx, tracewire.Target{Addr: dst, Number: number}, func(e path.Event) {
			if told[number-1] = append(told[number-1], e); e.Kind == path.Started {
				begun()
			}
		})
	}
	err = trace(t.Context(), 1, kernelnet.IPv4.Destination, func() {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errTrouble)
		defer cancel()
		if err := tracer.Trace(ctx, tracewire.Target{Addr: kernelnet.IPv6.Destination, Number: 9}, func(path.Event) {}); !errors.Is(err, errTrouble) {
			t.Errorf("a trace that needs another port did not wait: %v", err)
		}
	})
	if err == nil {
		err = trace(t.Context(), 2, kernelnet.IPv6.Destination, func() {})
	}
	if err != nil {
		t.Fatal(err)
	}
	var paths []*path.Path
	for _, events := range told {
		r.events = append(r.events, events...)
		paths = append(paths, events[len(events)-1].Path)
	}
	if a, b := paths[0], paths[1]; !a.Reached() || !b.Reached() || a.Parameters.SrcPort != usual || b.Parameters.SrcPort == usual {
		t.Errorf("from port %d and from port %d: %v, %v", a.Parameters.SrcPort, b.Parameters.SrcPort, addrs(a), addrs(b))
	}
	r.replays(t)
}
