//go:build linux && cgo

package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

func TestLiveEndsWithoutAnError(t *testing.T) {
	tests := map[string]func(*Live, context.CancelFunc){
		"by its context": func(_ *Live, cancel context.CancelFunc) { cancel() },
		"by Close":       func(live *Live, _ context.CancelFunc) { live.Close() },
		"by two at once": func(live *Live, _ context.CancelFunc) {
			var wait sync.WaitGroup
			wait.Go(func() { live.Close() })
			live.Close()
			wait.Wait()
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			live := l.open(t, LiveOptions{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			idle, ended := reading(ctx, live)
			<-idle
			began := time.Now()
			end(live, cancel)
			if took := time.Since(began); took > soon {
				t.Errorf("took %v to return", took)
			}
			if err := await(t, ended); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > soon {
				t.Errorf("took %v to end", took)
			}
		})
	}
}

func TestLiveClosedByTheReader(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	inject(t, live, udpFrame(&l.host, 9, "first"))
	inject(t, live, udpFrame(&l.host, 9, "second"))
	frames := 0
	for _, err := range live.Frames(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		frames++
		live.Close()
	}
	if frames != 1 {
		t.Errorf("%d frames", frames)
	}
}

func TestLiveFrameStaysValidWhenClosed(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	data := udpFrame(&l.host, 9, "x")
	inject(t, live, data)
	for f, err := range live.Frames(t.Context()) {
		live.Close() // as another goroutine may do while this one looks at the frame
		if diff := cmp.Diff(data, f.Data); diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func TestLiveAfterClose(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	for range 2 {
		if err := live.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := live.Inject(udpFrame(&l.host, 9, "x")); !errors.Is(err, ErrClosed) {
			t.Errorf("Inject: %v", err)
		}
		if _, err := live.Stats(); !errors.Is(err, ErrClosed) {
			t.Errorf("Stats: %v", err)
		}
	}
	for f, err := range live.Frames(t.Context()) {
		t.Errorf("Frames: %+v, %v", f, err)
	}
}

func TestLiveClosedWhileInUse(t *testing.T) {
	l := newLab(t)
	data := udpFrame(&l.host, 9, "x")
	for range 5 {
		live := l.open(t, LiveOptions{Buffer: 1 << 16})
		use := map[string]func() error{
			"Inject":         func() error { return live.Inject(data) },
			"another Inject": func() error { return live.Inject(data) },
			"Stats":          func() error { _, err := live.Stats(); return err },
		}
		var wait sync.WaitGroup
		for name, call := range use {
			wait.Go(func() {
				var err error
				for err == nil || errors.Is(err, ErrBusy) {
					err = call()
				}
				if !errors.Is(err, ErrClosed) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		frames := 0
		for _, err := range live.Frames(t.Context()) {
			if err != nil {
				t.Errorf("Frames: %v", err)
			}
			if frames++; frames == 100 {
				wait.Go(func() { live.Close() })
			}
		}
		wait.Wait()
	}
}

func TestLiveRangedOverTwice(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	until(t, live, func(frame.Frame) bool { return true })
	var errs []error
	for _, err := range live.Frames(t.Context()) {
		if errs = append(errs, err); len(errs) > 1 {
			break
		}
	}
	if len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), "twice") {
		t.Errorf("%v", errs)
	}
}

func TestLiveInjectsUpToTheMTU(t *testing.T) {
	const header, mtu = 14, 1000
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nil", nil, "empty"},
		{"empty", []byte{}, "empty"},
		{"a byte", make([]byte, 1), "nvalid argument"},
		{"less than a header", make([]byte, header-1), "nvalid argument"},
		{"a header", make([]byte, header), ""},
		{"the longest", make([]byte, header+mtu), ""},
		{"the longest with a tag", tagged(make([]byte, header+mtu), 0x81000005), ""},
		{"a byte too long", make([]byte, header+mtu+1), "too long"},
		{"far too long", make([]byte, 1<<17), "too long"},
	}
	l := newLab(t)
	l.Host().Run("ip", "link", "set", l.host.Interface, "mtu", fmt.Sprint(mtu))
	live := l.open(t, LiveOptions{})
	var want, got []int
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := live.Inject(tt.data)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want == "":
				want = append(want, len(tt.data))
			case err == nil || !strings.HasPrefix(err.Error(), "capture: "+l.host.Interface+": ") || !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	for _, f := range take(t, live, len(want)) {
		got = append(got, f.Length)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames on the wire (-want +got):\n%s", diff)
	}
}

func TestLiveInterfaceLost(t *testing.T) {
	tests := []struct {
		name string
		lose []string
		want error
	}{
		{"removed", []string{"ip", "link", "del"}, ErrGone},
		{"set down", []string{"ip", "link", "set", "down", "dev"}, ErrDown},
		{"replaced", []string{"sh", "-c", "ip link del $0; ip link add $0 type veth peer other0; ip link set $0 up"}, ErrGone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			live := l.open(t, LiveOptions{})
			inject(t, live, udpFrame(&l.host, 9, "x"))
			idle, ended := reading(t.Context(), live)
			<-idle
			l.Host().Run(append(tt.lose, l.host.Interface)...)
			began := time.Now()
			if err := live.Inject(udpFrame(&l.host, 9, "x")); !errors.Is(err, tt.want) {
				t.Errorf("Inject: %v", err)
			}
			if err := await(t, ended); !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "capture: "+l.host.Interface+": ") {
				t.Errorf("Frames: %v", err)
			}
			if took := time.Since(began); took > linkInterval+soon {
				t.Errorf("Frames took %v to end", took)
			}
			if s, err := live.Stats(); err != nil || s.Received != 1 {
				t.Errorf("Stats: %+v, %v", s, err)
			}
			if err := live.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestLiveInterfaceRenamed(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*linkInterval)
	defer cancel()
	frames := 0
	for f, err := range live.Frames(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if frames++; frames == 1 {
			if out, err := exec.Command("ip", "link", "set", l.host.Interface, "name", "renamed0").CombinedOutput(); err != nil {
				kernelnet.Lacking(t, "this kernel renames no interface that is up: %s", out)
			}
		}
		if f.IsWatermark() {
			inject(t, live, udpFrame(&l.host, 9, "x"))
		}
	}
}

// An interface that was down for a moment interrupts nothing for good.
func TestLiveInterfaceDownAndUp(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	l.Host().Run("ip", "link", "set", "down", "dev", l.host.Interface)
	l.Host().Run("ip", "link", "set", "up", "dev", l.host.Interface)
	if err := live.Inject(udpFrame(&l.host, 9, "lost")); !errors.Is(err, ErrDown) {
		t.Errorf("the first since: %v", err)
	}
	inject(t, live, udpFrame(&l.host, 9, "last"))
	if got := texts(t, live); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestLiveStats(t *testing.T) {
	tests := []struct {
		name         string
		buffer       int
		frames       int
		wantsDropped bool
	}{
		{"room for all", 0, 100, false},
		{"a ring too small", 1 << 16, 500, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			live := l.open(t, LiveOptions{Buffer: tt.buffer, Filter: "udp port 9"})
			wanted, other := udpFrame(&l.host, 9, "x"), udpFrame(&l.host, 7, "x")
			for range tt.frames {
				inject(t, live, wanted)
				inject(t, live, other)
			}
			read := 0
			until(t, live, func(f frame.Frame) bool {
				if !f.IsWatermark() {
					read++
				}
				return f.IsWatermark() && f.Gap == nil
			})
			s, err := live.Stats()
			if err != nil || s.Received != tt.frames || s.Dropped != tt.frames-read || (s.Dropped > 0) != tt.wantsDropped {
				t.Errorf("%d frames matched, %d were read: %+v, %v", tt.frames, read, s, err)
			}
		})
	}
}

func TestOpenLiveRefusals(t *testing.T) {
	l := newLab(t)
	l.Host().Run("ip", "link", "add", "down0", "type", "veth", "peer", "down1")
	tests := []struct {
		name    string
		options LiveOptions
		want    error // nil: another, which says text
		text    string
	}{
		{"no name", LiveOptions{}, ErrGone, ""},
		{"no such interface", LiveOptions{Interface: "nosuch0"}, ErrGone, "nosuch0"},
		{"a name that none can have", LiveOptions{Interface: strings.Repeat("x", 100)}, ErrGone, "xxx"},
		{"all interfaces", LiveOptions{Interface: "any"}, ErrGone, "any"},
		{"down", LiveOptions{Interface: "down0"}, ErrDown, "down0"},
		{"not a filter", LiveOptions{Interface: l.host.Interface, Filter: "nonsense at all"}, nil, `"nonsense at all"`},
		{"a filter cut off", LiveOptions{Interface: l.host.Interface, Filter: "icmp or (udp and"}, nil, `"icmp or (udp and"`},
		{"a filter with a wrong number", LiveOptions{Interface: l.host.Interface, Filter: "port 65536"}, nil, `"port 65536"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			live, err := OpenLive(tt.options)
			if err == nil {
				live.Close()
				t.Fatal("opened")
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "capture: "+tt.options.Interface+": ") ||
				!strings.Contains(err.Error(), tt.text) {
				t.Error(err)
			}
		})
	}
}

// unprivileged is set in the process of TestOpenLiveNeedsAPrivilege that has none.
const unprivileged = "CAPTURE_TEST_UNPRIVILEGED"

func TestOpenLiveNeedsAPrivilege(t *testing.T) {
	if os.Getenv(unprivileged) != "" {
		live, err := OpenLive(LiveOptions{Interface: "lo", Filter: "udp"})
		if err == nil {
			live.Close()
		}
		if !errors.Is(err, ErrPermission) {
			t.Error(err)
		}
		return
	}
	kernelnet.Require(t)
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), unprivileged+"=1")
	// Whoever enters a new user namespace has no capability outside of it, and
	// the network namespace is.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// takeAllFiles leaves this process no descriptor to open a file with.
func takeAllFiles(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 100, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		t.Cleanup(func() { f.Close() })
	}
}

// Without a descriptor an interface can't be looked up. That doesn't mean that
// there is none.
func TestLiveWithoutFiles(t *testing.T) {
	l := newLab(t)
	live := l.open(t, LiveOptions{})
	takeAllFiles(t)
	if _, err := OpenLive(LiveOptions{Interface: l.host.Interface}); !errors.Is(err, syscall.EMFILE) || errors.Is(err, ErrGone) {
		t.Errorf("OpenLive: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*linkInterval)
	defer cancel()
	for _, err := range live.Frames(ctx) {
		if err != nil {
			t.Errorf("Frames: %v", err)
		}
	}
}

func TestLiveOpenedManyTimes(t *testing.T) {
	l := newLab(t)
	data := udpFrame(&l.host, 9, "x")
	for range 50 {
		live := l.open(t, LiveOptions{Filter: "udp"})
		inject(t, live, data)
		take(t, live, 1)
		if err := live.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
