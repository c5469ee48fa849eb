package tracewire_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// The file of a recording, where it is not what it should be.

// As many probes as there can be, none of which leaves, make more notes than one
// block of a file can hold.
func TestRecordingOfProbesThatNeverLeave(t *testing.T) {
	begin := func(l *lab) { l.conn.FailInject(capture.ErrBusy) }
	o := tracewire.Options{MaxTTL: 255, Queries: tracewire.MaxQueries, InFlight: tracewire.MaxInFlight}
	trace(t, eight(), capturetest.Host{}, o, begin, func(l *lab, p *path.Path, err error) {
		if err != nil || len(p.Probes) != 255*tracewire.MaxQueries || p.Counters.Sent != 0 {
			l.Errorf("%v, %d probes, %+v", err, len(p.Probes), p.Counters)
		}
	})
}

// small is a disk that is soon full.
type small struct {
	bytes.Buffer
	room int
}

var errFull = errors.New("the disk is full")

func (s *small) Write(b []byte) (int, error) {
	if n := s.room - s.Len(); n < len(b) {
		s.Buffer.Write(b[:n])
		return n, errFull
	}
	return s.Buffer.Write(b)
}

// A disk that is full ends the recording, not the trace, which finds all that it
// would have found. What was told live until then is told again by the replay,
// except what the last frame meant.
func TestRecordingOnAFullDisk(t *testing.T) {
	for _, room := range []int{3000, 6000, 9000} {
		synctest.Test(t, func(t *testing.T) {
			network, err := capturetest.New(eight())
			if err != nil {
				t.Fatal(err)
			}
			l := &lab{T: t, conn: network.Conn(capturetest.Host{})}
			disk := &small{room: room}
			o := tracewire.Options{Dial: l.dial}
			if o.Recording, err = tracewire.NewRecording(disk, "a test"); err != nil {
				t.Fatal(err)
			}
			err = tracewire.Run(t.Context(), slices.Values([]netip.Addr{target}), &o, func(e path.Event) { l.events = append(l.events, e) })
			if err != nil {
				t.Errorf("%v", err)
			}
			l.wholeAndNumbered()
			l.conn = network.Conn(capturetest.Host{})
			if p, err := tracewire.Trace(t.Context(), target.String(), &o); err != nil || !p.Reached() {
				t.Errorf("another trace: %v", err)
			}
			err = o.Recording.Close(map[netip.Addr]string{target: "host.example"})
			if !errors.Is(err, errFull) || !errors.Is(err, tracewire.ErrRecording) || strings.Count(err.Error(), errFull.Error()) != 1 {
				t.Errorf("%v", err)
			}
			if disk.Len() != room {
				t.Errorf("%d bytes on a disk of %d", disk.Len(), room)
			}
			r := &recorder{events: l.events}
			r.file.Buffer = disk.Buffer
			if same := r.isReplayedUpTo(t, disk.Len()); same < 2 {
				t.Errorf("%d events are replayed", same)
			}
		})
	}
}

// wholeAndNumbered holds that a trace has ended, reached its target and heard every
// hop, and that its frames have different numbers.
func (l *lab) wholeAndNumbered() {
	l.Helper()
	last := l.events[len(l.events)-1]
	if last.Kind != path.Ended || last.Path.Interrupted || !last.Path.Reached() {
		l.Fatalf("ends with %+v", last)
	}
	seen := map[int]bool{}
	for _, p := range last.Path.Probes {
		if p.Reply == nil {
			continue
		}
		for _, number := range []int{p.Frame, p.Reply.Frame} {
			if number == 0 || seen[number] {
				l.Errorf("frame %d twice", number)
			}
			seen[number] = true
		}
	}
	for _, h := range last.Path.Hops() {
		if h.Probes[0].Reply == nil {
			l.Errorf("hop %d is silent", h.TTL)
		}
	}
}

// A recording after one that was cut, as in files that were put together, is a
// trace of its own.
func TestRecordingsInOneFile(t *testing.T) {
	var whole *recorder
	synctest.Test(t, func(t *testing.T) { whole = recordedChain(t) })
	cut := whole.length[len(whole.length)/2]
	both := slices.Concat(whole.file.Bytes()[:cut], whole.file.Bytes())
	told, err := replayed(t, both, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ended []*path.Path
	for _, e := range told {
		if e.Kind == path.Ended {
			ended = append(ended, e.Path)
		}
	}
	if len(ended) != 2 || !ended[0].Interrupted || ended[1].Interrupted {
		t.Fatalf("%d traces: %+v", len(ended), ended)
	}
	// But its frames have other numbers.
	whole.tells(t, told[len(told)-len(whole.events):], cmpopts.IgnoreFields(path.Probe{}, "Frame"), cmpopts.IgnoreFields(matcher.Reply{}, "Frame"))
}

// recordedChain is the recording of a trace that nothing happens to.
func recordedChain(t *testing.T) *recorder {
	t.Helper()
	network, err := capturetest.New(eight())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, conn: network.Conn(capturetest.Host{})}
	o := tracewire.Options{Dial: l.dial, Wait: path.Wait{Max: time.Second}}
	r := record(t, &o)
	if err := tracewire.Run(t.Context(), slices.Values([]netip.Addr{target}), &o, r.tell); err != nil {
		t.Fatal(err)
	}
	return r
}
