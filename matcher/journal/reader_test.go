package journal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// script reads a recording of which each line is a comment, or a frame that the comments
// before it stand on: "." and the number of its interface. Other comments stand where
// there is no frame.
func script(t testing.TB, text string) (c *Captures, entries int, err error) {
	t.Helper()
	r := Reader{Interfaces: func() []pcapng.Interface { return []pcapng.Interface{{Name: "eth0"}, {Name: "other"}, {}} }}
	c = NewCaptures(&r)
	apply := func(e *path.Entry) error {
		entries++
		_, err := c.Apply(e)
		return err
	}
	f := frame.Frame{Time: at, Link: frame.Raw}
	for line := range strings.SplitSeq(text, "\n") {
		on, isFrame := strings.CutPrefix(line, ".")
		if !isFrame {
			f.Comments = append(f.Comments, line)
			continue
		}
		f.Time, f.Number, f.Interface = f.Time.Add(time.Millisecond), f.Number+1, len(on)
		f.Data = []byte("\x45\x00\x00\x1c\x00\x07\x00\x00\x06\x11\x00\x00\xc0\x00\x02\x0a\xc6\x33\x64\x50\xc3\x50\x82\x9a\x00\x08\x00\x07")
		f.Length = len(f.Data)
		if err := r.Read(&f, apply); err != nil {
			return c, entries, err
		}
		f.Comments = nil
	}
	return c, entries, errors.Join(r.Read(&frame.Frame{Comments: f.Comments}, apply), r.Close(apply))
}

// aTrace is a recording of one trace, as lines of a script.
func aTrace() string {
	var lines []string
	for _, e := range []path.Entry{
		{Kind: path.Start, Trace: 1, At: at, Path: newPath(), Run: 7},
		{Kind: path.Sent, Trace: 1, Probe: path.Probe{TTL: 6, Round: 1, Called: at}, Key: craft.Key{ID: 7, Token: 7}},
		{},
		{Kind: path.Failed, Trace: 1},
		{Kind: path.Missed, Trace: 1, Gap: frame.Gap{From: at, Frames: 3}},
		{Kind: path.Watermark, Trace: 1, At: at.Add(time.Minute)},
		{},
		{Kind: path.End, Trace: 1, At: at.Add(time.Hour)},
	} {
		if e.Kind == 0 {
			lines = append(lines, ".")
			continue
		}
		n := noteOf(&e)
		lines = append(lines, n.Comment())
	}
	return strings.Join(lines, "\n")
}

// A trace whose end is missing ends with the last frame, and is Interrupted; one that is
// not known, since its beginning is missing, is left out.
func TestReaderEndsWhatHasNoEnd(t *testing.T) {
	whole := aTrace()
	cut := whole[:strings.LastIndex(whole, "\n")]
	var r Reader
	var kinds []path.EntryKind
	var last path.Entry
	apply := func(e *path.Entry) error {
		kinds = append(kinds, e.Kind)
		last = *e
		return nil
	}
	lines := strings.Split(cut, "\n")
	if err := r.Read(&frame.Frame{Time: at.Add(time.Second), Data: []byte{1}, Length: 1, Comments: lines[:2]}, apply); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(apply); err != nil {
		t.Fatal(err)
	}
	if len(kinds) != 4 || last.Kind != path.End || !last.Interrupted || !last.Missing || !last.At.Equal(at.Add(time.Second)) || r.Lost {
		t.Errorf("%v, %+v", kinds, last)
	}
	if err := r.Read(&frame.Frame{Time: at.Add(time.Minute), Data: []byte{1}, Length: 1, Comments: lines[1:2]}, apply); err != nil || !r.Lost || last.Kind != path.Frame {
		t.Errorf("%v, %v, %+v", err, r.Lost, last)
	}
}

// Whatever the notes say, reading ends without a panic; what no recording can say is
// ErrNote; no more runs than can; and at the end nothing runs.
func FuzzReader(f *testing.F) {
	one := aTrace()
	f.Add(one)
	f.Add(strings.ReplaceAll(one, "tracewire/2", "tracewire/1"))
	f.Add(one + "\n" + one)
	f.Add(one + "\n" + strings.ReplaceAll(one, `"trace":1`, `"trace":2`))
	f.Add(strings.ReplaceAll(one, "\n.", "\n.1"))
	f.Add(one[:len(one)-200])
	f.Fuzz(func(t *testing.T, text string) {
		c, entries, err := script(t, text)
		if err != nil && !errors.Is(err, ErrNote) {
			t.Fatalf("%v", err)
		}
		if err == nil && c.Running() != 0 {
			t.Errorf("%d traces run at the end", c.Running())
		}
		if most := strings.Count(text, "\n") + 2; c.Running() > maxTraces || entries > 3*most {
			t.Errorf("%d traces, %d entries of %d lines", c.Running(), entries, most)
		}
	})
}
