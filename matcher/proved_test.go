package matcher_test

import (
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// whole shows an ICMP error that quotes all of a probe, changed, and returns what is
// told of those that were held.
func (r *run) whole(probe int, change func(q []byte)) []told {
	r.t.Helper()
	q := append([]byte(nil), r.packets[probe]...)
	change(q)
	m, err := r.match(icmpError(router, 11, 0, q, len(q)), frame.In)
	if err != nil || m.Probe != probe || m.Reply.MatchedBy != matcher.ByCookie {
		r.t.Fatalf("probe %d: %+v, %v", probe, m, err)
	}
	return r.released()
}

// The cookie in one quote proves by what constant the path shifts checksums.
func TestACookieProvesATranslation(t *testing.T) {
	r := newRun(t, 20)
	r.quote(7, shifted(0xa4f6))
	same(t, "proved", r.whole(3, shifted(0xa4f6)), told{7, matcher.ByTranslation})
	all, _ := r.quote(9, shifted(0xa4f6))
	same(t, "one more", all, told{9, matcher.ByTranslation})
	if all, _ := r.quote(10, shifted(0xa4f7)); len(all) > 0 {
		t.Errorf("another constant: %v", all)
	}
}

// Where each probe has ports of its own, a translator may have a constant for each.
func TestTwoCookiesProveATranslationOfManyFlows(t *testing.T) {
	r := classic(t, 20)
	r.quote(7, shifted(0xa4f6))
	for _, by := range []uint32{0xa4f6, 0x0101} {
		same(t, "the first", r.whole(3, shifted(by)))
	}
	same(t, "the second", r.whole(5, shifted(0xa4f6)), told{7, matcher.ByTranslation})
}

// Of a flow of which cookies show that all but the ports is rewritten, less than three
// quotes without a cookie are enough.
func TestCookiesThatShowThatPortsTell(t *testing.T) {
	r := classic(t, 10)
	r.whole(2, func(q []byte) { rewritten(900, 1)(q) })
	r.whole(3, func(q []byte) { rewritten(40, 77)(q) })
	r.quote(5, rewritten(904, 5))
	r.table.Expire(5)
	same(t, "given up", r.released(), told{5, matcher.ByPorts})
}

// A quote that agrees in two of three with two probes is of the one that makes it show
// what other quotes show.
func TestANewIDThatIsAnotherProbes(t *testing.T) {
	renumbered := func(q []byte) { set16(q, atID, 0xbeef) }
	two, by := matcher.ByTwo, matcher.ByTranslation
	for name, test := range map[string]struct {
		others func(r *run) []told
		want   []told
	}{
		"another is renumbered": {
			func(r *run) []told { all, _ := r.quote(3, renumbered); return all }, []told{{7, two}},
		},
		"a cookie proves it": {func(r *run) []told { return r.whole(3, renumbered) }, []told{{7, two}}},
		"three others are": {
			func(r *run) []told {
				r.quote(2, renumbered)
				r.quote(3, renumbered)
				all, _ := r.quote(4, renumbered)
				return all
			},
			[]told{{7, by}, {2, by}, {3, by}, {4, by}},
		},
		"another has another checksum": {
			func(r *run) []told { all, _ := r.quote(3, checksumOff); return all }, []told{{9, two}},
		},
		"nothing else shows it": {func(*run) []told { return nil }, nil},
		"others show one and the other": {
			func(r *run) []told { r.quote(3, checksumOff); all, _ := r.quote(4, renumbered); return all }, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, 20)
			if _, held := r.quote(7, func(q []byte) { set16(q, atID, r.keys[9].ID) }); !held {
				t.Fatal("it is not held")
			}
			got := test.others(r)
			for _, probe := range []int{7, 9} {
				r.table.Expire(probe)
			}
			same(t, name, append(got, r.released()...), test.want...)
		})
	}
}

// A trace of many ports behind a translator is no flood, until one quote differs from
// another of its probe.
func TestPortsThatEachTellOnceAreNoFlood(t *testing.T) {
	for _, differ := range []bool{false, true} {
		r := classic(t, 40)
		for i := range r.packets {
			r.quote(i, rewritten(uint16(900+7*i), uint16(i*i)))
		}
		if differ {
			r.quote(5, rewritten(77, 4711))
		}
		for i := range r.packets {
			r.table.Expire(i)
		}
		want := 40
		if differ {
			want = 0
		}
		if all := r.released(); len(all) != want || r.table.Flooded() {
			t.Errorf("two of one probe %v: %d told, flooded %v", differ, len(all), r.table.Flooded())
		}
	}
}

// Where somebody is seen guessing ports, those that are right tell nothing.
func TestGuessedPortsTellNothing(t *testing.T) {
	r := classic(t, 10)
	for i := range 1000 {
		q := append([]byte(nil), r.packets[1]...)
		set16(q, atSrcPort, uint16(50000+i))
		if _, err := r.match(icmpError(router, 11, 0, q, 28), frame.In); err == nil {
			t.Fatal("a guess is accepted")
		}
		r.table.Stray(&r.message)
	}
	for _, probe := range []int{2, 3, 5} {
		r.quote(probe, rewritten(uint16(900*probe), 1))
		r.table.Expire(probe)
	}
	same(t, "given up", r.released())
}

// Where another constant happens to fit two of three quotes, the one that fits all is
// confirmed; not in a capture, where checksums may follow each other.
func TestAConstantThatMoreAgreeOn(t *testing.T) {
	for _, captured := range []bool{false, true} {
		var table matcher.Run
		if captured {
			table.Captured()
		}
		key := craft.Key{Dst: target, SrcPort: 40000, DstPort: 33434, Protocol: layers.IPProtocolUDP}
		for i, checksum := range []uint32{1000, 5000, 20000, 900, 19900} {
			key.ID, key.Token = uint16(100+i), checksum
			table.Sent(&key, uint8(i+1), start)
		}
		r := newRun(t, 1)
		for _, checksum := range []uint16{1007, 5007, 20007} {
			q := append([]byte(nil), r.packets[0]...)
			rewritten(0, checksum)(q)
			f := frame.Frame{Time: r.later(), Link: frame.Raw, Data: icmpError(router, 11, 0, q, 28)}
			var m matcher.Message
			if err := m.ReadOwn(&f); err != nil {
				t.Fatal(err)
			}
			table.Hold(&m, true)
		}
		n := 0
		for _, ok := table.Released(); ok; _, ok = table.Released() {
			n++
		}
		if want := map[bool]int{false: 3, true: 0}[captured]; n != want {
			t.Errorf("captured %v: %d are told", captured, n)
		}
	}
}
