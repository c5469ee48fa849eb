package path_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher/path"
)

// heard has a probe to a TTL answered after a round trip.
func (l *lab) heard(ttl uint8, rtt time.Duration) {
	l.Helper()
	n := l.probe(ttl)
	l.pass(rtt)
	l.answer(n, exceeded(ttl, r1))
	if p := l.path.Probes[n]; p.Status != path.Replied {
		l.Fatalf("TTL %d: %v", ttl, p.Status)
	}
}

func TestHowLongAReplyIsWaitedFor(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		wait   path.Wait
		before func(*lab)
		ttl    uint8
		want   time.Duration
	}{
		"nothing is known: Max":                   {wait: path.Wait{Max: 5 * s, Here: 3, Near: 10}, ttl: 4, want: 5 * s},
		"Here times the TTL's round trip":         {wait: path.Wait{Max: 5 * s, Here: 3}, before: func(l *lab) { l.heard(4, 400*ms) }, ttl: 4, want: 1200 * ms},
		"a fraction of it":                        {wait: path.Wait{Max: 5 * s, Here: 1.5}, before: func(l *lab) { l.heard(4, 401*ms) }, ttl: 4, want: 601*ms + 500*time.Microsecond},
		"the latest of its round trips":           {wait: path.Wait{Max: 5 * s, Here: 3}, before: func(l *lab) { l.heard(4, 400*ms); l.heard(4, 300*ms) }, ttl: 4, want: 900 * ms},
		"not less than MinWait":                   {wait: path.Wait{Max: 5 * s, Here: 3}, before: func(l *lab) { l.heard(4, ms) }, ttl: 4, want: path.MinWait},
		"unless Max is":                           {wait: path.Wait{Max: 200 * ms, Here: 3}, before: func(l *lab) { l.heard(4, ms) }, ttl: 4, want: 200 * ms},
		"not more than Max":                       {wait: path.Wait{Max: s, Here: 3}, before: func(l *lab) { l.heard(4, 900*ms) }, ttl: 4, want: s},
		"another TTL's round trip doesn't count":  {wait: path.Wait{Max: 5 * s, Here: 3}, before: func(l *lab) { l.heard(5, 400*ms); l.heard(3, 400*ms) }, ttl: 4, want: 5 * s},
		"a factor of 0 doesn't count":             {wait: path.Wait{Max: 5 * s}, before: func(l *lab) { l.heard(5, ms); l.heard(4, ms) }, ttl: 4, want: 5 * s},
		"Near times the next TTL's":               {wait: path.Wait{Max: 5 * s, Here: 3, Near: 10}, before: func(l *lab) { l.heard(5, 70*ms) }, ttl: 4, want: 700 * ms},
		"the next TTL that answered":              {wait: path.Wait{Max: 5 * s, Here: 3, Near: 10}, before: func(l *lab) { l.heard(9, 100*ms); l.heard(7, 70*ms) }, ttl: 4, want: 700 * ms},
		"Near, from the farthest TTL there is":    {wait: path.Wait{Max: 5 * s, Near: 10}, before: func(l *lab) { l.heard(255, 70*ms) }, ttl: 1, want: 700 * ms},
		"Near is at least MinWait too":            {wait: path.Wait{Max: 5 * s, Near: 10}, before: func(l *lab) { l.heard(5, ms) }, ttl: 4, want: path.MinWait},
		"Near is at most Max too":                 {wait: path.Wait{Max: s, Near: 10}, before: func(l *lab) { l.heard(5, 900*ms) }, ttl: 4, want: s},
		"a TTL that answered before it":           {wait: path.Wait{Max: 5 * s, Near: 10}, before: func(l *lab) { l.heard(3, 70*ms) }, ttl: 4, want: 5 * s},
		"Near, where Here is 0":                   {wait: path.Wait{Max: 5 * s, Near: 10}, before: func(l *lab) { l.heard(4, 70*ms); l.heard(5, 80*ms) }, ttl: 4, want: 800 * ms},
		"the last TTL has none beyond":            {wait: path.Wait{Max: 5 * s, Near: 10}, before: func(l *lab) { l.heard(254, 70*ms) }, ttl: 255, want: 5 * s},
		"a late reply's round trip doesn't count": {wait: path.Wait{Max: 5 * s, Here: 0.2}, before: late, ttl: 4, want: 5 * s},
		"nor does that of an answer in doubt":     {wait: path.Wait{Max: 5 * s, Here: 3}, before: doubtful, ttl: 4, want: 5 * s},
		"nor does that of a duplicate": {wait: path.Wait{Max: 5 * s, Here: 3}, before: func(l *lab) {
			l.heard(4, 300*ms)
			l.pass(100 * ms)
			l.answer(0, exceeded(4, r4))
		}, ttl: 4, want: 900 * ms},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, path.Parameters{MaxTTL: 255, Queries: 9, Wait: test.wait})
			if test.before != nil {
				test.before(l)
			}
			n := l.probe(test.ttl)
			l.pass(test.want)
			l.watermark()
			if s := l.path.Probes[n].Status; s != path.Outstanding {
				t.Fatalf("%v after less than %v", s, test.want)
			}
			l.pass(1)
			l.watermark()
			if s := l.path.Probes[n].Status; s != path.Timeout {
				t.Errorf("not given up after %v", test.want)
			}
			l.heard(test.ttl, ms) // what is learnt later changes nothing
			if got := l.path.Waits().Of(n); got != test.want {
				t.Errorf("the path says %v, want %v", got, test.want)
			}
		})
	}
}

