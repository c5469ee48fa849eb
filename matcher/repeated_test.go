package matcher_test

import (
	"testing"

	"github.com/tracewire/tracewire/matcher"
)

// Copies of a probe, or of its reply, are told like the first, whether they come before
// that is decided or after.
func TestRepeatedQuotesAreToldLikeTheFirst(t *testing.T) {
	tests := map[string]struct {
		again func(q []byte) // what the second copy shows; the first has a zero ID
		want  []told
		later int
	}{
		"to the letter":    {idOff, []told{{2, matcher.ByTwo}, {2, matcher.ByTwo}}, 1},
		"something else":   {portOff, []told{{2, matcher.ByTwo}}, 0},
		"another checksum": {func(q []byte) { idOff(q); checksumOff(q) }, []told{{2, matcher.ByTwo}}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 5)
			r.quote(2, idOff)
			r.quote(2, test.again)
			r.table.Expire(2)
			same(t, "given up", r.released(), test.want...)
			all, _ := r.quote(2, test.again)
			if len(all) != test.later {
				t.Errorf("one more: %v", all)
			}
		})
	}
}

// A translator that numbers packets anew numbers both copies of a probe. Neither speaks
// against what the ports tell.
func TestCopiesThatATranslatorNumbers(t *testing.T) {
	r := classic(t, 10)
	r.quote(2, rewritten(900, 1))
	r.quote(2, rewritten(901, 1))
	r.quote(3, rewritten(903, 77))
	r.quote(5, rewritten(904, 5))
	for i := range r.packets {
		r.table.Expire(i)
	}
	by := matcher.ByPorts
	same(t, "given up", r.released(), told{2, by}, told{2, by}, told{3, by}, told{5, by})
	all, _ := r.quote(3, rewritten(905, 77))
	same(t, "one more", all, told{3, by})
}
