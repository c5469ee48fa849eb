package path_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// place is where a reply belongs, and why.
type place struct {
	Hop   uint8
	Basis path.Basis
}

// placed is a reply and its place.
type placed struct {
	reply
	place
}

func at(hop uint8, by path.Basis, r reply) placed { return placed{r, place{hop, by}} }

func TestWhichHopAnswered(t *testing.T) {
	tests := map[string]struct {
		replies []placed
		end     uint8
		reached bool
	}{
		"a time-exceeded: the TTL that was sent": {
			replies: []placed{
				at(1, path.BySentTTL, exceeded(1, r1)),
				at(4, path.BySentTTL, exceeded(4, r4)),
			},
		},
		"a time-exceeded whose quoted TTL was restored": {
			replies: []placed{at(4, path.BySentTTL, reply{ttl: 4, from: r4, typ: layers.ICMPv4TypeTimeExceeded, quoted: 4})},
		},
		"a time-exceeded from the target's address is not the end": {
			replies: []placed{
				at(4, path.BySentTTL, exceeded(4, r4)),
				at(5, path.BySentTTL, exceeded(5, target)),
			},
		},
		"the target answers behind a time-exceeded from its address": {
			replies: []placed{
				at(5, path.BySentTTL, exceeded(5, target)),
				at(6, path.ByQuotedTTL, closed(6, 1)),
				at(6, path.ByQuotedTTL, closed(7, 2)),
			},
			end: 6, reached: true,
		},
		"the target's error: sent less quoted": {
			replies: []placed{
				at(7, path.BySentTTL, exceeded(7, r7)),
				at(8, path.ByQuotedTTL, closed(8, 1)),
				at(8, path.ByQuotedTTL, closed(11, 4)),
			},
			end: 8, reached: true,
		},
		"the target answers only a probe sent far beyond it": {
			replies: []placed{
				at(7, path.BySentTTL, exceeded(7, r7)),
				at(8, path.ByQuotedTTL, closed(30, 23)),
			},
			end: 8, reached: true,
		},
		"the target is the first hop": {
			replies: []placed{at(1, path.ByQuotedTTL, closed(1, 1)), at(1, path.ByQuotedTTL, closed(2, 2))},
			end:     1, reached: true,
		},
		"the target's own datagram quotes nothing: the lowest TTL so answered": {
			replies: []placed{
				at(7, path.BySentTTL, exceeded(7, r7)),
				at(8, path.ByLowestTTL, echoed(10)),
				at(8, path.ByLowestTTL, echoed(8)),
				at(8, path.ByLowestTTL, echoed(9)),
			},
			end: 8, reached: true,
		},
		"the target quotes a TTL of 0": {
			replies: []placed{at(8, path.ByLowestTTL, closed(9, 0)), at(8, path.ByLowestTTL, closed(8, 0))},
			end:     8, reached: true,
		},
		"the target quotes a TTL above the sent": {
			replies: []placed{at(8, path.ByLowestTTL, closed(8, 9)), at(8, path.ByLowestTTL, closed(9, 255))},
			end:     8, reached: true,
		},
		"a time-exceeded from the target's address is no lowest TTL of the target": {
			replies: []placed{
				at(5, path.BySentTTL, exceeded(5, target)),
				at(7, path.ByLowestTTL, closed(7, 0)),
				at(7, path.ByLowestTTL, closed(8, 0)),
			},
			end: 7, reached: true,
		},
		"the target quotes 0 once and the truth once": {
			replies: []placed{at(8, path.ByLowestTTL, closed(8, 0)), at(8, path.ByQuotedTTL, closed(9, 2))},
			end:     8, reached: true,
		},
		"the quoted TTL was restored to the sent on the target's way back": {
			replies: []placed{
				at(1, path.BySentTTL, exceeded(1, r1)),
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(4, path.ByLowestTTL, closed(4, 4)),
				at(4, path.ByLowestTTL, closed(5, 5)),
				at(4, path.ByLowestTTL, closed(6, 6)),
			},
			end: 4, reached: true,
		},
		"the target is at one hop: the nearest that it tells of": {
			replies: []placed{
				at(8, path.ByLowestTTL, closed(9, 1)),
				at(8, path.ByQuotedTTL, closed(8, 1)),
				at(8, path.ByQuotedTTL, closed(12, 5)),
				at(8, path.ByLowestTTL, closed(10, 1)),
			},
			end: 8, reached: true,
		},
		"a router that refuses as received: arithmetic": {
			replies: []placed{
				at(1, path.BySentTTL, exceeded(1, r1)),
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(3, path.ByArithmetic, refused(3, 1, r3)),
				at(3, path.ByArithmetic, refused(5, 3, r3)),
			},
			end: 3,
		},
		"a router that refuses and answers only one probe": {
			replies: []placed{
				at(1, path.BySentTTL, exceeded(1, r1)),
				at(2, path.ByArithmetic, refused(5, 4, r2)),
			},
			end: 2,
		},
		"a router that refuses when forwarding: where it answered a time-exceeded": {
			replies: []placed{
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(3, path.BySameAddress, refused(4, 1, r3)),
				at(3, path.BySameAddress, refused(6, 3, r3)),
			},
			end: 3,
		},
		"a router that refuses at the TTL at which it answered a time-exceeded": {
			replies: []placed{
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(3, path.BySameAddress, refused(3, 1, r3)),
			},
			end: 3,
		},
		"a router that answered time-exceededs at several TTLs: the highest": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r3)),
				at(4, path.BySentTTL, exceeded(4, r3)),
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(4, path.BySameAddress, refused(6, 3, r3)),
			},
			end: 4,
		},
		"a router that refuses when forwarding, and nothing else is heard of it: one off": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(4, path.ByArithmetic, refused(5, 2, r3)),
			},
			end: 4,
		},
		"the same address outweighs a quoted TTL of 0": {
			replies: []placed{
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(3, path.BySameAddress, refused(5, 0, r3)),
			},
			end: 3,
		},
		"the same address at a TTL above the sent tells nothing": {
			replies: []placed{
				at(3, path.ByArithmetic, refused(3, 1, r3)),
				at(4, path.BySentTTL, exceeded(4, r3)),
			},
		},
		"a time-exceeded from another address beyond the hop contradicts": {
			replies: []placed{
				at(4, path.BySentTTL, exceeded(4, r4)),
				at(6, path.ByLowestTTL, refused(6, 4, r3)),
				at(6, path.ByLowestTTL, refused(7, 5, r3)),
			},
			end: 6,
		},
		"a time-exceeded from another address at the hop contradicts": {
			replies: []placed{
				at(3, path.BySentTTL, exceeded(3, r4)),
				at(5, path.ByLowestTTL, refused(5, 3, r3)),
			},
			end: 5,
		},
		"a time-exceeded from another address before the hop doesn't": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r4)),
				at(3, path.ByArithmetic, refused(5, 3, r3)),
			},
			end: 3,
		},
		"a router quotes 0 or more than was sent: the lowest TTL that drew it": {
			replies: []placed{
				at(4, path.ByLowestTTL, refused(6, 0, r3)),
				at(4, path.ByLowestTTL, refused(4, 0, r3)),
				at(4, path.ByLowestTTL, refused(5, 6, r3)),
			},
			end: 4,
		},
		"the lowest TTL is each router's own": {
			replies: []placed{
				at(5, path.ByLowestTTL, refused(5, 0, r5)),
				at(7, path.ByLowestTTL, refused(7, 0, r7)),
			},
			end: 5,
		},
		"a restored quote that another hop contradicts": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(3, path.ByLowestTTL, refused(3, 3, r3)),
				at(3, path.ByLowestTTL, refused(4, 4, r3)),
			},
			end: 3,
		},
		"a router that quotes one TTL, whatever was sent: the lowest TTL that drew it": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(4, path.ByLowestTTL, refused(4, 2, r4)),
				at(4, path.ByLowestTTL, refused(5, 2, r4)),
				at(4, path.ByLowestTTL, refused(7, 2, r4)),
			},
			end: 4,
		},
		"a target that quotes one TTL, whatever was sent": {
			replies: []placed{
				at(1, path.BySentTTL, exceeded(1, r1)),
				at(4, path.ByLowestTTL, closed(4, 3)),
				at(4, path.ByLowestTTL, closed(5, 3)),
				at(4, path.ByLowestTTL, closed(6, 3)),
			},
			end: 4, reached: true,
		},
		"a router that quotes the TTL that was sent, and was not drawn by TTL 1": {
			replies: []placed{
				at(3, path.ByLowestTTL, refused(3, 3, r3)),
				at(3, path.ByLowestTTL, refused(5, 5, r3)),
			},
			end: 3,
		},
		"the first router quotes what was sent": {
			replies: []placed{
				at(1, path.ByArithmetic, refused(1, 1, r1)),
				at(1, path.ByArithmetic, refused(2, 2, r1)),
			},
			end: 1,
		},
		"one reply that quotes what was sent": {
			replies: []placed{at(1, path.ByArithmetic, refused(4, 4, r1))},
			end:     1,
		},
		"a refusal that quotes decremented is no farther than the lowest TTL that drew it": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(3, path.ByLowestTTL, refused(3, 0, r3)),
				at(3, path.ByLowestTTL, refused(4, 1, r3)),
				at(3, path.ByLowestTTL, refused(6, 3, r3)),
			},
			end: 3,
		},
		"a refusal isn't final if a router answered from beyond": {
			replies: []placed{
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(3, path.BySameAddress, refused(4, 1, r3)),
				at(5, path.BySentTTL, exceeded(5, r5)),
			},
		},
		"a refusal isn't final if the target answered": {
			replies: []placed{
				at(3, path.BySentTTL, exceeded(3, r3)),
				at(3, path.BySameAddress, refused(4, 1, r3)),
				at(5, path.BySentTTL, exceeded(5, r5)),
				at(8, path.ByQuotedTTL, closed(8, 1)),
			},
			end: 8, reached: true,
		},
		"a parameter problem is a refusal": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(3, path.ByArithmetic, reply{ttl: 4, from: r3, typ: layers.ICMPv4TypeParameterProblem, quoted: 2}),
			},
			end: 3,
		},
		"the target refuses": {
			replies: []placed{
				at(2, path.BySentTTL, exceeded(2, r2)),
				at(3, path.ByQuotedTTL, refused(4, 2, target)),
			},
			end: 3, reached: true,
		},
		"a TTL of 255": {
			replies: []placed{
				at(255, path.ByQuotedTTL, closed(255, 1)),
				at(254, path.BySentTTL, exceeded(254, r4)),
			},
			end: 255, reached: true,
		},
		"a quoted TTL of 255": {
			replies: []placed{at(1, path.ByQuotedTTL, closed(255, 255))},
			end:     1, reached: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// What one reply tells of another doesn't depend on which came first.
			for order, reverse := range map[string]bool{"in order": false, "in reverse": true} {
				replies := slices.Clone(test.replies)
				if reverse {
					slices.Reverse(replies)
				}
				l := newLab(t, path.Parameters{})
				for _, r := range replies {
					l.probe(r.ttl)
				}
				l.pass(10 * ms)
				var want, got []place
				for n, r := range replies {
					l.answer(n, r.reply)
					want = append(want, r.place)
				}
				p := l.finish()
				for _, probe := range p.Probes {
					if probe.Reply == nil {
						t.Fatalf("%s: probe %d is unanswered: %+v", order, probe.Number, p.Counters)
					}
					got = append(got, place{probe.Reply.Hop, probe.Reply.Basis})
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s: -want +got\n%s", order, d)
				}
				if p.End() != test.end || p.Reached() != test.reached {
					t.Errorf("%s: ends at %d, reached %v; want %d, %v", order, p.End(), p.Reached(), test.end, test.reached)
				}
			}
		})
	}
}