// late has TTL 4 answered after the wait was over.
func late(l *lab) {
	n := l.probe(4)
	l.pass(l.path.Parameters.Wait.Max + 1)
	l.answer(n, exceeded(4, r4))
}

// doubtful has TTLs 3 and 4 answered, nobody knows which is which.
func doubtful(l *lab) {
	l.probe(3)
	l.probe(4)
	l.pass(300 * ms)
	l.answer(0, blank())
	l.answer(0, blank())
}

// The wait is for a reply's stamp, by a promise that nothing stamped earlier is
// to come. Anything that is stamped is such a promise; time alone is not.
func TestOnlyStampsEndTheWait(t *testing.T) {
	tests := map[string]struct {
		show func(l *lab, n int)
		want path.Status
	}{
		"time passes":                  {show: func(*lab, int) {}, want: path.Outstanding},
		"another probe is sent":        {show: func(l *lab, _ int) { l.send(9) }, want: path.Outstanding},
		"a watermark":                  {show: func(l *lab, _ int) { l.watermark() }, want: path.Timeout},
		"another probe's copy":         {show: func(l *lab, _ int) { l.copied(l.send(9)) }, want: path.Timeout},
		"another probe's reply":        {show: func(l *lab, _ int) { l.answer(l.send(9), exceeded(9, r8)) }, want: path.Timeout},
		"somebody else's frame":        {show: func(l *lab, _ int) { l.observe([]byte{0x45}, 0) }, want: path.Timeout},
		"the reply itself, now late":   {show: func(l *lab, n int) { l.answer(n, exceeded(2, r2)) }, want: path.Late},
		"the reply just in time":       {show: func(l *lab, n int) { l.pass(-1); l.answer(n, exceeded(2, r2)) }, want: path.Replied},
		"the end of a trace":           {show: func(l *lab, _ int) { l.finish() }, want: path.Abandoned},
		"the system refuses another":   {show: func(l *lab, _ int) { l.failed(l.send(9)) }, want: path.Outstanding},
		"a watermark of the deadline":  {show: func(l *lab, _ int) { l.pass(-1); l.watermark() }, want: path.Outstanding},
		"a reply to it, and watermark": {show: func(l *lab, n int) { l.pass(-1); l.answer(n, exceeded(2, r2)); l.pass(ms); l.watermark() }, want: path.Replied},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second}})
			n := l.probe(2)
			l.pass(time.Second + 1)
			test.show(l, n)
			if got := l.path.Probes[n].Status; got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// The wait begins with the kernel's stamp, once that is known; before, the
