package path_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

func TestAnswerBesideAProbeThatWasNeverSent(t *testing.T) {
	l := newLab(t, path.Parameters{})
	out, never := l.probe(8), l.send(9)
	l.failed(never)
	l.pass(10 * ms)
	l.answer(out, blank())
	p := l.finish()
	if s := p.Probes[never].Status; s != path.Unsent {
		t.Errorf("the probe that was never sent: %v %+v", s, p.Probes[never].Reply)
	}
	if r := p.Probes[out].Reply; r == nil || r.MatchedBy != matcher.Alone || r.RTT != 10*ms {
		t.Errorf("the only probe that was sent: %+v", r)
	}
	if d := cmp.Diff(path.Counters{Sent: 1, Received: 1}, p.Counters); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestCopyOfAProbeThatFailed(t *testing.T) {
	l := newLab(t, path.Parameters{})
	n := l.send(1)
	l.failed(n)
	l.copied(n)
	l.pass(ms)
	l.answer(n, exceeded(1, r1))
	p := l.finish()
	l.balances()
	t.Logf("%+v %+v %v", p.Probes[n], p.Counters, l.told())
}

func TestARefusalBeyondARefusalThatIsNotFinal(t *testing.T) {
	l := newLab(t, path.Parameters{})
	replies := []reply{exceeded(3, r3), refused(4, 1, r3), exceeded(7, r7), refused(8, 1, r8)}
	for _, r := range replies {
		l.probe(r.ttl)
	}
	for n, r := range replies {
		l.answer(n, r)
	}
	if end := l.finish().End(); end != 8 {
		t.Errorf("ends at %d, want 8", end)
	}
}

func TestFurtherReplyCountsAmongTheLowest(t *testing.T) {
	l := newLab(t, path.Parameters{})
	third, fifth := l.probe(3), l.probe(5)
	l.answer(third, exceeded(3, r3))
	l.answer(third, refused(3, 0, r2))
	l.answer(fifth, refused(5, 0, r2))
	p := l.finish()
	if r := p.Probes[third].Extra[0]; r.Hop != 3 {
		t.Errorf("a reply to TTL 3 is from hop %d by %v", r.Hop, r.Basis)
	}
}

func TestHopBeforeTheFirstTTLIsTold(t *testing.T) {
	l := newLab(t, path.Parameters{FirstTTL: 3, Queries: 2})
	a, b := l.probe(3), l.probe(3)
	l.answer(a, refused(3, 2, r2))
	l.answer(b, closed(3, 1))
	l.finish()
	if d := cmp.Diff([]string{"start", "probe 3", "probe 3", "reply 3", "reply 3", "hop 3", "hop 2", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestFailedAfterTheWait(t *testing.T) {
	l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second}})
	n := l.send(1)
	l.pass(2 * time.Second) // also the grace of a probe of which no copy was seen
	l.watermark()
	if d := cmp.Diff([]string{"start", "timeout 1"}, l.told()); d != "" {
		t.Errorf("before: -want +got\n%s", d)
	}
	l.failed(n)
	l.finish()
	if d := cmp.Diff([]string{"start", "timeout 1", "hop 1", "end"}, l.told()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestTimeoutBeforeItLeft(t *testing.T) {
	l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second}})
	n := l.send(1)
	l.pass(time.Second + 1)
	l.copied(n)
	l.pass(ms)
	l.answer(n, exceeded(1, r1))
	p := l.finish()
	t.Logf("%+v %+v %v", p.Probes[n], p.Probes[n].Reply, l.told())
	if p.Probes[n].Status != path.Replied {
		t.Errorf("status %v", p.Probes[n].Status)
	}
}

func TestADuplicateStandsWhereTheFirstReplyDoes(t *testing.T) {
	l := newLab(t, path.Parameters{})
	a, b := l.probe(8), l.probe(9)
	l.answer(a, closed(8, 1))
	l.answer(b, closed(9, 1))
	l.answer(b, closed(9, 1))
	p := l.finish()
	if first, again := p.Probes[b].Reply, p.Probes[b].Extra[0]; first.Hop != again.Hop || first.Basis != again.Basis {
		t.Errorf("first at hop %d by %v, its duplicate at hop %d by %v", first.Hop, first.Basis, again.Hop, again.Basis)
	}
}
