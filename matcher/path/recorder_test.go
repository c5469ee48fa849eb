package path_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// The round trip that is reported goes from the stamp of the captured probe to
// that of the reply, whenever the program called or read.
func TestRoundTripIsBetweenStamps(t *testing.T) {
	for name, link := range map[string]frame.LinkType{"raw IP": frame.Raw, "Ethernet": frame.Ethernet} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, path.Parameters{})
			l.link = link
			n := l.send(3)
			l.pass(200 * time.Microsecond)
			l.copied(n)
			l.pass(7*ms + 1)
			l.answer(n, exceeded(3, r3))
			p := l.finish()
			r0 := p.Probes[0].Reply // nothing on the way has changed the checksum

			want := path.Probe{
				Number: 0, TTL: 3, Round: 1, ID: 1, SrcPort: srcPort, DstPort: dstPort,
				Length: 60, Checksum: r0.Quoted.Checksum, HasChecksum: true,
				Called: start, Sent: start.Add(200 * time.Microsecond), SentClock: path.Kernel, Status: path.Replied,
				Reply: &path.Reply{RTT: 7*ms + 1, HasRTT: true, Hop: 3, Basis: path.BySentTTL},
			}
			got := p.Probes[0]
			r := got.Reply
			if r == nil {
				t.Fatal("no reply")
			}
			if r.From != netip.MustParseAddr(r3) || r.Kind != matcher.TimeExceeded || r.MatchedBy != matcher.ByCookie || r.Quoted.TTL != 1 {
				t.Errorf("%+v", r.Reply)
			}
			want.Reply.Reply = r.Reply
			if d := cmp.Diff(want, got, equal); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if d := cmp.Diff(path.Counters{Sent: 1, Received: 1}, p.Counters); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if !p.Started.Equal(start) || !p.Ended.Equal(l.now) {
				t.Errorf("from %v to %v", p.Started, p.Ended)
			}
		})
	}
}

