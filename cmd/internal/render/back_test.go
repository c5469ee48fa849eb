package render_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/path"
)

// arrives is p, whose reply arrives with a TTL.
func arrives(ttl uint8, p path.Probe) path.Probe {
	p.Reply.TTL = ttl
	return p
}

// --back shows a way back where it can be told, and nothing where the findings say
// that it can't. Which of the two it is, farther hops show: from the first that
// differs on, lines are written at the end, the others as they come.
func TestBackShowsWhatCanBeTold(t *testing.T) {
	far := func(ttl uint8, left uint8) path.Probe { return arrives(left, unreachable(ttl, ttl, target, 3, ms)) }
	for name, test := range map[string]struct {
		probes  []path.Probe
		early   int // lines that are written before the end
		want    []string
		nothing bool
	}{
		"as there": {[]path.Probe{exceeded(1, r1, ms), exceeded(2, r2, ms), unreachable(3, 3, target, 3, ms)}, 3, nil, true},
		"by another way": {[]path.Probe{exceeded(1, r1, ms), arrives(60, exceeded(2, r2, ms)), far(3, 59)}, 1,
			[]string{" 2  " + r2 + " '-5'  1.000 ms", " 3  " + target + " '-6'  1.000 ms"}, false},
		"with a TTL that is set": {[]path.Probe{
			exceeded(1, r1, ms), exceeded(2, r2, ms), lost(3), arrives(63, exceeded(4, r3, ms)), arrives(63, exceeded(5, r3b, ms)), far(6, 63),
		}, 3, nil, true},
		"round and round": {[]path.Probe{
			exceeded(1, r1, ms), exceeded(2, r2, ms), exceeded(3, r3, ms), arrives(63, exceeded(4, r2, ms)), arrives(62, exceeded(5, r3, ms)),
			arrives(63, exceeded(6, r2, ms)), arrives(62, exceeded(7, r3, ms)),
		}, 3, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPath(1, test.probes...)
			for i := range p.Probes {
				p.Probes[i].Number = i
			}
			var out bytes.Buffer
			r := render.NewText(&out, io.Discard, namer(nil), render.TextOptions{Back: true})
			for _, e := range events(p) {
				if e.Kind == path.Ended {
					if got := strings.Count(out.String(), "\n") - 1; got != test.early {
						t.Errorf("%d lines before the end, want %d:\n%s", got, test.early, out.String())
					}
				}
				if err := r.Event(e); err != nil {
					t.Fatal(err)
				}
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != len(test.probes)+1 {
				t.Errorf("%d lines: %q", len(lines), lines)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want+"\n") {
					t.Errorf("no line %q in\n%s", want, out.String())
				}
			}
			if test.nothing && strings.Contains(out.String(), "'") {
				t.Errorf("a way back is shown:\n%s", out.String())
			}
		})
	}
}