// probe has a tenth of a second more to leave.
func TestTheWaitBeginsWhenTheProbeLeft(t *testing.T) {
	l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second}})
	copied, called := l.send(1), l.send(2)
	l.pass(300 * ms)
	l.copied(copied)
	l.pass(800*ms + 1)
	l.watermark()
	status := func() []path.Status {
		p := l.path.Probes
		return []path.Status{p[copied].Status, p[called].Status}
	}
	if d := cmp.Diff([]path.Status{path.Outstanding, path.Timeout}, status()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	l.pass(300 * ms)
	l.watermark()
	if d := cmp.Diff([]path.Status{path.Timeout, path.Timeout}, status()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A probe that is out already is waited for no longer than what is learnt
// meanwhile allows.
func TestTheWaitShortensWhileAProbeIsOut(t *testing.T) {
	l := newLab(t, path.Parameters{Queries: 2, Wait: path.Wait{Max: 5 * time.Second, Here: 3, Near: 10}})
	first := l.probe(1)
	l.pass(400 * ms)
	l.heard(2, 20*ms)
	l.pass(path.MinWait - 420*ms)
	l.watermark()
	if s := l.path.Probes[first].Status; s != path.Outstanding {
		t.Fatalf("%v, too early", s)
	}
	l.pass(1)
	l.watermark()
	if s := l.path.Probes[first].Status; s != path.Timeout {
		t.Errorf("%v, %v after it was sent", s, l.now.Sub(start))
	}
}

// Setting the wall clock moves neither what is waited for nor, where it is
// noticed in time, a round trip.
func TestClockStep(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, path.Parameters{Wait: path.Wait{Max: time.Second}})
			if l.path.Clock.Stepped {
				t.Fatal("stepped before it was")
			}
			copied, called, lost := l.probe(1), l.send(2), l.probe(3)
			l.pass(100 * ms)
			l.step(by)
			after, straddling := l.probe(4), l.send(5)
			l.pass(50 * ms)
			l.answer(copied, exceeded(1, r1))
			l.answer(called, exceeded(2, r2))
			l.answer(after, exceeded(4, r4))
			l.copied(straddling)
			l.pass(50 * ms)
			l.answer(straddling, exceeded(5, r5))

			p := l.path
			if !p.Clock.Stepped {
				t.Error("not said to have been stepped")
			}
			for n, want := range map[int]time.Duration{copied: 150 * ms, called: 150 * ms, after: 50 * ms, straddling: 50 * ms} {
				if r := p.Probes[n].Reply; r == nil || r.RTT != want || p.Probes[n].Status != path.Replied {
					t.Errorf("probe %d: %+v, want a round trip of %v", n, r, want)
				}
			}

			l.pass(800 * ms)
			l.watermark()
			if s := p.Probes[lost].Status; s != path.Outstanding {
				t.Errorf("%v a second after it was sent, before the wait is over", s)
			}
			l.pass(1)
			l.watermark()
			if s := p.Probes[lost].Status; s != path.Timeout {
				t.Errorf("%v after the wait", s)
			}
		})
	}
}

// Steps add up, and a probe's copy that is captured after them needs no
// correction.
func TestClockStepsAddUp(t *testing.T) {
	l := newLab(t, path.Parameters{})
	kernel, user := l.send(1), l.send(2)
	l.step(time.Hour)
	l.step(-20 * time.Minute)
	l.copied(kernel)
	l.pass(30 * ms)
	l.answer(kernel, exceeded(1, r1))
	l.answer(user, exceeded(2, r2))
	for n, probe := range l.path.Probes {
		if probe.Reply == nil || probe.Reply.RTT != 30*ms {
			t.Errorf("probe %d: %+v", n, probe.Reply)
		}
	}
}

// A step while nothing is out is worth telling all the same.
func TestClockStepBetweenProbes(t *testing.T) {
	l := newLab(t, path.Parameters{})
	l.heard(1, 5*ms)
	l.step(-time.Hour)
	l.heard(2, 5*ms)
	p := l.path
	if !p.Clock.Stepped || p.Probes[1].Reply.RTT != 5*ms {
		t.Errorf("%+v %+v", p.Clock, p.Probes[1].Reply)
	}
}
