//go:build linux && cgo

package capture

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

var _ interface {
	Source
	Injector
} = (*Live)(nil)

const (
	patience = 5 * time.Second // longer than anything here takes
	soon     = time.Second     // what is at once, on a machine that is busy
)

// open captures on the host's end of the link until the test ends.
func (l *lab) open(t testing.TB, o LiveOptions) *Live {
	t.Helper()
	o.Interface = l.host.Interface
	live, err := OpenLive(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	return live
}

func inject(t testing.TB, live *Live, data []byte) {
	t.Helper()
	if err := live.Inject(data); err != nil {
		t.Error(err)
	}
}

// until ranges over a Live until done says so.
func until(t testing.TB, live *Live, done func(frame.Frame) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for f, err := range live.Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if done(f) {
			return
		}
	}
	t.Fatalf("not done after %v", patience)
}

// take returns copies of the next n frames.
func take(t testing.TB, live *Live, n int) (all []frame.Frame) {
	t.Helper()
	until(t, live, func(f frame.Frame) bool {
		if !f.IsWatermark() {
			f.Data = bytes.Clone(f.Data)
			all = append(all, f)
		}
		return len(all) == n
	})
	return all
}

// texts are the texts of the frames before the one with the text "last".
func texts(t testing.TB, live *Live) (all []string) {
	t.Helper()
	until(t, live, func(f frame.Frame) bool {
		if f.IsWatermark() {
			return false
		}
		all = append(all, text(t, f))
		return all[len(all)-1] == "last"
	})
	return all[:len(all)-1]
}

func TestLiveSeesWhatItSendsAndTheReply(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{Filter: "icmp"})
	const pings = 10
	var before, after [pings]time.Time
	for i := range pings {
		request := l.ping(fmt.Sprint(i))
		before[i] = time.Now()
		inject(t, live, request)
		after[i] = time.Now()
	}
	var sent [pings]time.Time
	ends := map[frame.Direction][]string{}
	nanoseconds := false
	for _, f := range take(t, live, 2*pings) {
		ends[f.Direction] = append(ends[f.Direction], text(t, f))
		i := len(ends[f.Direction]) - 1
		switch {
		case f.Direction == frame.In && f.Time.Before(sent[i]):
			t.Errorf("reply %d came %v before its request", i, sent[i].Sub(f.Time))
		case f.Direction == frame.Out && (f.Time.Before(before[i]) || f.Time.After(after[i])):
			t.Errorf("request %d stamped %v, but sent between %v and %v", i, f.Time, before[i], after[i])
		case f.Direction == frame.Out:
			sent[i] = f.Time
			if diff := cmp.Diff(l.ping(fmt.Sprint(i)), f.Data); diff != "" {
				t.Errorf("request %d (-sent +captured):\n%s", i, diff)
			}
		}
		if f.Read.Before(f.Time) || time.Since(f.Read) > patience {
			t.Errorf("stamped %v, read %v", f.Time, f.Read)
		}
		if f.Link != frame.Ethernet || f.Length != len(f.Data) || f.Step != 0 || f.Time.Location() != time.UTC {
			t.Errorf("%+v", f)
		}
		nanoseconds = nanoseconds || f.Time.Nanosecond()%1000 != 0
	}
	texts := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
	if diff := cmp.Diff(map[frame.Direction][]string{frame.Out: texts, frame.In: texts}, ends); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !nanoseconds {
		t.Error("all stamps are whole microseconds")
	}
}

func TestLiveSeesAnotherLive(t *testing.T) {
	l := newLab(t)
	one, other := l.open(t, LiveOptions{}), l.open(t, LiveOptions{})
	inject(t, one, udpFrame(&l.host, 9, "one"))
	inject(t, other, udpFrame(&l.host, 9, "other"))
	seenByOne, seenByOther := take(t, one, 2), take(t, other, 2)
	if diff := cmp.Diff(seenByOne, seenByOther, cmpopts.IgnoreFields(frame.Frame{}, "Read")); diff != "" {
		t.Errorf("they see different frames, or other stamps:\n%s", diff)
	}
	if a, b := text(t, seenByOne[0]), text(t, seenByOne[1]); a != "one" || b != "other" {
		t.Errorf("%s, then %s", a, b)
	}
}

func TestLiveCutsFrames(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{SnapLen: 64})
	long := udpFrame(&l.host, 9, strings.Repeat("x", 100))
	inject(t, live, long)
	f := take(t, live, 1)[0]
	if diff := cmp.Diff(long[:64], f.Data); diff != "" || f.Length != len(long) {
		t.Errorf("length %d of %d; %s", f.Length, len(long), diff)
	}
}

func TestLiveOnLoopback(t *testing.T) {
	newLab(t)
	live, err := OpenLive(LiveOptions{Interface: "lo", Filter: "udp"})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	conn, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("me")); err != nil {
		t.Fatal(err)
	}
	f := take(t, live, 1)[0]
	if text(t, f) != "me" || f.Link != frame.Ethernet || f.Direction != frame.Unknown {
		t.Errorf("%+v", f)
	}
}

// A VXLAN-GPE interface carries IP packets without a link header.
func TestLiveOnALinkWithoutHeaders(t *testing.T) {
	l := newLab(t)
	kernelnet.Require(t, "ip")
	command := exec.Command("ip", "link", "add", "gpe0", "type", "vxlan", "dstport", "4790", "external", "gpe")
	if out, err := command.CombinedOutput(); err != nil {
		kernelnet.Lacking(t, "no VXLAN: %v: %s", err, out)
	}
	l.Host().Run("ip", "link", "set", "gpe0", "up")
	live, err := OpenLive(LiveOptions{Interface: "gpe0", Filter: "udp port 9"})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	inject(t, live, udpFrame(&l.host, 7, "other port")[14:])
	inject(t, live, udpFrame(&l.host, 9, "last")[14:])
	f := take(t, live, 1)[0]
	if text(t, f) != "last" || f.Link != frame.Raw || f.Direction != frame.Out {
		t.Errorf("%+v", f)
	}
}

