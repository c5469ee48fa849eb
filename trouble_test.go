package tracewire_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
)

// What others send, and what goes wrong while a trace runs.

// Nothing that an outsider can send becomes a hop.
func TestForeignReplies(t *testing.T) {
	stranger := netip.MustParseAddr("203.0.113.66")
	begin := func(l *lab) {
		h := l.conn.Host()
		// What somebody guesses our probes to look like, and another
		// process's real ones.
		for i := range 50 {
			quoted, err := capturetest.UDP{
				From: netip.AddrPortFrom(h.Addr, 50000), To: netip.AddrPortFrom(target, 33434), TTL: 1, ID: uint16(i * 1311), Payload: make([]byte, 32),
			}.Packet()
			if err != nil {
				l.Fatal(err)
			}
			for _, length := range []capturetest.QuoteLength{capturetest.QuoteFull, capturetest.QuoteRFC792} {
				for typ, code := range map[uint8]uint8{layers.ICMPv4TypeTimeExceeded: 0, layers.ICMPv4TypeDestinationUnreachable: 3} {
					forged, err := capturetest.ICMPError{
						From: stranger, To: h.Addr, Type: typ, Code: code, Datagram: quoted, Length: length,
					}.Packet()
					if err != nil {
						l.Fatal(err)
					}
					l.conn.Deliver(time.Duration(i)*time.Millisecond/2, l.conn.Inbound(forged))
				}
			}
		}
	}
	trace(t, eight(), capturetest.Host{}, tracewire.Options{}, begin, func(l *lab, p *path.Path, err error) {
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil {
			l.Error(err, d)
		}
		if p.Counters.Foreign < 100 || p.Counters.Duplicate != 0 {
			l.Errorf("%+v", p.Counters)
		}
	})
}

// Replies of an earlier run of our own are foreign too.
func TestReplayedReplies(t *testing.T) {
	earlier := recorded(t)
	begin := func(l *lab) {
		for i, reply := range earlier {
			l.conn.Deliver(time.Duration(i)*time.Millisecond, reply)
		}
	}
	trace(t, eight(), capturetest.Host{}, tracewire.Options{ID: 7}, begin, func(l *lab, p *path.Path, err error) {
		if d := cmp.Diff(eightAddrs, addrs(p)); d != "" || err != nil {
			l.Error(err, d)
		}
		if p.Counters.Foreign == 0 || p.Counters.Duplicate != 0 {
			l.Errorf("%+v", p.Counters)
		}
	})
}

// recorded returns forged replies to the probes of a run with other IDs.
func recorded(t *testing.T) (replies [][]byte) {
	trace(t, eight(), capturetest.Host{Keep: true}, tracewire.Options{ID: 60000}, nil, func(l *lab, _ *path.Path, _ error) {
		for _, f := range l.conn.Sent() {
			reply, err := capturetest.ICMPError{
				From: netip.MustParseAddr("203.0.113.66"), To: l.conn.Host().Addr,
				Type: layers.ICMPv4TypeTimeExceeded, Datagram: f[14:],
			}.Packet()
			if err != nil {
				l.Fatal(err)
			}
			replies = append(replies, l.conn.Inbound(reply))
		}
	})
	return replies
}

// A network that repeats a reply without end neither stops the trace nor fills
// the memory.
func TestReplyRepeatedWithoutEnd(t *testing.T) {
	const copies = 50_000
	c := eight()
	c.Routers[1].Silent = true // so that the trace takes half a second
	c.Routers[3].Reply.Copies, c.Routers[3].Reply.Spacing = copies, 10*time.Microsecond
	trace(t, c, capturetest.Host{}, tracewire.Options{Queries: 1}, nil, func(l *lab, p *path.Path, err error) {
		if err != nil || p.Counters.Duplicate < copies*9/10 {
			l.Errorf("%v, %+v", err, p.Counters)
		}
		if n := len(p.Hops()[3].Probes[0].Extra); n != path.MaxExtra {
			l.Errorf("%d replies are kept", n)
		}
	})
}

