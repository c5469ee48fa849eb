package path_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// A reply is one probe's. A file that says that many traces sent the same probe does not
// make as many replies of it.
func TestAReplyIsOfOneTrace(t *testing.T) {
	l := newLab(t, path.Parameters{})
	other := *l.path
	l.apply(path.Entry{Kind: path.Start, Trace: 2, At: start, Path: &other})
	n := l.send(1)
	key, err := craft.KeyOf(l.sent[n])
	if err != nil {
		t.Fatal(err)
	}
	l.apply(path.Entry{Kind: path.Sent, Trace: 2, Probe: path.Probe{TTL: 1, Round: 1, Called: l.now}, Key: key})
	l.copied(n)
	l.pass(ms)
	if l.answer(n, exceeded(1, r1)); !l.capture.IsOurs() {
		t.Error("the reply is of neither")
	}
	l.apply(path.Entry{Kind: path.End, Trace: 2, At: l.now})
	want := [2]path.Counters{{Sent: 1, Received: 1}, {Sent: 1}}
	if d := cmp.Diff(want, [2]path.Counters{l.finish().Counters, other.Counters}); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// What is nobody's counts with the traces that run meanwhile, and with no other.
func TestForeignFramesCountWhileATraceRuns(t *testing.T) {
	l := newLab(t, path.Parameters{})
	l.probe(1)
	foreign := capturetest.WithTTL(l.sent[0], 1)
	foreign[16] ^= 0x80 // to another destination,
	foreign[30]++       // and with another cookie
	show := func() {
		ip, err := capturetest.ICMPError{
			From: netip.MustParseAddr(r1), To: netip.MustParseAddr(host), Type: layers.ICMPv4TypeTimeExceeded, Datagram: foreign,
		}.Packet()
		if err != nil {
			t.Fatal(err)
		}
		l.observe(ip, frame.In)
	}
	show()
	other := *l.path
	other.Target.Addr, other.Counters = netip.MustParseAddr("198.51.100.99"), path.Counters{}
	l.apply(path.Entry{Kind: path.Start, Trace: 2, At: l.now, Path: &other})
	show()
	show()
	l.apply(path.Entry{Kind: path.End, Trace: 2, At: l.now})
	show()
	if one := l.finish().Counters.Foreign; one != 4 || other.Counters.Foreign != 2 {
		t.Errorf("%d and %d frames were foreign, want 4 and 2", one, other.Counters.Foreign)
	}
}

// A trace that moves to other Recorders goes on as if it had been there.
func TestMovedTraceGoesOn(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(1)
	l.observe([]byte{0x45}, frame.In)
	var others path.Recorders
	l.capture.Move(1, &others)
	if l.capture.Path(1) != nil || others.Path(1) != l.path {
		t.Fatal("it has not moved")
	}
	l.capture = others
	l.pass(ms)
	l.answer(n, exceeded(1, r1))
	if p := l.finish(); p.Counters.Received != 1 || p.Probes[n].Reply == nil {
		t.Errorf("%+v", p.Counters)
	}
}

// The cost of a frame does not depend on how many traces run, whosever it is.
func BenchmarkRecorders(b *testing.B) {
	somebodys := netip.MustParseAddr("203.0.113.9")
	kinds := []struct {
		name string
		of   func(r *many, b *testing.B, target netip.Addr) *frame.Frame
	}{
		{"foreign", func(r *many, b *testing.B, _ netip.Addr) *frame.Frame { return r.errorAbout(b, somebodys) }},
		{"unrelated", func(r *many, b *testing.B, _ netip.Addr) *frame.Frame {
			probe, _ := r.probe(b, somebodys, 7)
			return &frame.Frame{Time: start.Add(time.Second), Link: frame.Raw, Direction: frame.In, Data: probe, Length: len(probe)}
		}},
		{"answer", (*many).answerOf},
		{"ours", (*many).errorAbout},
	}
	for _, traces := range []int{1, 10, 100, 1000} {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("traces=%d/%s", traces, kind.name), func(b *testing.B) {
				r := newMany(b, traces)
				f := kind.of(r, b, manyTarget(traces/2))
				b.ReportAllocs()
				for b.Loop() {
					f.Time = f.Time.Add(time.Microsecond)
					r.Apply(&path.Entry{Kind: path.Frame, Frame: f})
				}
			})
		}
	}
}

// many are traces that run at the same time, each with probes that are waited for.
type many struct {
	path.Recorders
	builder *craft.Builder
}

func manyTarget(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }

func newMany(b *testing.B, traces int) *many {
	b.Helper()
	builder, err := craft.NewBuilder(craft.Link{}, craft.Secret{1, 2})
	if err != nil {
		b.Fatal(err)
	}
	r := &many{builder: builder}
	for n := range traces {
		r.Apply(&path.Entry{Kind: path.Start, Trace: n + 1, At: start, Path: &path.Path{
			Target: path.Target{Addr: manyTarget(n)}, Source: path.Source{Addr: netip.MustParseAddr(host)}, Protocol: layers.IPProtocolUDP,
			Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 30, Queries: 3, Wait: path.Wait{Max: time.Hour, Here: 3, Near: 10}},
		}})
		for ttl := range uint8(16) {
			_, key := r.probe(b, manyTarget(n), ttl+1)
			r.Apply(&path.Entry{Kind: path.Sent, Trace: n + 1, Probe: path.Probe{TTL: ttl + 1, Round: 1, Called: start}, Key: key})
		}
	}
	return r
}

func (r *many) probe(b *testing.B, to netip.Addr, ttl uint8) ([]byte, craft.Key) {
	b.Helper()
	probe := craft.Probe{Src: netip.MustParseAddr(host), Dst: to, TTL: ttl, ID: uint16(ttl), SrcPort: srcPort, DstPort: dstPort, Length: 60}
	f, key, err := r.builder.Frame(&probe)
	if err != nil {
		b.Fatal(err)
	}
	return f, key
}

// errorAbout is a frame with a time-exceeded about a probe to a target.
func (r *many) errorAbout(b *testing.B, to netip.Addr) *frame.Frame {
	b.Helper()
	probe, _ := r.probe(b, to, 7)
	ip, err := capturetest.ICMPError{
		From: netip.MustParseAddr(r7), To: netip.MustParseAddr(host), Type: layers.ICMPv4TypeTimeExceeded, Datagram: capturetest.WithTTL(probe, 1),
	}.Packet()
	if err != nil {
		b.Fatal(err)
	}
	return &frame.Frame{Time: start.Add(time.Second), Link: frame.Raw, Direction: frame.In, Data: ip, Length: len(ip)}
}

// answerOf is a frame with a target's own answer, which returns the probe's payload.
func (r *many) answerOf(b *testing.B, from netip.Addr) *frame.Frame {
	b.Helper()
	probe, _ := r.probe(b, from, 7)
	ip := append([]byte(nil), probe...)
	copy(ip[12:16], probe[16:20])
	copy(ip[16:20], probe[12:16])
	copy(ip[20:22], probe[22:24])
	copy(ip[22:24], probe[20:22])
	f := &frame.Frame{Time: start.Add(time.Second), Link: frame.Raw, Direction: frame.In, Data: ip, Length: len(ip)}
	if r.Apply(&path.Entry{Kind: path.Frame, Frame: f}); !r.IsOurs() {
		b.Fatal("the answer is nobody's")
	}
	return f
}
