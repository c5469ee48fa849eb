package engine

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket/layers"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/device"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var target = netip.MustParseAddr("198.51.100.7")

// hop is how far it is from one node of the network to the next, there and back.
const hop = 2 * time.Millisecond

// wait is how long the traces wait for a reply.
const wait = 500 * time.Millisecond

// wire is a Conn that captures nothing, and notes the watermarks that are asked for.
type wire struct {
	dropped int // frames that it has lost

	mu    sync.Mutex
	asked []time.Time
}

// Stats returns how many frames are lost.
func (w *wire) Stats() (capture.Stats, error) { return capture.Stats{Dropped: w.dropped}, nil }

func (w *wire) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(func(frame.Frame, error) bool) { <-ctx.Done() }
}

func (w *wire) Inject([]byte) error { return nil }

// RequestWatermark implements capture.OnDemand.
func (w *wire) RequestWatermark(after time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, after)
}

// wants is the watermark that is asked for now.
func (w *wire) wants() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.asked) == 0 {
		return time.Time{}
	}
	return w.asked[len(w.asked)-1]
}

// bench is an Engine of which the test is the reader and every sender.
type bench struct {
	*testing.T
	*Engine
	wire    *wire
	network *capturetest.Conn
	frame   func() (frame.Frame, error, bool) // the next that the network shows
}

// onBench runs a test with an Engine that records to w, in virtual time and a network
// of two routers.
func onBench(t *testing.T, w io.Writer, test func(*bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, wire: &wire{}, network: connect(t, capturetest.Host{})}
		var log *journal.Log
		if w != nil {
			var err error
			if log, err = journal.NewLog(w, "test"); err != nil {
				t.Fatal(err)
			}
		}
		set := device.NewSet(device.Options{}, func(d *device.Device) device.Subscriber {
			b.Engine = New(d, log, false)
			return b.Engine
		})
		d, err := set.Share(t.Context(), b.wire, device.Link{Interface: "sim", MAC: b.network.Host().MAC})
		if err != nil {
			t.Fatal(err)
		}
		var stop func()
		b.frame, stop = iter.Pull2(b.network.Frames(t.Context()))
		test(b)
		stop()
		if err := set.Release(d); err != nil {
			t.Error(err)
		}
	})
}

func connect(t *testing.T, h capturetest.Host) *capturetest.Conn {
	t.Helper()
	network, err := capturetest.New(capturetest.ChainOf(hop/2, "10.0.1.1", "10.0.2.1", target.String()))
	if err != nil {
		t.Fatal(err)
	}
	return network.Conn(h)
}

// specOf is a trace to the target of one probe to each TTL, from a port of its own.
func specOf(t *testing.T, number int, h capturetest.Host, change ...func(*path.Parameters)) Spec {
	t.Helper()
	p := path.Parameters{
		FirstTTL: 1, MaxTTL: 5, Queries: 1, InFlight: 5, Wait: path.Wait{Max: wait},
		Seed: 7, SrcPort: 50000 + uint16(number), DstPort: 33434,
	}
	for _, c := range change {
		c(&p)
	}
	series, err := p.Series(layers.IPProtocolUDP, target)
	if err != nil {
		t.Fatal(err)
	}
	series.Probe.Src = h.Addr
	if err := series.Fit(h.MTU, false); err != nil {
		t.Fatal(err)
	}
	series.Number(number, p.Queries)
	series.ID = series.FirstID()
	builder, err := series.Builder(craft.Link{Src: h.MAC, Dst: h.GatewayMAC})
	if err != nil {
		t.Fatal(err)
	}
	p.Seed, p.ID, p.Length = series.Seed, series.ID, series.Probe.Length
	return Spec{
		Number: number, Crafter: &Crafter{Series: series, Builder: builder}, Plan: PlanOf(&p, series.Shortest()),
		Path: &path.Path{
			Target: path.Target{Host: target.String(), Addr: target}, Source: path.Source{Addr: h.Addr, Interface: "sim", MAC: h.MAC, NextHopMAC: h.GatewayMAC},
			Protocol: layers.IPProtocolUDP, Parameters: p,
		},
	}
}

// begin starts a run that nobody sends or emits for.
func (b *bench) begin(number int, change ...func(*path.Parameters)) *run {
	b.Helper()
	r := &run{
		Spec: specOf(b.T, number, b.network.Host(), change...), engine: b.Engine,
		ended: make(chan struct{}), news: make(chan struct{}, 1), observed: make(chan struct{}, 1),
	}
	b.start(r)
	return r
}

// send has a run send its next probe into the network, and returns its number.
func (b *bench) send(r *run) int {
	b.Helper()
	_, data, number, err := b.next(r)
	if err != nil || data == nil {
		b.Fatalf("no probe: %v", err)
	}
	if err := b.network.Inject(data); err != nil {
		b.Fatal(err)
	}
	return number
}

// read has the Engine take the next frame that the network shows.
func (b *bench) read() {
	b.Helper()
	f, err, ok := b.frame()
	if err != nil || !ok || f.IsWatermark() {
		b.Fatalf("no frame: %v", err)
	}
	b.Take(&f)
}

