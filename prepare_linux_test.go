package tracewire_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/path"
)

// twoLinks is a host with two links to a router that has 10.99.0.1 and fd99::1: these
// are reached by the first.
func twoLinks(t *testing.T) (second *kernelnet.Link) {
	t.Helper()
	n := kernelnet.New(t)
	r := n.Router("r")
	n.Link(n.Host(), r, "10.77.1.0/24", "fd77:1::/64")
	second = n.Link(n.Host(), r, "10.77.2.0/24")
	r.Address("10.99.0.1", "10.99.0.2", "fd99::1")
	n.Host().Route("default", "10.77.1.2")
	n.Host().Route("fd99::/64", "fd77:1::2")
	return second
}

// prepared is a restricted Tracer that is prepared for some targets.
func prepared(t *testing.T, o tracewire.Options, targets ...string) *tracewire.Tracer {
	t.Helper()
	o.Restricted, o.MaxTTL = true, 3
	tracer, err := tracewire.NewTracer(&o)
	if err != nil {
		t.Fatal(err)
	}
	var addrs []netip.Addr
	for _, a := range targets {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	release := tracer.Prepare(addrs)
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
		if n := packetSockets(t); n != 0 {
			t.Errorf("%d packet sockets are left", n)
		}
	})
	return tracer
}

// pathTo traces to a target.
func pathTo(t *testing.T, tracer *tracewire.Tracer, dst string) (p *path.Path, err error) {
	t.Helper()
	err = tracer.Trace(t.Context(), tracewire.Target{Addr: netip.MustParseAddr(dst)}, func(e path.Event) {
		if e.Kind == path.Ended {
			p = e.Path
		}
	})
	return p, err
}

// What is prepared is traced to with what is open: from both families of an interface
// at the same time, and over others. Nothing else is.
func TestPreparedTracerOpensNothingMore(t *testing.T) {
	second := twoLinks(t)
	tracer := prepared(t, tracewire.Options{}, "10.99.0.1", "fd99::1", "127.0.0.1")
	opened := packetSockets(t)
	var wait sync.WaitGroup
	for _, dst := range []string{"10.99.0.1", "10.99.0.2", "fd99::1", "127.0.0.1"} {
		wait.Go(func() {
			p, err := pathTo(t, tracer, dst)
			if err != nil || !p.Reached() {
				t.Errorf("%s: %+v, %v", dst, p, err)
			}
		})
	}
	wait.Wait()
	if n := packetSockets(t); n != opened {
		t.Errorf("%d packet sockets are open, and %d when it was prepared", n, opened)
	}
	for dst, device := range map[string]string{"10.77.2.2": second.A.Interface, "::1": "lo"} {
		p, err := pathTo(t, tracer, dst)
		if want := "interface " + device; p != nil || !errors.Is(err, tracewire.ErrUnprepared) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %v of %s", dst, err, tracewire.ErrUnprepared, want)
		}
	}
}

// The port that was free when it was prepared is the one that is captured, whatever
// has become free since.
func TestPreparedTracerKeepsItsPort(t *testing.T) {
	twoLinks(t)
	o := tracewire.Options{Seed: 7}
	source := netip.MustParseAddr("10.77.1.1")
	first, _, err := tracewire.Frames(netip.MustParseAddr("10.99.0.1"), &tracewire.Wire{Source: path.Source{Addr: source}}, &o)
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, first.SrcPort)))
	if err != nil {
		t.Fatal(err)
	}
	tracer := prepared(t, o, "10.99.0.1")
	other.Close()
	p, err := pathTo(t, tracer, "10.99.0.1")
	if err != nil || !p.Reached() {
		t.Fatalf("%+v, %v", p, err)
	}
	if p.Parameters.SrcPort == first.SrcPort {
		t.Errorf("it probes from port %d, which was not free", first.SrcPort)
	}
}

// Why something could not be prepared is what a trace that needs it says.
func TestPreparedTracerSaysWhatFailed(t *testing.T) {
	twoLinks(t)
	held, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.77.1.1:40000")))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	tracer := prepared(t, tracewire.Options{SrcPort: 40000}, "10.99.0.1", "10.77.2.2", "2001:db8::1")
	got := map[string]string{}
	for _, dst := range []string{"10.99.0.1", "10.77.2.2", "2001:db8::1"} {
		if _, err := pathTo(t, tracer, dst); err != nil {
			got[dst] = err.Error()
		}
	}
	want := map[string]string{
		"10.99.0.1":   "tracewire: source port 40000 is in use by another program: address already in use",
		"2001:db8::1": "route: 2001:db8::1: no route",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
