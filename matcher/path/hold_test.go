package path_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// quote shows a time-exceeded that quotes 28 bytes of a probe, with another ID and a
// checksum to which something was added.
func (l *lab) quote(n int, from string, id, shift uint16) {
	l.Helper()
	q := slices.Clone(l.sent[n])
	binary.BigEndian.PutUint16(q[4:], id)
	sum := uint32(binary.BigEndian.Uint16(q[26:])) + uint32(shift)
	binary.BigEndian.PutUint16(q[26:], uint16(sum&0xffff+sum>>16))
	q[8] = 1
	ip, err := capturetest.ICMPError{
		From: netip.MustParseAddr(from), To: netip.MustParseAddr(host), Type: layers.ICMPv4TypeTimeExceeded, Datagram: q[:28],
	}.Packet()
	if err != nil {
		l.Fatal(err)
	}
	l.observe(ip, frame.In)
}

// A reply that agrees in two of three is told when its probe would be given up. It came
// in time, and its round trip is from then.
func TestAHeldReplyIsToldWhenItsProbeIsGivenUp(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(1)
	l.pass(10 * ms)
	l.quote(n, r1, 0, 0)
	if d := cmp.Diff([]string{"start", "probe 1"}, l.told()); d != "" || !l.held {
		t.Errorf("while it is held: -want +got\n%s", d)
	}
	l.pass(6 * time.Second)
	l.watermark()
	if d := cmp.Diff([]string{"start", "probe 1", "reply 1"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	p := l.finish()
	r := p.Probes[n].Reply
	if r == nil || r.MatchedBy != matcher.ByTwo || r.RTT != 10*ms || r.Late || p.Probes[n].Status != path.Replied || p.Counters.Received != 1 {
		t.Errorf("%+v, %+v", r, p.Counters)
	}
}

// What is learnt after some probes were given up was in time all the same.
func TestRepliesLearntAfterTheWaitWereInTime(t *testing.T) {
	l := newLab(t, path.Parameters{})
	first, second := l.probe(1), l.probe(2)
	l.pass(10 * ms)
	l.quote(first, r1, 7, 0x1234)
	l.quote(second, r2, 9, 0x1234)
	l.pass(6 * time.Second)
	third := l.probe(3)
	l.pass(30 * ms)
	l.quote(third, r3, 8, 0x1234)
	want := []string{"start", "probe 1", "probe 2", "timeout 1", "timeout 2", "hop 1", "probe 3", "reply 1", "reply 2", "reply 3"}
	var got []string
	for _, told := range l.told() {
		if told != "hop 2" && told != "hop 3" { // which depends on more
			got = append(got, told)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	p := l.finish()
	for n, rtt := range map[int]time.Duration{first: 10 * ms, second: 10 * ms, third: 30 * ms} {
		r := p.Probes[n].Reply
		if r == nil || r.MatchedBy != matcher.ByTranslation || r.RTT != rtt || r.Late || p.Probes[n].Status != path.Replied {
			t.Errorf("probe %d: %+v", n, r)
		}
	}
	if p.Counters.Received != 3 || p.Counters.Late != 0 || p.Counters.Foreign != 0 {
		t.Errorf("%+v", p.Counters)
	}
}

// What nothing confirms is foreign in the end.
func TestAHeldReplyThatNothingConfirmsIsForeign(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(1)
	l.pass(10 * ms)
	l.quote(n, r1, 7, 0x1234)
	if !l.held || l.path.Counters.Foreign != 0 {
		t.Errorf("held %v, %+v", l.held, l.path.Counters)
	}
	p := l.finish()
	if p.Probes[n].Reply != nil || p.Counters.Foreign != 1 || p.Counters.Received != 0 {
		t.Errorf("%+v, %+v", p.Probes[n].Reply, p.Counters)
	}
}

// A trace that ends before a probe is given up decides about what is held of it.
func TestTheEndDecidesAboutHeldReplies(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(1)
	l.pass(10 * ms)
	l.quote(n, r1, 0, 0)
	if r := l.finish().Probes[n].Reply; r == nil || r.MatchedBy != matcher.ByTwo {
		t.Errorf("%+v", r)
	}
}

// Datagrams with nothing of the probes in them end a path when there are two, and no
// router answers from as far away.
func TestUnverifiedAnswersEndNoPathByThemselves(t *testing.T) {
	l := newLab(t, path.Parameters{})
	l.probe(3)
	l.pass(ms)
	l.answer(0, blank())
	if p := l.path; p.End() != 0 || !p.Unverified() {
		t.Errorf("one: ends at %d, unverified %v", p.End(), p.Unverified())
	}
	l.probe(4)
	l.pass(ms)
	l.answer(0, blank())
	if end := l.path.End(); end != 3 {
		t.Errorf("two: ends at %d", end)
	}
	n := l.probe(5)
	l.pass(ms)
	l.answer(n, exceeded(5, r5))
	if end := l.path.End(); end != 0 {
		t.Errorf("and a router behind: ends at %d", end)
	}
	n = l.probe(6)
	l.pass(ms)
	l.answer(n, closed(6, 1))
	if p := l.path; p.End() != 6 || p.Unverified() {
		t.Errorf("and the target itself: ends at %d, unverified %v", p.End(), p.Unverified())
	}
}

// A frame that can't be read is not held, though the one before is.
func TestOnlyTheLatestFrameIsHeld(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.probe(1)
	l.quote(n, r1, 0, 0)
	if !l.held {
		t.Fatal("the quote is not held")
	}
	if l.observe([]byte{0x45}, frame.In); l.held {
		t.Error("a frame without a header is held")
	}
}
