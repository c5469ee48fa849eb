package tracewire_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/matcher/path"
)

// silentAt is a path on which a router is silent, so that its probes are waited for
// in vain.
func silentAt(hop int) capturetest.Chain {
	c := eight()
	c.Routers[hop-1].Silent = true
	return c
}

// What the capture misses while a probe is waited for obscures that probe, and none
// that was answered or was sent later. The replay says the same.
func TestGapsObscureProbes(t *testing.T) {
	for name, test := range map[string]struct {
		gap     func(now time.Time) frame.Gap
		dropped int
		want    bool
	}{
		"frames lost": {func(now time.Time) frame.Gap { return frame.Gap{From: now, To: now.Add(time.Millisecond), Frames: 7} }, 7, true},
		"the carrier": {func(now time.Time) frame.Gap { return frame.Gap{From: now, Cause: frame.NoCarrier} }, 0, true},
		"long before": {func(now time.Time) frame.Gap {
			return frame.Gap{From: now.Add(-2 * time.Hour), To: now.Add(-time.Hour), Frames: 7}
		}, 7, false},
		"another's address":        {func(now time.Time) frame.Gap { return frame.Gap{From: now, Cause: frame.AddressRemoved, Addr: target} }, 0, false},
		"no gap, but one's ending": {func(now time.Time) frame.Gap { return frame.Gap{From: now, To: now, Cause: frame.NoCarrier} }, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			begin := func(l *lab) { l.conn.Miss(test.gap(time.Now().UTC().Round(0))) }
			trace(t, silentAt(3), capturetest.Host{}, tracewire.Options{}, begin, func(l *lab, p *path.Path, err error) {
				if err != nil || p.Counters.Dropped != test.dropped {
					l.Errorf("%v, %+v", err, p.Counters)
				}
				obscured := 0
				for i := range p.Probes {
					later := len(p.Gaps) > 0 && p.Probes[i].Called.After(p.Gaps[0].To)
					got := p.Obscured(&p.Probes[i])
					if want := test.want && p.Probes[i].Reply == nil && !later; got != want {
						l.Errorf("probe %d with status %v is obscured: %v", i, p.Probes[i].Status, got)
					}
					if got {
						obscured++
					}
				}
				if test.want != (obscured > 0) {
					l.Errorf("%d probes are obscured", obscured)
				}
				for _, g := range p.Gaps {
					if g.To.IsZero() {
						l.Errorf("%+v lasts", g)
					}
				}
			})
		})
	}
}

// A trace without its source address ends: what is known is told.
func TestSourceAddressRemoved(t *testing.T) {
	begin := func(l *lab) {
		go func() {
			time.Sleep(time.Second)
			l.conn.Miss(frame.Gap{From: time.Now().UTC().Round(0), Cause: frame.AddressRemoved, Addr: l.conn.Host().Addr})
		}()
	}
	trace(t, silentAt(3), capturetest.Host{}, tracewire.Options{Wait: path.Wait{Max: time.Minute}}, begin, func(l *lab, p *path.Path, err error) {
		if !errors.Is(err, capture.ErrAddress) || p == nil || !p.Interrupted || p.Hop(2).Probes[0].Reply == nil {
			l.Fatalf("%v, %+v", err, p)
		}
		if len(p.Gaps) != 1 || p.Gaps[0].Cause != frame.AddressRemoved || !p.Obscured(&p.Hop(3).Probes[0]) {
			l.Errorf("%+v", p.Gaps)
		}
	})
}

// What lasted when a trace began obscures its probes too.
func TestGapThatLastsWhenATraceBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		release := b.hold()
		b.conns[1].Miss(frame.Gap{From: time.Now().UTC().Round(0), Cause: frame.NoCarrier})
		synctest.Wait()
		dst := netip.MustParseAddr("10.31.255.251")
		b.trace(t.Context(), 1, dst)
		release()
		if p := b.path(1); len(p.Gaps) != 1 || p.Gaps[0].From.After(p.Started) {
			t.Errorf("%+v", p.Gaps)
		}
		b.replays()
	})
}