// A reply that isn't the first to its probe is placed by the same rules.
func TestFurtherRepliesArePlaced(t *testing.T) {
	l := newLab(t, path.Parameters{})
	third, fifth := l.probe(3), l.probe(5)
	l.pass(ms)
	l.answer(third, exceeded(3, r3))
	l.answer(fifth, exceeded(5, r5))
	l.answer(fifth, refused(5, 2, r3))
	l.answer(fifth, closed(5, 1))
	var got []place
	for _, r := range l.finish().Probes[fifth].Extra {
		got = append(got, place{r.Hop, r.Basis})
	}
	// The target is not at hop 5: a router is.
	want := []place{{3, path.BySameAddress}, {5, path.ByLowestTTL}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A time-exceeded that isn't the first reply to its probe is a copy, or somebody
// else's: it doesn't say where who sent it is.
func TestFurtherTimeExceededsTeachNothing(t *testing.T) {
	l := newLab(t, path.Parameters{})
	first, third := l.probe(1), l.probe(3)
	l.answer(first, exceeded(1, r1))
	l.answer(first, exceeded(1, r2))
	l.answer(third, refused(3, 2, r2))
	r := l.finish().Probes[third].Reply
	if d := cmp.Diff(place{2, path.ByArithmetic}, place{r.Hop, r.Basis}); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// What comes later tells of a further reply too.
func TestFurtherRepliesArePlacedAnew(t *testing.T) {
	l := newLab(t, path.Parameters{})
	second, third := l.probe(2), l.probe(3)
	l.answer(third, refused(3, 1, r2))
	l.answer(third, refused(3, 1, r2))
	l.answer(second, exceeded(2, r2))
	r := l.finish().Probes[third].Extra[0]
	if d := cmp.Diff(place{2, path.BySameAddress}, place{r.Hop, r.Basis}); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// An answer that quotes nothing while several probes are out is somebody's,
// but nobody knows whose: its round trip is not told. Anybody who knows the ports
// can have sent it, so one does not end the path.
func TestAmbiguousAnswer(t *testing.T) {
	l := newLab(t, path.Parameters{})
	for ttl := range uint8(4) {
		l.probe(ttl + 1)
	}
	l.pass(20 * ms)
	l.answer(0, exceeded(1, r1))
	l.answer(0, blank())
	p := l.path
	r := p.Probes[3].Reply
	if r == nil || r.MatchedBy != matcher.Ambiguous || r.HasRTT || r.RTT != 0 {
		t.Fatalf("%+v", r)
	}
	if p.End() != 0 || !p.Reached() || r.Hop != 4 || r.Basis != path.ByLowestTTL {
		t.Errorf("ends at %d, reached %v: %+v", p.End(), p.Reached(), r)
	}

	l.answer(0, blank())
	if p.End() != 3 || p.Probes[3].Reply.Hop != 3 {
		t.Errorf("a nearer probe may have been answered too: ends at %d", p.End())
	}
}

// Where an answer is beyond doubt, those in doubt say nothing of the hop.
func TestAmbiguousAnswerBesideOneThatIsNot(t *testing.T) {
	l := newLab(t, path.Parameters{})
	for ttl := range uint8(4) {
		l.probe(ttl + 1)
	}
	l.pass(20 * ms)
	l.answer(3, echoed(4))
	l.answer(0, blank())
	p := l.path
	if r := p.Probes[2].Reply; r == nil || r.MatchedBy != matcher.Ambiguous || r.Hop != 4 {
		t.Errorf("in doubt: %+v", r)
	}
	if r := p.Probes[3].Reply; r == nil || r.MatchedBy != matcher.ByCookie || r.Hop != 4 || p.End() != 4 {
		t.Errorf("ends at %d: %+v", p.End(), r)
	}
}