// pass has the Engine take a watermark.
func (b *bench) pass(at time.Time) { b.Take(&frame.Frame{Time: at, Read: at}) }

// kinds are the kinds of events, in order.
func kinds(events []path.Event) (all []string) {
	for i := range events {
		all = append(all, events[i].Kind.String())
	}
	return all
}

// onDemand is a Conn in the network that yields no watermark but those that are asked
// for, each a millisecond after its time.
type onDemand struct {
	*capturetest.Conn
	mu    sync.Mutex
	timer *time.Timer
}

// RequestWatermark implements capture.OnDemand.
func (c *onDemand) RequestWatermark(after time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if !after.IsZero() {
		c.timer = time.AfterFunc(max(0, time.Until(after))+time.Millisecond, func() { c.Step(0) })
	}
}

// live runs a test with an Engine on such a Conn, in virtual time.
func live(t *testing.T, test func(t *testing.T, g *Engine, c *onDemand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &onDemand{Conn: connect(t, capturetest.Host{Idle: 24 * time.Hour})}
		set := device.NewSet(device.Options{}, func(d *device.Device) device.Subscriber { return New(d, nil, false) })
		d, err := set.Share(t.Context(), c, device.Link{Interface: "sim", MAC: c.Host().MAC})
		if err != nil {
			t.Fatal(err)
		}
		test(t, d.Subscriber().(*Engine), c)
		c.RequestWatermark(time.Time{})
		if err := set.Release(d); err != nil {
			t.Error(err)
		}
	})
}

var _ capture.OnDemand = (*onDemand)(nil)

// A trace ends with its cause, and with all that was captured before, when the capture
// ends.
func TestRunEndsWithTheCapture(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct{ cause, want error }{"of itself": {nil, ErrEnded}, "by an error": {broken, broken}} {
		t.Run(name, func(t *testing.T) {
			live(t, func(t *testing.T, g *Engine, c *onDemand) {
				time.AfterFunc(hop+hop/2, func() { c.Fail(test.cause) })
				s, answers := specOf(t, 1, c.Host(), func(p *path.Parameters) { p.InFlight = 1 }), 0
				err := g.Run(t.Context(), s, func(e path.Event) {
					if e.Kind == path.Answer {
						answers++
					}
				})
				if !errors.Is(err, test.want) || answers != 1 || s.Path.Ended.IsZero() || !s.Path.Interrupted {
					t.Errorf("%v, with %d answers; ended %v, interrupted %v", err, answers, s.Path.Ended, s.Path.Interrupted)
				}
			})
		})
	}
}

// A run whose source is no address of the host any more ends; one from another address
// goes on, and so does one after a gap that is over.
func TestRunEndsWithItsAddress(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*frame.Gap)
		want   error
	}{
		"removed":        {func(*frame.Gap) {}, capture.ErrAddress},
		"another's":      {func(g *frame.Gap) { g.Addr = netip.MustParseAddr("192.0.2.77") }, nil},
		"back again":     {func(g *frame.Gap) { g.To = time.Now() }, nil},
		"something else": {func(g *frame.Gap) { g.Cause = frame.NoCarrier }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			live(t, func(t *testing.T, g *Engine, c *onDemand) {
				time.AfterFunc(hop/2, func() {
					gap := frame.Gap{From: time.Now(), Cause: frame.AddressRemoved, Addr: c.Host().Addr}
					test.change(&gap)
					c.Miss(gap)
				})
				if err := g.Run(t.Context(), specOf(t, 1, c.Host()), func(path.Event) {}); !errors.Is(err, test.want) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// A trace ends with the error of a frame that can't be sent.
func TestRunEndsWithTheErrorOfSending(t *testing.T) {
	live(t, func(t *testing.T, g *Engine, c *onDemand) {
		broken := errors.New("broken")
		c.FailInject(broken)
		if err := g.Run(t.Context(), specOf(t, 1, c.Host()), func(path.Event) {}); !errors.Is(err, broken) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A run counts the frames that were lost while it ran; those that the capture has not
// told of are a gap at its end.
func TestFramesThatAreLost(t *testing.T) {
	onBench(t, nil, func(b *bench) {
		b.wire.dropped = 2
		b.Take(&frame.Frame{Gap: &frame.Gap{From: now(), To: now(), Frames: 2}})
		time.Sleep(time.Second)
		for i, lost := range []int{0, 3} {
			b.wire.dropped++ // before it began, and not told of
			r := b.begin(i + 1)
			b.wire.dropped += lost
			b.leave(r, false)
			gaps := 0
			for _, gap := range r.Path.Gaps {
				gaps += gap.Frames
			}
			if r.Path.Counters.Dropped != lost || gaps != lost || (len(r.Path.Gaps) > 0) != (lost > 0) {
				t.Errorf("%d lost, %d in gaps %v; want %d", r.Path.Counters.Dropped, gaps, r.Path.Gaps, lost)
			}
		}
	})
}