// counting is a Conn that knows how many frames it lost since the first was sent, and
// says so late.
type counting struct {
	*capturetest.Conn
	lost int
}

func (c counting) Stats() (s capture.Stats, err error) {
	if c.Conn.Stats().Injected > 0 {
		s.Dropped = c.lost
	}
	return s, nil
}

// What the capture lost last counts too.
func TestFramesLostLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.New(silentAt(3))
		if err != nil {
			t.Fatal(err)
		}
		l := &lab{T: t, conn: network.Conn(capturetest.Host{})}
		o := tracewire.Options{Dial: l.dialBy(func(c *capturetest.Conn) tracewire.Conn { return counting{c, 5} })}
		recorded := record(t, &o)
		if err := tracewire.Run(t.Context(), slices.Values([]netip.Addr{target}), &o, recorded.tell); err != nil {
			t.Fatal(err)
		}
		p := recorded.events[len(recorded.events)-1].Path
		if p.Counters.Dropped != 5 || len(p.Gaps) != 1 || p.Gaps[0].Frames != 5 || p.Gaps[0].From.Equal(p.Started) {
			t.Errorf("%+v, %+v", p.Counters, p.Gaps)
		}
		recorded.replays(t)
	})
}

// A recording of an earlier version says how many frames were lost, not when: that
// may have been at any time.
func TestRecordingThatOnlyCountsLostFrames(t *testing.T) {
	var file []byte
	synctest.Test(t, func(t *testing.T) { file = recordedChain(t).file.Bytes() })
	file = bytes.Replace(file, []byte(`"dropped":0`), []byte(`"dropped":7`), 1)
	told, err := replayed(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := told[len(told)-1].Path
	if want := (frame.Gap{From: p.Started, To: p.Ended, Frames: 7}); len(p.Gaps) != 1 || !p.Gaps[0].Equal(want) {
		t.Errorf("%+v, want %+v", p.Gaps, want)
	}
}

// What a capture of somebody's says that it lost is said of the traces in it.
func TestCaptureThatSaysWhatItLost(t *testing.T) {
	told, err := replayed(t, anonymous(t, 9), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := told[len(told)-1].Path
	if !p.Clock.Captured || p.Counters.Dropped != 9 || len(p.Gaps) != 1 {
		t.Fatalf("%+v, %+v", p.Counters, p.Gaps)
	}
	obscured := 0
	for i := range p.Probes {
		if p.Obscured(&p.Probes[i]) {
			obscured++
		}
	}
	if obscured != 3 {
		t.Errorf("%d probes are obscured", obscured)
	}
}

// anonymous is a capture without notes of a trace whose third router is silent,
// which says that it lost so many frames.
func anonymous(t *testing.T, lost uint64) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file, pcapng.Section{})
	if err != nil {
		t.Fatal(err)
	}
	on, err := w.AddInterface(pcapng.Interface{Link: frame.Ethernet})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.New(silentAt(3))
		if err != nil {
			t.Fatal(err)
		}
		l := &lab{T: t, conn: network.Conn(capturetest.Host{})}
		o := tracewire.Options{Dial: l.dial}
		recorded := record(t, &o)
		if _, err := tracewire.Trace(t.Context(), target.String(), &o); err != nil {
			t.Fatal(err)
		}
		from, err := capture.NewFile(bytes.NewReader(recorded.file.Bytes()), "recording")
		if err != nil {
			t.Fatal(err)
		}
		for f, err := range from.Frames(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Comments = nil; f.IsWatermark() {
				break
			}
			if err := w.WriteFrame(&f); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := w.WriteStatistics(on, pcapng.Statistics{Dropped: lost}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// dialBy is dial with another Conn around the network's.
func (l *lab) dialBy(around func(*capturetest.Conn) tracewire.Conn) func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
	return func(ctx context.Context, dst netip.Addr, o *tracewire.Options) (*tracewire.Wire, error) {
		w, err := l.dial(ctx, dst, o)
		w.Conn = around(l.conn)
		return w, err
	}
}