func TestCancelYieldsWhatIsKnown(t *testing.T) {
	begin := func(l *lab) {
		var cancel context.CancelFunc
		l.ctx, cancel = context.WithTimeout(l.ctx, 9*time.Millisecond)
		l.Cleanup(cancel)
	}
	trace(t, eight(), capturetest.Host{}, tracewire.Options{}, begin, func(l *lab, p *path.Path, err error) {
		if !errors.Is(err, context.DeadlineExceeded) || p == nil || !p.Interrupted {
			l.Fatalf("%v, %+v", err, p)
		}
		for i, got := range addrs(p)[:3] {
			if !strings.HasPrefix(got, eightAddrs[i]) {
				l.Errorf("hop %d: %s", i+1, got)
			}
		}
		if took := p.Ended.Sub(p.Started); took > 250*time.Millisecond {
			l.Errorf("stopped after %v", took)
		}
	})
}

// What was captured before an interrupt is known, though it was read after it.
func TestCancelLosesNothingCapturedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.New(eight())
		if err != nil {
			t.Fatal(err)
		}
		l := &lab{T: t, conn: network.Conn(capturetest.Host{})}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := tracewire.Options{Dial: func(ctx context.Context, a netip.Addr, o *tracewire.Options) (*tracewire.Wire, error) {
			w, err := l.dial(ctx, a, o)
			w.Conn = slow{l.conn, cancel}
			return w, err
		}}
		p, err := tracewire.Trace(ctx, target.String(), &o)
		if !errors.Is(err, context.Canceled) || p == nil || p.Hops()[0].Probes[0].Status != path.Replied {
			t.Errorf("%v, %+v", err, p)
		}
	})
}

// slow is a capture whose reader is interrupted just before it gets the first
// reply.
type slow struct {
	*capturetest.Conn
	interrupt func()
}

func (s slow) Frames(ctx context.Context) iter.Seq2[frame.Frame, error] {
	return func(yield func(frame.Frame, error) bool) {
		for f, err := range s.Conn.Frames(ctx) {
			if f.Direction == frame.In {
				s.interrupt()
				synctest.Wait()
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func TestFailuresYieldWhatIsKnown(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		begin  func(*lab)
		unsent bool
	}{
		"reading": {begin: func(l *lab) { time.AfterFunc(9*time.Millisecond, func() { l.conn.Fail(broken) }) }},
		"sending": {begin: func(l *lab) { time.AfterFunc(9*time.Millisecond, func() { l.conn.FailInject(broken) }) }, unsent: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			trace(t, eight(), capturetest.Host{}, tracewire.Options{}, test.begin, func(l *lab, p *path.Path, err error) {
				if !errors.Is(err, broken) || p == nil || len(p.Hops()) < 3 || addrs(p)[0] != "10.0.1.1" {
					l.Fatalf("%v, %+v", err, p)
				}
				unsent := 0
				for _, probe := range p.Probes {
					if probe.Status == path.Unsent {
						unsent++
					}
				}
				if (unsent > 0) != test.unsent {
					l.Errorf("%d unsent", unsent)
				}
			})
		})
	}
}

// A clock that is set while the trace runs is noticed, and delays nothing.
func TestClockStep(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			c := eight()
			c.Routers[3].Silent = true
			begin := func(l *lab) { time.AfterFunc(250*time.Millisecond, func() { l.conn.Step(step) }) }
			trace(t, c, capturetest.Host{}, tracewire.Options{}, begin, func(l *lab, p *path.Path, err error) {
				want := append([]string(nil), eightAddrs...)
				want[3] = "*"
				if d := cmp.Diff(want, addrs(p)); d != "" || err != nil || !p.Clock.Stepped {
					l.Error(err, d, p.Clock)
				}
				if n := p.Counters; n.Received < 21 || n.Late+n.Foreign > 0 {
					l.Errorf("%+v", n)
				}
			})
		})
	}
}