func TestLiveFilterSeesBehindVLANTags(t *testing.T) {
	const customer, service, old = 0x81000005, 0x88a80006, 0x91000007
	tags := map[string][]uint32{
		"untagged":         nil,
		"802.1Q":           {customer},
		"802.1ad":          {service},
		"priority only":    {0x8100e000},
		"QinQ":             {service, customer},
		"QinQ, both 8100":  {customer, customer},
		"QinQ, outer 9100": {old, customer},
	}
	l := newLab(t)
	live, send := l.open(t, LiveOptions{Filter: "icmp or (udp and port 4321)"}), l.sender(t)
	var want []string
	for name, tags := range tags {
		inject(t, live, tagged(icmpFrame(&l.host, name+" ICMP out"), tags...))
		inject(t, live, tagged(udpFrame(&l.host, 4321, name+" UDP out"), tags...))
		inject(t, live, tagged(udpFrame(&l.host, 4322, name+" another port out"), tags...))
		send(tagged(icmpFrame(&l.peer, name+" ICMP in"), tags...))
		send(tagged(udpFrame(&l.peer, 4321, name+" UDP in"), tags...))
		send(tagged(udpFrame(&l.peer, 4322, name+" another port in"), tags...))
		want = append(want, name+" ICMP out", name+" ICMP in", name+" UDP out", name+" UDP in")
	}
	send(icmpFrame(&l.peer, "last"))
	if diff := cmp.Diff(want, texts(t, live), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// While a handle opens there is a moment when it has no filter yet.
func TestLiveFilterHoldsFromTheFirstFrame(t *testing.T) {
	l := newLab(t)
	send := l.sender(t)
	other, last := udpFrame(&l.peer, 7, "other port"), udpFrame(&l.peer, 9, "last")
	for range 10 {
		opened, read := make(chan struct{}), make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			for next := other; ; {
				select {
				case <-read:
					return
				case <-opened:
					// A buffer that is full of others would drop a single one.
					next = last
				default:
				}
				send(next)
			}
		})
		stop := sync.OnceFunc(func() {
			close(read)
			wait.Wait()
		})
		t.Cleanup(stop)
		live := l.open(t, LiveOptions{Filter: "udp port 9"})
		close(opened)
		if got := texts(t, live); len(got) > 0 {
			t.Errorf("%d frames that the filter excludes: %s, …", len(got), got[0])
		}
		stop()
		live.Close()
	}
}

func TestLiveIdleYieldsWatermarks(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	var last time.Time
	var gaps, ages []time.Duration
	until(t, live, func(f frame.Frame) bool {
		age := time.Since(f.Time)
		if !f.IsWatermark() || f.Step != 0 || f.Time.Location() != time.UTC || age > soon || !f.Time.After(last) {
			t.Errorf("%v old, after %v: %+v", age, last, f)
		}
		gaps, ages = append(gaps, f.Time.Sub(last)), append(ages, age)
		last = f.Time
		return len(gaps) == 15
	})
	if gap := median(gaps); gap < defaultIdle/2 || gap > 3*defaultIdle {
		t.Errorf("a watermark every %v, want %v", gap, defaultIdle)
	}
	// A promise about the time before the ring was found empty, not about when it was.
	if age := slices.Min(ages); age < settle {
		t.Errorf("a watermark is %v old, want %v at least", age, settle)
	}
}

func median(all []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// reading ranges over a Live on a goroutine: idle is closed when nothing more
// is to be read, and ended gets what ended it.
func reading(ctx context.Context, live *Live) (idle chan struct{}, ended chan error) {
	idle, ended = make(chan struct{}), make(chan error, 1)
	go func() {
		once := sync.OnceFunc(func() { close(idle) })
		for f, err := range live.Frames(ctx) {
			if err != nil {
				ended <- err
				return
			}
			if f.IsWatermark() {
				once()
			}
		}
		ended <- nil
	}()
	return idle, ended
}

// await returns what ended a range that has been told to end.
func await(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatalf("Frames did not end within %v", patience)
		return nil
	}
}

func BenchmarkLiveOpenClose(b *testing.B) {
	l := newLab(b)
	b.ReportAllocs()
	for b.Loop() {
		live, err := OpenLive(LiveOptions{Interface: l.host.Interface, Filter: "icmp or (udp and port 4321)"})
		if err != nil {
			b.Fatal(err)
		}
		live.Close()
	}
}

func BenchmarkLiveInject(b *testing.B) {
	l := newLab(b)
	live := l.open(b, LiveOptions{Filter: "less 1"})
	data := udpFrame(&l.host, 9, strings.Repeat("x", 18))
	b.ReportAllocs()
	for b.Loop() {
		inject(b, live, data)
	}
}

// BenchmarkLiveCapture injects frames by the hundred and reads them.
func BenchmarkLiveCapture(b *testing.B) {
	const batch = 100
	l := newLab(b)
	live := l.open(b, LiveOptions{Filter: "udp port 9"})
	data := udpFrame(&l.host, 9, strings.Repeat("x", 18))
	next, stop := iter.Pull2(live.Frames(b.Context()))
	defer stop()
	b.ReportAllocs()
	for b.Loop() {
		for range batch {
			inject(b, live, data)
		}
		for read := 0; read < batch; {
			f, err, _ := next()
			if err != nil {
				b.Fatal(err)
			}
			if !f.IsWatermark() {
				read++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/frame")
}
