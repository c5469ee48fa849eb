package tracewire_test

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/matcher/path"
)

// A live trace is the replay of a capture that is still being written: every
// test that traces also records, and holds the replay against the trace.

// recorder is a recording in memory, and what was told while it was made.
type recorder struct {
	file   written
	events []path.Event
	length []int // of the file when each was told
}

// written is what was written so far, whoever asks and whoever goes on writing.
type written struct {
	mu sync.Mutex
	bytes.Buffer
}

// Write implements io.Writer.
func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Buffer.Write(b)
}

// Len is how many bytes were written.
func (w *written) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Buffer.Len()
}

// tell takes an event.
func (r *recorder) tell(e path.Event) {
	r.events, r.length = append(r.events, e), append(r.length, r.file.Len())
}

// record makes o record.
func record(t testing.TB, o *tracewire.Options) *recorder {
	t.Helper()
	r := &recorder{}
	recording, err := tracewire.NewRecording(&r.file, "a test")
	if err != nil {
		t.Fatal(err)
	}
	o.Recording = recording
	return r
}

// replays holds the replay against what was told live.
func (r *recorder) replays(t testing.TB) {
	t.Helper()
	file, err := capture.NewFile(bytes.NewReader(r.file.Bytes()), "recording")
	if err != nil {
		t.Fatal(err)
	}
	var again []path.Event
	if err := tracewire.Replay(t.Context(), file, nil, func(e path.Event) { again = append(again, e) }); err != nil {
		t.Fatal(err)
	}
	r.tells(t, again)
}

// tells holds the events of a replay against what was told live.
func (r *recorder) tells(t testing.TB, again []path.Event, but ...cmp.Option) {
	t.Helper()
	but = append(but, cmpopts.EquateComparable(netip.Addr{}))
	if len(again) != len(r.events) {
		t.Errorf("%d events were told, and %d of the replay", len(r.events), len(again))
	}
	for i := range min(len(again), len(r.events)) {
		if d := cmp.Diff(r.events[i], again[i], but...); d != "" {
			t.Fatalf("event %d of the replay differs: -live +replay\n%s", i, d)
		}
	}
}
