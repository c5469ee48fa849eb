package path_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// capturedProbe begins the Path of a capture, with one probe that left at noon.
func capturedProbe() (rec *path.Recorder, key craft.Key, noon time.Time) {
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	key = craft.Key{Dst: netip.MustParseAddr("198.51.100.80"), Protocol: layers.IPProtocolUDP, SrcPort: 1, DstPort: 2, ID: 3, Token: 4}
	rec = path.NewRecorder(&path.Path{
		Target: path.Target{Addr: key.Dst}, Protocol: key.Protocol, Clock: path.Clock{Captured: true},
		Parameters: path.Parameters{Wait: path.Wait{Max: time.Second}},
	}, nil)
	rec.Found(&key, 1, noon).SentClock = path.Capture
	return rec, key, noon
}

func TestCapturedReplyThatIsStampedBeforeItsProbeHasNoRoundTrip(t *testing.T) {
	for _, c := range []struct {
		after  time.Duration
		hasRTT bool
	}{{-50 * time.Microsecond, false}, {0, true}, {time.Millisecond, true}} {
		rec, key, noon := capturedProbe()
		reply := matcher.Reply{From: netip.MustParseAddr("10.0.0.1"), Received: noon.Add(c.after), Kind: matcher.TimeExceeded}
		if !rec.Take(&matcher.Message{Time: noon.Add(time.Millisecond), IsReply: true, Reply: reply, Of: key}) {
			t.Fatalf("%v after the probe: not taken", c.after)
		}
		r := rec.Path().Probes[0].Reply
		if r.From != reply.From || r.HasRTT != c.hasRTT || r.HasRTT && r.RTT != c.after {
			t.Errorf("%v after the probe: %+v", c.after, r)
		}
	}
}

func TestClockOfACopyIsTheCaptures(t *testing.T) {
	rec, key, noon := capturedProbe()
	if !rec.Take(&matcher.Message{Time: noon, IsProbe: true, Key: key}) {
		t.Fatal("the copy was not taken")
	}
	if p := rec.Path().Probes[0]; p.SentClock != path.Capture {
		t.Errorf("stamped by %v", p.SentClock)
	}
}

func TestEveryStrangerIsTold(t *testing.T) {
	var told []path.Hop
	rec := path.NewRecorder(&path.Path{}, func(e path.Event) {
		if e.Kind == path.Decided {
			told = append(told, e.Hop)
		}
	})
	for _, from := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.1"} {
		m := matcher.Message{Reply: matcher.Reply{From: netip.MustParseAddr(from), Kind: matcher.TimeExceeded}}
		m.Of.Dst = netip.MustParseAddr("198.51.100.80")
		rec.Orphan(&m.Reply, &m.Of)
	}
	rec.Apply(&path.Entry{Kind: path.End})
	if len(told) != 2 || len(told[0].Probes) != 2 || len(told[1].Probes) != 1 {
		t.Errorf("told: %+v", told)
	}
}
