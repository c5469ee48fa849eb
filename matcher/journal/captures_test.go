package journal

import (
	"errors"
	"testing"

	"github.com/tracewire/tracewire/matcher/path"
)

// More than can be at the same time is no recording: each frame would have to be shown to
// all of it.
func TestCapturesAreBounded(t *testing.T) {
	tests := map[string]struct {
		change func(*path.Path, int)
		most   int
	}{
		"traces":        {func(p *path.Path, n int) { p.Target.Addr = addr(n) }, maxTraces},
		"traces to one": {func(*path.Path, int) {}, maxAlike},
		"sets of interfaces": {func(p *path.Path, n int) {
			p.Target.Addr, p.Source.Interface = addr(n), addr(n).String()
		}, maxCaptures},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r Reader
			c := NewCaptures(&r)
			for n := 1; n <= test.most+1; n++ {
				p := newPath()
				test.change(p, n)
				note := noteOf(&path.Entry{Kind: path.Start, Trace: n, At: at, Path: p, Run: 7})
				e, err := r.next(&note)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Apply(&e); errors.Is(err, ErrNote) != (n > test.most) {
					t.Fatalf("trace %d: %v", n, err)
				}
			}
		})
	}
}
