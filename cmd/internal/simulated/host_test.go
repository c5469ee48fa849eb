package simulated

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lab = `
name = "lab"

[host]
addresses = ["192.0.2.10/24"]

[[router]]
name = "r1"
addresses = ["192.0.2.1"]

[[router]]
name = "r2"
addresses = ["10.0.0.2"]

[[destination]]
name = "end"
dns = "end.example"
addresses = ["198.51.100.1"]

[[link]]
path = ["host", "r1", "r2", "end"]
delay = "5ms"
`

func newHost(t *testing.T) *Host {
	t.Helper()
	topo, err := topology.Parse("lab.toml", []byte(lab))
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(topo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// Traces share the host's interface, at the same time and one after the other.
func TestTracesShareTheInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		tracer, err := tracewire.NewTracer(&tracewire.Options{Dial: h.Dial, Queries: 1, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		trace := func(to string) (from []string) {
			err := tracer.Trace(t.Context(), tracewire.Target{Addr: netip.MustParseAddr(to)}, func(e path.Event) {
				if e.Kind != path.Ended {
					return
				}
				for _, hop := range e.Path.Hops() {
					from = append(from, hop.Probes[0].Reply.From.String())
				}
			})
			if err != nil {
				t.Error(err)
			}
			return from
		}
		beside := make(chan []string)
		go func() { beside <- trace("10.0.0.2") }()
		whole := []string{"192.0.2.1", "10.0.0.2", "198.51.100.1"}
		if d := cmp.Diff(whole, trace("198.51.100.1")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(whole[:2], <-beside); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(whole, trace("198.51.100.1")); d != "" {
			t.Error("after the others have ended:", d)
		}
	})
}

// What the host does not have is refused as the kernel's routes refuse it.
func TestDialRefuses(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		name string
		to   string
		o    tracewire.Options
		want error
	}{
		{"another interface", "198.51.100.1", tracewire.Options{Interface: "eth1"}, route.ErrInterface},
		{"another source", "198.51.100.1", tracewire.Options{Source: netip.MustParseAddr("192.0.2.11")}, route.ErrSource},
		{"a family without an address", "2001:db8::1", tracewire.Options{}, route.ErrNoRoute},
		{"a namespace", "198.51.100.1", tracewire.Options{Namespace: "blue"}, tracewire.ErrOptions},
		{"the host", "192.0.2.10", tracewire.Options{}, tracewire.ErrTarget},
		{"the loopback", "127.0.0.1", tracewire.Options{}, tracewire.ErrTarget},
	} {
		if _, err := h.Dial(context.Background(), netip.MustParseAddr(c.to), &c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// The next hop is the gateway, unless the target, or the first gateway of a source
// route, is on the host's link.
func TestNextHop(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		to       string
		gateways []netip.Addr
		want     string
	}{
		{"198.51.100.1", nil, "192.0.2.1"},
		{"192.0.2.7", nil, "192.0.2.7"},
		{"198.51.100.1", []netip.Addr{netip.MustParseAddr("192.0.2.9")}, "192.0.2.9"},
	} {
		w, err := h.Dial(context.Background(), netip.MustParseAddr(c.to), &tracewire.Options{Gateways: c.gateways})
		if err != nil || w.Source.NextHop.String() != c.want {
			t.Errorf("to %s by %v: %+v, %v, want %s", c.to, c.gateways, w, err, c.want)
		}
	}
}
