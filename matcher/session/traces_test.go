package session_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

var update = flag.Bool("update", false, "write testdata/traces.txt anew")

// testdata/traces.txt has the traces of all captures, one in a line below the
// name of the capture.
func TestFinderFindsTheTracesOfEachCapture(t *testing.T) {
	var b strings.Builder
	for _, file := range captureFiles(t) {
		fmt.Fprintln(&b, stem(file))
		for _, p := range find(framesOf(t, file)) {
			fmt.Fprintln(&b, "\t"+summary(p))
		}
	}
	golden := filepath.Join("testdata", "traces.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
}

// A capture that has each frame twice holds the same traces.
func TestFinderSeesThroughCopies(t *testing.T) {
	for _, file := range captureFiles(t) {
		if stem(file) == "traceroute-icmp-lossy" {
			continue // its network repeats a reply after 26 µs: who is to tell that from a copy?
		}
		frames := framesOf(t, file)
		want := summaries(find(frames))
		for _, after := range []time.Duration{0, 5 * time.Microsecond} {
			got := summaries(find(inOrder(again(frames, after))))
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %v later: %s", stem(file), after, d)
			}
		}
	}
}

// A capture holds the same traces whatever was captured some minutes before, and
// what comes later leaves them as they are.
func TestFinderBeginsAnewAfterAPause(t *testing.T) {
	var all []frame.Frame
	var want []*path.Path
	at := epoch
	for _, file := range captureFiles(t) {
		frames := inOrder(framesOf(t, file))
		shift := at.Sub(frames[0].Time)
		for i := range frames {
			frames[i].Time = frames[i].Time.Add(shift)
		}
		want = append(want, find(frames)...)
		all = append(all, frames...)
		at = all[len(all)-1].Time.Add(2 * session.Idle)
	}
	got := find(all)
	if d := cmp.Diff(summaries(want), summaries(got)); d != "" {
		t.Fatal(d)
	}
	for i := range want {
		if !reflect.DeepEqual(want[i], got[i]) {
			t.Error(cmp.Diff(want[i], got[i], cmpopts.EquateComparable(netip.Addr{})))
		}
	}
}

func summaries(traces []*path.Path) (lines []string) {
	for _, p := range traces {
		lines = append(lines, summary(p))
	}
	return lines
}

// summary is a trace in one line.
func summary(p *path.Path) string {
	tool, end := p.Tool, "not reached"
	if tool == "" {
		tool = "?"
	}
	if p.Reached() {
		end = fmt.Sprintf("reached at %d", p.End())
	}
	c := &p.Counters
	s := fmt.Sprintf("%s %s %v -> %v: TTL %d-%d, %d sent, %d received", tool, p.Protocol, p.Source.Addr, p.Target.Addr,
		p.Parameters.FirstTTL, p.Parameters.MaxTTL, c.Sent, c.Received)
	if c.Duplicate > 0 {
		s += fmt.Sprintf(", %d twice", c.Duplicate)
	}
	if c.Late > 0 {
		s += fmt.Sprintf(", %d late", c.Late)
	}
	return s + ", " + end
}

// What Observe reports of a frame is what can be told then: that the first six
// probes of a trace are some, three to a TTL, shows when it comes to the third.
func TestObserveReportsFramesOfTraces(t *testing.T) {
	for name, want := range map[string]int{"only-ordinary-services": 0, "traceroute-chain": 40 + 40 - 6} {
		got := 0
		finder := session.NewFinder(func(*path.Path) {})
		for _, f := range framesOf(t, filepath.Join(captures, "peers", name+".pcap")) {
			if finder.Observe(&f) {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d frames, not %d", name, got, want)
		}
	}
}
