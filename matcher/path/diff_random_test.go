package path_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/path"
)

// mirrored checks that the other way round the same has changed back.
func mirrored(t testing.TB, a, b *path.Path, o *path.DiffOptions) {
	t.Helper()
	opposite := map[path.ChangeKind]path.ChangeKind{
		path.HopAdded: path.HopRemoved, path.HopRemoved: path.HopAdded,
		path.HopSilent: path.HopAnswers, path.HopAnswers: path.HopSilent,
		path.ResponderNew: path.ResponderGone, path.ResponderGone: path.ResponderNew,
	}
	back := path.Diff(b, a, o)
	for i, c := range back {
		if kind, ok := opposite[c.Kind]; ok {
			back[i].Kind = kind
		}
		back[i].HopA, back[i].HopB, back[i].LastA, back[i].LastB = c.HopB, c.HopA, c.LastB, c.LastA
		back[i].Before, back[i].After, back[i].Shift = c.After, c.Before, -c.Shift
	}
	there := path.Diff(a, b, o)
	byText := func(x, y path.Change) int {
		return strings.Compare(x.Kind.String()+x.String(), y.Kind.String()+y.String())
	}
	slices.SortFunc(there, byText)
	slices.SortFunc(back, byText)
	if d := cmp.Diff(there, back); d != "" {
		t.Errorf("-there +back, mirrored\n%s", d)
	}
}

// Whatever two traces found, they can be compared, either way round with the
// same outcome, and neither is changed by it.
func TestDiffOfRandomTraces(t *testing.T) {
	found := map[path.ChangeKind]int{}
	before := randomTrace(t, 0).finish()
	for seed := range uint64(150) {
		p := randomTrace(t, seed).finish()
		for _, q := range []*path.Path{before, disturbed(p, seed)} {
			mirrored(t, q, p, nil)
			for _, c := range path.Diff(q, p, nil) {
				found[c.Kind]++
				if c.LastA < c.HopA || c.LastB < c.HopB || c.Before == c.After && c.Kind != path.HopMoved {
					t.Errorf("seed %d: %+v", seed, c)
				}
			}
		}
		if d := path.Diff(p, p, nil); len(d) > 0 {
			t.Errorf("seed %d: a path differs from itself:\n%v", seed, d)
		}
		before = p
	}
	for _, kind := range []path.ChangeKind{
		path.ChangedReached, path.ChangedLength, path.HopAdded, path.HopReplaced,
		path.ResponderNew, path.HopSilent, path.ChangedReply, path.ChangedRTT, path.ChangedReplyTTL, path.ChangedQuotedTOS,
	} {
		if found[kind] < 5 {
			t.Errorf("%v was found %d times only", kind, found[kind])
		}
	}
}

// disturbed is a copy of p of which some replies were lost, are other routers',
// or were changed.
func disturbed(p *path.Path, seed uint64) *path.Path {
	random := rand.New(rand.NewPCG(seed, 1))
	q := *p
	q.Probes = slices.Clone(p.Probes)
	for i := range q.Probes {
		probe := &q.Probes[i]
		if probe.Reply == nil {
			continue
		}
		r := *probe.Reply
		switch random.IntN(8) {
		case 0:
			probe.Status, probe.Reply, probe.Extra = path.Timeout, nil, nil
			continue
		case 1:
			r.From = netip.MustParseAddr(r9)
		case 2:
			r.Quoted.TOS = 4
		case 3:
			r.TTL -= 3
		case 4:
			r.Hop = max(1, r.Hop-1)
		case 5:
			r.RTT *= 3
		}
		probe.Reply = &r
	}
	return &q
}
