package render_test

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

func TestALineWaitsForTheNamesOnItOnly(t *testing.T) {
	d := &diary{namer: names}
	rendered(t, "text", d, events(newPath(2, with(exceeded(1, r1, ms), exceeded(1, r3, ms)), late(exceeded(1, r2, 6*time.Second)))))
	if diff := cmp.Diff([][]netip.Addr{{netip.MustParseAddr(r1)}}, d.waited, equal); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestALateReplyBeforeTheLine(t *testing.T) {
	// The hop is told after its late reply came, so its line is not older than the reply.
	_, notes := renderedWithNotes(t, "text", namer(nil), events(newPath(1, exceeded(1, r1, ms), late(unreachable(2, 2, target, 3, 6*time.Second)))))
	const wrong = "tracewire: the path ends at hop 2, where 198.51.100.7 answered unreachable after that line was written\n"
	if notes == wrong {
		t.Errorf("not true: %q", notes)
	}
}

type counter struct{ empty int }

func (c *counter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		c.empty++
	}
	return len(b), nil
}

func TestTextWritesNothingForEventsItDoesNotShow(t *testing.T) {
	var c counter
	r, err := render.New("text", &c, io.Discard, namer(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events(newPath(1, exceeded(1, r1, ms))) {
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	if c.empty > 0 {
		t.Errorf("%d writes of nothing", c.empty)
	}
	_ = path.Event{}
}
