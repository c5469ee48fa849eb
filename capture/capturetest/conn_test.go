package capturetest_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
)

func TestWatermarkTellsWhenTheIdleWaitBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{})
		start := time.Now()
		type seen struct{ Time, Read time.Duration }
		var got []seen
		c.Deliver(30*time.Millisecond, []byte("frame"))
		for f := range c.Frames(t.Context()) {
			got = append(got, seen{f.Time.Sub(start), f.Read.Sub(start)})
			if len(got) == 3 {
				break
			}
		}
		const ms = time.Millisecond
		want := []seen{{30 * ms, 30 * ms}, {30 * ms, 130 * ms}, {130 * ms, 230 * ms}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestUnseenInjectionDoesNotPutOffTheWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{NoCopies: true, Idle: 10 * time.Millisecond})
		start := time.Now()
		time.AfterFunc(5*time.Millisecond, func() { c.Deliver(time.Hour, nil) })
		for f := range c.Frames(t.Context()) {
			if !f.IsWatermark() || !f.Time.Equal(start) || time.Since(start) != 10*time.Millisecond {
				t.Errorf("after %v: %+v", time.Since(start), f)
			}
			break
		}
	})
}

func TestFrameTellsStampsDirectionAndLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{})
		start := time.Now().UTC().Round(0)
		c.Deliver(2, []byte("in"))
		c.Emit(1, []byte("out"))
		c.Deliver(-1, nil)
		got := capture(t, c, time.Second)
		want := []frame.Frame{
			{Time: start, Read: start, Length: 0, Link: frame.Ethernet, Direction: frame.In},
			{Time: start.Add(1), Read: start.Add(1), Data: []byte("out"), Length: 3, Link: frame.Ethernet, Direction: frame.Out},
			{Time: start.Add(2), Read: start.Add(2), Data: []byte("in"), Length: 2, Link: frame.Ethernet, Direction: frame.In},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestReadIsWhenASlowProgramAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{})
		start := time.Now()
		c.Deliver(time.Millisecond, []byte("frame"))
		<-time.After(time.Second)
		for f := range c.Frames(t.Context()) {
			if f.Time.Sub(start) != time.Millisecond || f.Read.Sub(start) != time.Second {
				t.Errorf("stamped %v, read %v", f.Time.Sub(start), f.Read.Sub(start))
			}
			break
		}
	})
}

func TestStepShiftsLaterStamps(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			_, c := connect(t, chain(), capturetest.Host{})
			start := time.Now().UTC().Round(0)
			c.Deliver(0, []byte("before"))
			c.Step(by)
			c.Deliver(0, []byte("after"))
			stepped := start.Add(by)
			want := []frame.Frame{
				{Time: start, Read: start, Data: []byte("before"), Length: 6, Link: frame.Ethernet, Direction: frame.In},
				{Time: stepped, Read: stepped, Step: by},
				{Time: stepped, Read: stepped, Data: []byte("after"), Length: 5, Link: frame.Ethernet, Direction: frame.In},
			}
			if diff := cmp.Diff(want, capture(t, c, time.Second)); diff != "" {
				t.Errorf("step by %v (-want +got):\n%s", by, diff)
			}
		})
	}
}

func TestFailEndsTheSequenceBehindWhatWasCaptured(t *testing.T) {
	broken := errors.New("interface gone")
	for _, want := range []error{broken, nil} {
		synctest.Test(t, func(t *testing.T) {
			_, c := connect(t, chain(), capturetest.Host{})
			inject(t, c, probe(1))
			c.Fail(want)
			var frames, ends int
			var got error
			for f, err := range c.Frames(t.Context()) {
				switch got = err; {
				case err == nil && f.Time.Equal(frame.End().Time):
					ends++
				case err == nil && !f.IsWatermark():
					frames++
				}
			}
			if frames != 1 || got != want || (ends == 1) != (want == nil) {
				t.Errorf("%d frames, %d ends, then error %v; want 1 and error %v", frames, ends, got, want)
			}
		})
	}
}

func TestFramesEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{Idle: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		for f, err := range c.Frames(ctx) {
			t.Errorf("yielded %+v, %v", f, err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("ended after %v, want 1s", got)
		}
	})
}