// Where the probe's copy is never captured, the program's clock has to do.
func TestUserClockWhereNoCopyIsSeen(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.send(1)
	l.pass(5 * ms)
	l.answer(n, exceeded(1, r1))
	p := l.finish().Probes[n]
	if p.SentClock != path.User || !p.Sent.Equal(start) || p.Reply.RTT != 5*ms || !p.Reply.HasRTT {
		t.Errorf("%+v %+v", p, p.Reply)
	}
	if d := cmp.Diff([]string{"start", "reply 1", "hop 1", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Once a reply's times were told, a copy that turns up doesn't change them.
func TestCopyAfterTheReply(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.send(1)
	l.pass(5 * ms)
	l.answer(n, exceeded(1, r1))
	told := l.told()
	l.copied(n)
	p := l.path.Probes[n]
	if p.SentClock != path.User || !p.Sent.Equal(start) || p.Reply.RTT != 5*ms {
		t.Errorf("%+v %+v", p, p.Reply)
	}
	if d := cmp.Diff(told, l.told()); d != "" {
		t.Errorf("-before +after\n%s", d)
	}
}

// A second copy is not the probe's: a capture on the path shows such.
func TestSecondCopy(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(1)
	l.pass(ms)
	l.copied(n)
	if p := l.path.Probes[n]; !p.Sent.Equal(start) {
		t.Errorf("sent %v", p.Sent)
	}
}

func TestDuplicates(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(2)
	l.pass(5 * ms)
	l.answer(n, exceeded(2, r2))
	l.pass(2 * ms)
	l.answer(n, exceeded(2, r2))
	l.pass(10 * time.Minute)
	l.answer(n, exceeded(2, r3))
	p := l.finish()

	probe := p.Probes[n]
	if probe.Status != path.Replied || probe.Reply.RTT != 5*ms || len(probe.Extra) != 2 {
		t.Fatalf("%+v", probe)
	}
	for i, want := range []path.Reply{{RTT: 7 * ms}, {RTT: 7*ms + 10*time.Minute, Late: true}} {
		if got := probe.Extra[i]; got.RTT != want.RTT || !got.HasRTT || got.Late != want.Late {
			t.Errorf("further reply %d: %+v, want %+v", i, got, want)
		}
	}
	if d := cmp.Diff(path.Counters{Sent: 1, Received: 1, Duplicate: 2}, p.Counters); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	var from []netip.Addr
	for _, e := range l.events {
		if e.Kind == path.Answer {
			from = append(from, e.Reply.From)
		}
	}
	want := []netip.Addr{netip.MustParseAddr(r2), netip.MustParseAddr(r2), netip.MustParseAddr(r3)}
	if d := cmp.Diff(want, from, equal); d != "" {
		t.Errorf("each event tells the reply that came: -want +got\n%s", d)
	}
}

// Whoever repeats a reply without end fills no memory.
func TestFurtherRepliesAreKeptUpToALimit(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(2)
	for range 1 + path.MaxExtra + 5 {
		l.pass(ms)
		l.answer(n, exceeded(2, r2))
	}
	p := l.finish()
	extra := p.Probes[n].Extra
	if len(extra) != path.MaxExtra || extra[0].RTT != 2*ms || extra[path.MaxExtra-1].RTT != (1+path.MaxExtra)*ms {
		t.Errorf("%d further replies are kept", len(extra))
	}
	if d := cmp.Diff(path.Counters{Sent: 1, Received: 1, Duplicate: path.MaxExtra + 5}, p.Counters); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestLateReply(t *testing.T) {
	l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second, Here: 3, Near: 10}})
	n := l.probe(2)
	l.pass(time.Second + 1)
	l.watermark()
	l.pass(ms)
	l.answer(n, exceeded(2, r2))
	l.answer(n, exceeded(2, r2))
	p := l.finish()
	probe := p.Probes[n]
	if probe.Status != path.Late || probe.Reply == nil || !probe.Reply.Late || probe.Reply.RTT != time.Second+ms+1 {
		t.Fatalf("%+v %+v", probe, probe.Reply)
	}
	if len(probe.Extra) != 1 || !probe.Extra[0].Late {
		t.Errorf("%+v", probe.Extra)
	}
	if d := cmp.Diff(path.Counters{Sent: 1, Late: 1, Duplicate: 1}, p.Counters); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if d := cmp.Diff([]string{"start", "probe 2", "timeout 2", "reply 2", "reply 2", "hop 1", "hop 2", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A datagram that quotes nothing is not taken for the answer to a probe that was
// given up while another is out.
func TestAnswerAfterAnotherProbeWasGivenUp(t *testing.T) {
	l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second}})
	given := l.probe(9)
	l.pass(time.Second + 1)
	l.watermark()
	out := l.probe(8)
	l.pass(10 * ms)
	l.answer(out, blank())
	p := l.finish()
	if r := p.Probes[out].Reply; r == nil || r.MatchedBy != matcher.Alone || r.RTT != 10*ms || p.Probes[given].Status != path.Timeout {
		t.Errorf("%+v, %+v", p.Probes[given], p.Probes[out])
	}
}

// What is no reply to a probe is counted, and changes nothing else.
func TestWhatIsNoReply(t *testing.T) {
	icmp := func(n int) []byte { // a time-exceeded that quotes n bytes of zeros
		b := make([]byte, 28+n)
		b[0], b[3], b[8], b[9], b[20] = 0x45, byte(len(b)), 64, 1, 11
		copy(b[12:], netip.MustParseAddr(r1).AsSlice())
		copy(b[16:], netip.MustParseAddr(host).AsSlice())
		return b
	}
	tests := map[string]struct {
		show func(*lab)
		want path.Counters
	}{
		"a reply to somebody else's probe": {
			show: func(l *lab) {
				l.sent = append(l.sent, append([]byte(nil), l.sent[0]...))
				l.sent[1][30]++ // its cookie
				l.answer(1, exceeded(1, r2))
			},
			want: path.Counters{Sent: 1, Foreign: 1},
		},
		"a reply stamped before its probe": {
			show: func(l *lab) {
				l.pass(-ms)
				l.answer(0, exceeded(1, r2))
			},
			want: path.Counters{Sent: 1, Foreign: 1},
		},
		"a broken error":    {show: func(l *lab) { l.observe(icmp(19), frame.In) }, want: path.Counters{Sent: 1, Malformed: 1}},
		"a whole lot less":  {show: func(l *lab) { l.observe([]byte{0x45}, frame.In) }, want: path.Counters{Sent: 1}},
		"our own error":     {show: func(l *lab) { l.observe(icmp(19), frame.Out) }, want: path.Counters{Sent: 1}},
		"a watermark":       {show: func(l *lab) { l.watermark() }, want: path.Counters{Sent: 1}},
		"somebody's packet": {show: func(l *lab) { l.observe(l.sent[0], frame.In) }, want: path.Counters{Sent: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, path.Parameters{})
			n := l.probe(1)
			before := l.told()
			test.show(l)
			if d := cmp.Diff(test.want, l.capture.Path(1).Counters); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if p := l.path.Probes[n]; p.Status != path.Outstanding || p.Reply != nil {
				t.Errorf("%+v", p)
			}
			if d := cmp.Diff(before, l.told()); d != "" {
				t.Errorf("-before +after\n%s", d)
			}
		})
	}
}

