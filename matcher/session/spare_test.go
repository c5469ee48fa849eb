package session_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// What traces leave to later ones is memory, and nothing that they hold: one
// Finder finds in many captures, one long after the other, what a new Finder finds
// in each.
func TestFinderFindsTheSameInMemoryThatServedOthers(t *testing.T) {
	var found []*path.Path
	finder := session.NewFinder(func(p *path.Path) { found = append(found, p.Clone()) })
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	traces := 0
	for _, file := range captureFiles(t) {
		frames := framesOf(t, file)
		if len(frames) == 0 {
			continue
		}
		at = moved(frames, at).Add(2 * session.Idle)
		found = nil
		for i := range frames {
			finder.Observe(&frames[i])
		}
		finder.Close()
		want := find(frames)
		traces += len(want)
		if d := cmp.Diff(want, found, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("%s: -new +used\n%s", filepath.Base(file), d)
		}
	}
	if traces < 100 {
		t.Errorf("only %d traces", traces)
	}
}

// moved moves the stamps of a capture, the earliest of which becomes at, and
// returns the latest.
func moved(frames []frame.Frame, at time.Time) (latest time.Time) {
	earliest := frames[0].Time
	for i := range frames {
		if frames[i].Time.Before(earliest) {
			earliest = frames[i].Time
		}
	}
	for i := range frames {
		f := &frames[i]
		if f.Time = at.Add(f.Time.Sub(earliest)); f.Time.After(latest) {
			latest = f.Time
		}
	}
	return latest
}