func TestFramesIsRangedOverOnce(t *testing.T) {
	_, c := connect(t, chain(), capturetest.Host{})
	c.Deliver(0, []byte("frame"))
	for range c.Frames(t.Context()) {
		break
	}
	for _, err := range c.Frames(t.Context()) {
		if err == nil {
			t.Error("no error the second time")
		}
	}
}

func TestDataIsOverwrittenAfterItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{})
		c.Deliver(0, []byte("frame"))
		c.Fail(nil)
		var kept []byte
		for f := range c.Frames(t.Context()) {
			if f.IsWatermark() {
				break
			}
			if kept = f.Data; string(kept) != "frame" {
				t.Errorf("data %q during its turn", kept)
			}
		}
		if len(kept) != 5 || bytes.Equal(kept, []byte("frame")) {
			t.Error("data is still there after its turn")
		}
	})
}

func TestInjectRefuses(t *testing.T) {
	_, c := connect(t, chain(), capturetest.Host{MTU: 100, Keep: true})
	for _, size := range []int{0, 13, 115} {
		if err := c.Inject(make([]byte, size)); err == nil {
			t.Errorf("took a frame of %d bytes", size)
		}
	}
	down := errors.New("network is down")
	c.FailInject(down)
	if err := c.Inject(make([]byte, 60)); err != down {
		t.Errorf("error %v, want %v", err, down)
	}
	if got := c.Stats().Injected; got != 0 || len(c.Sent()) != 0 {
		t.Errorf("counted %d refused frames, kept %d", got, len(c.Sent()))
	}
	c.FailInject(nil)
	if err := c.Inject(make([]byte, 60)); err != nil {
		t.Errorf("still refuses: %v", err)
	}
}

func TestInjectDoesNotKeepTheSlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{Keep: true})
		data := c.Outbound(packet(t, probe(1)))
		want := bytes.Clone(data)
		if err := c.Inject(data); err != nil {
			t.Fatal(err)
		}
		clear(data)
		frames := capture(t, c, time.Second)
		_, quote := decode(t, frames[1])
		for what, got := range map[string][]byte{"copy": frames[0].Data, "quote": c.Outbound(quote), "kept": c.Sent()[0]} {
			if !bytes.Equal(got, want) {
				t.Errorf("%s is %x, want %x", what, got, want)
			}
		}
	})
}

func TestMalformedFramesAreShownCountedAndDropped(t *testing.T) {
	const ip, udp = 14, 34
	tests := []struct {
		name string
		bend func(f []byte) []byte
		want string
	}{
		{"other gateway", func(f []byte) []byte { f[5]++; return f }, "from MAC"},
		{"other host", func(f []byte) []byte { f[11]++; return f }, "from MAC"},
		{"ARP", func(f []byte) []byte { f[13] = 6; return f }, "EtherType 0x0806"},
		{"IPv6 behind IPv4's EtherType", func(f []byte) []byte { f[ip] = 0x65; return f }, "no IPv4 header"},
		{"no header", func(f []byte) []byte { return f[:ip+19] }, "no IPv4 header"},
		{"header too short", func(f []byte) []byte { f[ip] = 0x44; return f }, "IPv4 header of 16 bytes"},
		{"cut", func(f []byte) []byte { return f[:len(f)-1] }, "IPv4 header of 20 bytes, total length 60, in 59 bytes"},
		{"header checksum", func(f []byte) []byte { f[ip+4]++; return f }, "wrong IPv4 header checksum"},
		{"fragment", func(f []byte) []byte { f[ip+6] = 0x20; return resum(f) }, "fragments"},
		{"spoofed source", func(f []byte) []byte { f[ip+15]++; return resum(f) }, "source address 192.0.2.2"},
		{"UDP length", func(f []byte) []byte { f[udp+5]--; return f }, "UDP length"},
		{"UDP checksum", func(f []byte) []byte { f[udp+7]++; return f }, "wrong UDP checksum"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, c := connect(t, chain(), capturetest.Host{})
				bent := test.bend(c.Outbound(packet(t, probe(1))))
				if err := c.Inject(bent); err != nil {
					t.Fatal(err)
				}
				frames := capture(t, c, time.Second)
				if len(frames) != 1 || !bytes.Equal(frames[0].Data, bent) {
					t.Errorf("captured %v, want the copy only", frames)
				}
				stats := c.Stats()
				if stats.Injected != 1 || len(stats.Malformed) != 1 ||
					!strings.HasPrefix(stats.Malformed[0].Error(), "capturetest: frame 1: "+test.want) {
					t.Errorf("stats %+v, want one frame malformed: %s", stats, test.want)
				}
				if got := n.Stats().Routers[0].Received; got != 0 {
					t.Error("it came to the first router")
				}
			})
		})
	}
}