// A probe that the system refused was never sent, and is not waited for.
func TestFailed(t *testing.T) {
	l := newLab(t, path.Parameters{})
	first, refused := l.probe(1), l.send(2)
	l.failed(refused)
	l.pass(ms)
	l.answer(first, exceeded(1, r1))
	p := l.finish()

	want := path.Probe{
		Number: refused, TTL: 2, Round: 1, ID: 2, SrcPort: srcPort, DstPort: dstPort,
		Called: start, SentClock: path.User, Status: path.Unsent,
	}
	if d := cmp.Diff(want, p.Probes[refused], equal); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if d := cmp.Diff(path.Counters{Sent: 1, Received: 1}, p.Counters); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if d := cmp.Diff([]string{"start", "probe 1", "timeout 2", "reply 1", "hop 1", "hop 2", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if e := l.events[2]; e.Probe.Status != path.Unsent {
		t.Errorf("%+v", e.Probe)
	}
}

// A trace that is ended early abandons the probes that it waits for, and still
// tells every hop that it knows of. A deadline that has passed stays passed.
func TestFinishWhileProbesAreOut(t *testing.T) {
	l := newLab(t, path.Parameters{Queries: 2})
	n := l.probe(1)
	l.probe(2)
	l.pass(ms)
	l.answer(n, exceeded(1, r1))
	p := l.finish()
	if p.Probes[1].Status != path.Abandoned {
		t.Errorf("%v", p.Probes[1].Status)
	}
	for _, e := range l.events {
		if over := e.Path != nil; e.Kind == path.Decided && !over {
			t.Errorf("hop %d is told without the Path, as if the trace went on", e.Hop.TTL)
		}
	}
	if d := cmp.Diff([]string{"start", "probe 1", "probe 2", "reply 1", "hop 1", "hop 2", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestFinishWithoutProbes(t *testing.T) {
	l := newLab(t, path.Parameters{})
	l.pass(time.Second)
	if p := l.finish(); len(p.Hops()) != 0 || !p.Ended.Equal(l.now) {
		t.Errorf("%+v", p)
	}
	if d := cmp.Diff([]string{"start", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// written is a value as it is now, whatever its pointers come to point to.
func written(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// eventful is a trace in which what was told early changes later: replies move
// to other hops, further ones come, probes are answered late.
func eventful(l *lab) *path.Path {
	a, b, c, d := l.probe(1), l.probe(2), l.probe(3), l.probe(4)
	l.pass(10 * ms)
	l.answer(a, exceeded(1, r1))
	l.answer(c, refused(3, 1, r2)) // at hop 3, as far as is known
	l.answer(c, refused(3, 1, r2))
	l.pass(time.Hour)
	l.watermark() // gives b and d up
	l.answer(b, exceeded(2, r2))
	l.answer(d, closed(4, 3)) // contradicted, so at hop 4
	l.answer(b, exceeded(2, r2))
	l.answer(l.probe(6), exceeded(6, r5)) // and hop 5 is never asked
	return l.finish()
}

func TestEventsDoNotChange(t *testing.T) {
	var then []string
	l := newLabTo(t, path.Parameters{}, func(e path.Event) { then = append(then, written(t, e)) })
	p := eventful(l)
	if p.Probes[2].Reply.Hop != 2 {
		t.Fatalf("the test is to move a reply: %+v", p.Probes[2].Reply)
	}
	moved := false
	for i, e := range l.events {
		if d := cmp.Diff(then[i], written(t, e)); d != "" {
			t.Errorf("event %d changed after it was told: -then +now\n%s", i, d)
		}
		moved = moved || e.Probe.Number == 2 && e.Reply != nil && e.Reply.Hop == 3
	}
	if !moved {
		t.Error("no event told of the reply at its first place")
	}
}

// Nor does it change the trace what the receiver does to an event.
func TestEventsAreTheReceivers(t *testing.T) {
	want := written(t, eventful(newLab(t, path.Parameters{})))
	l := newLabTo(t, path.Parameters{}, func(e path.Event) {
		probes := append(e.Hop.Probes, e.Probe)
		if e.Reply != nil {
			e.Reply.Hop, e.Reply.RTT, e.Reply.Kind = 99, -1, matcher.UDP
		}
		for i := range probes {
			if r := probes[i].Reply; r != nil {
				r.Hop, r.RTT, r.Kind = 99, -1, matcher.UDP
			}
			for j := range probes[i].Extra {
				probes[i].Extra[j] = path.Reply{Hop: 99}
			}
			probes[i] = path.Probe{}
		}
		if e.Kind == path.Started {
			*e.Path = path.Path{}
		}
	})
	if d := cmp.Diff(want, written(t, eventful(l))); d != "" {
		t.Errorf("-untouched +touched\n%s", d)
	}
}

func TestStartedTellsAllButTheProbes(t *testing.T) {
	l := newLab(t, path.Parameters{Queries: 3})
	l.probe(1)
	e := l.events[0]
	want := *l.path
	want.Probes, want.Counters = nil, path.Counters{}
	if d := cmp.Diff(&want, e.Path, equal); d != "" || e.Kind != path.Started {
		t.Errorf("%v: -want +got\n%s", e.Kind, d)
	}
}
