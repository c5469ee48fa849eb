package engine

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/journal"
	"github.com/tracewire/tracewire/matcher/path"
)

// file is a recording that looks, before each write, at what is handed over by then.
type file struct {
	bytes.Buffer
	look func()
}

func (f *file) Write(data []byte) (int, error) {
	if f.look != nil {
		f.look()
	}
	return f.Buffer.Write(data)
}

// What is handed over is in the file.
func TestEventsAreHandedOverWhenTheyAreRecorded(t *testing.T) {
	f := &file{}
	onBench(t, f, func(b *bench) {
		r := b.begin(1)
		var all []path.Event
		f.look = func() {
			told := b.events(r)
			for i := range told {
				if sentence := journal.Sentence(1, &told[i]); sentence != "" && !bytes.Contains(f.Bytes(), []byte(sentence)) {
					t.Errorf("not in the file yet: %s", sentence)
				}
			}
			all = append(all, told...)
		}
		for range 3 {
			b.send(r)
		}
		for range 3 + 3 {
			b.read()
		}
		b.leave(r, false)
		f.look()
		want := []string{"start", "probe", "probe", "probe", "reply", "reply", "hop", "reply", "hop", "hop", "end"}
		if d := cmp.Diff(want, kinds(all)); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	})
}

// The reader and a trace that ends record at the same time; which of them hands over
// first makes no difference: every event is handed over once, in order.
func TestNothingIsLostWhenARunEndsWhileTheReaderHandsOver(t *testing.T) {
	for _, readerFirst := range []bool{true, false} {
		onBench(t, nil, func(b *bench) {
			r := b.begin(1)
			b.send(r)
			var readers []recorded
			take := func() {
				f, _, _ := b.frame()
				b.take(&path.Entry{Kind: path.Frame, Frame: &f}, &f)
				readers = append(readers, b.done...)
			}
			take()
			take()
			if got := kinds(b.events(r)); !slices.Equal(got, []string{"start"}) {
				t.Fatalf("before anything is recorded: %v", got)
			}
			if readerFirst {
				b.release(readers)
			}
			b.leave(r, false)
			b.release(readers)
			if d := cmp.Diff([]string{"probe", "reply", "hop", "end"}, kinds(b.events(r))); d != "" {
				t.Errorf("reader first %v: -want +got\n%s", readerFirst, d)
			}
			b.release(readers)
			if late := b.events(r); len(late) > 0 {
				t.Errorf("reader first %v: handed over twice: %v", readerFirst, kinds(late))
			}
		})
	}
}

// What happens between a run's events being recorded and handed over is handed over
// later, when it is recorded.
func TestEventsThatComeMeanwhileAreRecordedFirst(t *testing.T) {
	onBench(t, nil, func(b *bench) {
		r := b.begin(1)
		b.send(r)
		failed := b.send(r)
		f, _, _ := b.frame()
		b.take(&path.Entry{Kind: path.Frame, Frame: &f}, &f)
		done := slices.Clone(b.done)
		b.refused(r, failed)
		b.release(done)
		if d := cmp.Diff([]string{"start", "probe"}, kinds(b.events(r))); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		b.pass(now())
		if d := cmp.Diff([]string{"timeout"}, kinds(b.events(r))); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	})
}
