package tracewire_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
)

// People who pass a recording on may change the names of its interfaces. The
// recording replays as before, whatever the new names are.
func TestRecordingWhoseInterfacesWereRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, tracewire.Options{})
		release := b.hold()
		for n, dst := range someOfMillion(4) {
			b.trace(t.Context(), n+1, dst)
		}
		release()
		b.replays()
		for name, names := range map[string][2]string{
			"to others":       {"anon", "xxxx"},
			"to one":          {"anon", "anon"},
			"to each other's": {"sim1", "sim0"},
		} {
			again, err := replayed(t, withInterfaces(t, b.recorded.file.Bytes(), names), nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(again) != len(b.recorded.events) {
				t.Errorf("%s: %d events, want %d", name, len(again), len(b.recorded.events))
			}
			b.recorded.tells(t, again)
		}
	})
}

// withInterfaces is a recording of a beside whose interfaces have other names.
func withInterfaces(t *testing.T, file []byte, names [2]string) []byte {
	t.Helper()
	option := func(name string) []byte { return append([]byte{2, 0, 4, 0}, name...) } // if_name
	marked := file
	for i, old := range []string{"sim0", "sim1"} {
		if bytes.Count(file, option(old)) != 1 {
			t.Fatalf("the file names %s %d times", old, bytes.Count(file, option(old)))
		}
		marked = bytes.Replace(marked, option(old), option([]string{"new0", "new1"}[i]), 1)
	}
	for i, name := range names {
		marked = bytes.Replace(marked, option([]string{"new0", "new1"}[i]), option(name), 1)
	}
	return marked
}