// resum makes a bent IPv4 header's checksum right.
func resum(f []byte) []byte {
	copy(f[14:], capturetest.WithTTL(f[14:34], f[14+8]))
	return f
}

func TestPaddedFramesAndMissingUDPChecksumsAreFine(t *testing.T) {
	_, c := connect(t, chain(), capturetest.Host{})
	f := c.Outbound(packet(t, probe(1)))
	f[14+26], f[14+27] = 0, 0
	if err := c.Inject(append(f, make([]byte, 10)...)); err != nil {
		t.Fatal(err)
	}
	if got := c.Stats().Malformed; len(got) != 0 {
		t.Errorf("malformed: %v", got)
	}
}

func TestForeignErrorIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{NoCopies: true})
		foreign := packet(t, probe(9))
		e := capturetest.ICMPError{
			From: netip.MustParseAddr("203.0.113.66"), To: c.Host().Addr, TTL: 50,
			Type: 3, Code: 10, Datagram: capturetest.WithTTL(foreign, 4), Length: capturetest.QuoteRFC792,
		}
		c.Deliver(time.Millisecond, c.Inbound(packet(t, e)))
		got, quote := decode(t, capture(t, c, time.Second)[0])
		if diff := cmp.Diff(reply{"203.0.113.66", 3, 10, 50, 4}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if len(quote) != 28 {
			t.Errorf("quote of %d bytes, want 28", len(quote))
		}
	})
}

// TestNothingFollowsAWatermarkThatIsOlder injects from several goroutines at
// random moments through jittering links, and checks what Source promises.
func TestNothingFollowsAWatermarkThatIsOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topology := chain()
		for i := range topology.Routers {
			topology.Routers[i].Link.Jitter = 5 * time.Millisecond
		}
		_, c := connect(t, topology, capturetest.Host{Idle: 2 * time.Millisecond})
		const goroutines, each = 4, 200
		var wg sync.WaitGroup
		for g := range goroutines {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			wg.Go(func() {
				for range each {
					<-time.After(time.Duration(random.IntN(4e6)))
					inject(t, c, probe(uint8(1+random.IntN(4))))
				}
			})
		}
		frames, watermarks := expectOrder(t, c, time.Minute)
		wg.Wait()
		if frames != 2*goroutines*each || watermarks == 0 {
			t.Errorf("%d frames, %d watermarks; want %d frames", frames, watermarks, 2*goroutines*each)
		}
	})
}

// expectOrder checks that no stamp is before the one ahead of it.
func expectOrder(t *testing.T, c *capturetest.Conn, d time.Duration) (frames, watermarks int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var last time.Time
	for f, err := range c.Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Time.Before(last) || f.Read.Before(f.Time) {
			t.Errorf("stamped %v and read %v, after %v", f.Time, f.Read, last)
		}
		last = f.Time
		if f.IsWatermark() {
			watermarks++
		} else {
			frames++
		}
	}
	return frames, watermarks
}

func TestRealTime(t *testing.T) {
	defer goleak.VerifyNone(t)
	_, c := connect(t, chain(), capturetest.Host{Idle: time.Millisecond})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				inject(t, c, probe(3))
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last time.Time
	frames := 0
	for f := range c.Frames(ctx) {
		if f.Time.Before(last) {
			t.Fatalf("stamp %v after %v", f.Time, last)
		}
		last = f.Time
		if !f.IsWatermark() {
			frames++
		} else if frames == 400 {
			break
		}
	}
	wg.Wait()
}

func TestHostsShareRoutersButNotFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a := connect(t, chain(), capturetest.Host{})
		b := n.Conn(capturetest.Host{Addr: netip.MustParseAddr("192.0.2.2")})
		inject(t, a, probe(1))
		p := probe(1)
		p.From = netip.MustParseAddrPort("192.0.2.2:9")
		inject(t, b, p)
		if got := len(capture(t, a, time.Second)); got != 2 {
			t.Errorf("%d frames, want its own two", got)
		}
		if got := n.Stats().Routers[0].Answered; got != 2 {
			t.Errorf("router answered %d, want 2", got)
		}
	})
}
