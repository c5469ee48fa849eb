package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// lossy is somebody's capture, which says at its end that it lost frames; before
// that there are frames of much later, if it goes on.
func lossy(t *testing.T, goesOn bool) []byte {
	t.Helper()
	from, err := capture.OpenFile(captures + "x4n4th_villanova_tracert.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	var file bytes.Buffer
	w, err := pcapng.NewWriter(&file, pcapng.Section{})
	if err != nil {
		t.Fatal(err)
	}
	on, err := w.AddInterface(pcapng.Interface{Link: frame.Ethernet})
	if err != nil {
		t.Fatal(err)
	}
	last := frame.Frame{}
	for f, err := range from.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if f.IsWatermark() {
			break
		}
		f.Interface = on
		if err := w.WriteFrame(&f); err != nil {
			t.Fatal(err)
		}
		last = f
	}
	for later := time.Hour; goesOn && later < 5*time.Hour; later += time.Hour {
		f := frame.Frame{Time: last.Time.Add(later), Data: make([]byte, 60), Length: 60, Link: frame.Ethernet}
		if err := w.WriteFrame(&f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteStatistics(on, pcapng.Statistics{Dropped: 9}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// Whether a capture says that it lost frames before a trace is told, or after,
// replay says so, once.
func TestReplaySaysWhatACaptureLost(t *testing.T) {
	for _, test := range []struct {
		goesOn bool
		want   string
	}{
		{false, ": the capture lost 9 frames"},
		{true, "tracewire: standard input: the capture lost 9 frames, as it says behind its traces: a * in them may be due to that\n"},
	} {
		_, stderr, code := replayed(t, bytes.NewReader(lossy(t, test.goesOn)), "-n", "-")
		if code != exitOK || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	}
}
