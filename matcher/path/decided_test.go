package path_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// hops lists the hops that were told, in the order of telling.
func (l *lab) hops() (all []path.Hop) {
	for _, e := range l.events {
		if e.Kind == path.Decided {
			all = append(all, e.Hop)
		}
	}
	return all
}

func TestHopsAreToldInOrder(t *testing.T) {
	tests := map[string]struct {
		parameters path.Parameters
		run        func(*lab)
		want       []string
	}{
		"each waits for those before it": {
			run: func(l *lab) {
				a, b, c := l.probe(1), l.probe(2), l.probe(3)
				l.answer(c, exceeded(3, r3))
				l.answer(a, exceeded(1, r1))
				l.answer(b, exceeded(2, r2))
			},
			want: []string{"probe 1", "probe 2", "probe 3", "reply 3", "reply 1", "hop 1", "reply 2", "hop 2", "hop 3", "end"},
		},
		"none before it is known what became of a probe beyond": {
			run: func(l *lab) {
				a, b := l.probe(1), l.probe(2)
				l.answer(a, exceeded(1, r1))
				l.answer(b, exceeded(2, r2))
			},
			want: []string{"probe 1", "probe 2", "reply 1", "reply 2", "hop 1", "hop 2", "end"},
		},
		"nothing is beyond the last TTL": {
			parameters: path.Parameters{MaxTTL: 2},
			run: func(l *lab) {
				b, a := l.probe(2), l.probe(1)
				l.answer(b, exceeded(2, r2))
				l.answer(a, exceeded(1, r1))
				l.probe(1)
			},
			want: []string{"probe 2", "probe 1", "reply 2", "reply 1", "hop 1", "hop 2", "probe 1", "end"},
		},
		"each waits for all its queries": {
			parameters: path.Parameters{Queries: 2},
			run: func(l *lab) {
				a, b, c := l.probe(1), l.probe(1), l.probe(2)
				l.answer(a, exceeded(1, r1))
				l.answer(c, exceeded(2, r2))
				l.answer(b, exceeded(1, r1))
			},
			want: []string{"probe 1", "probe 1", "probe 2", "reply 1", "reply 2", "reply 1", "hop 1", "hop 2", "end"},
		},
		"silence decides too": {
			run: func(l *lab) {
				l.probe(1)
				b := l.probe(2)
				l.answer(b, exceeded(2, r2))
				l.pass(time.Minute)
				l.watermark()
			},
			want: []string{"probe 1", "probe 2", "reply 2", "timeout 1", "hop 1", "hop 2", "end"},
		},
		"a probe that never left decides too": {
			run: func(l *lab) {
				l.answer(l.probe(1), exceeded(1, r1))
				l.failed(l.send(2))
				l.answer(l.probe(3), exceeded(3, r3))
			},
			want: []string{"probe 1", "reply 1", "timeout 2", "hop 1", "probe 3", "reply 3", "hop 2", "hop 3", "end"},
		},
		"probes are given up in the order of sending, each with its hop": {
			run: func(l *lab) {
				l.probe(2)
				l.probe(1)
				l.probe(3)
				l.pass(time.Minute)
				l.watermark()
			},
			want: []string{"probe 2", "probe 1", "probe 3", "timeout 2", "timeout 1", "hop 1", "timeout 3", "hop 2", "hop 3", "end"},
		},
		"a duplicate is no outcome": {
			parameters: path.Parameters{Queries: 2},
			run: func(l *lab) {
				a := l.probe(1)
				l.answer(a, exceeded(1, r1))
				l.answer(a, exceeded(1, r1))
			},
			want: []string{"probe 1", "reply 1", "reply 1", "hop 1", "end"},
		},
		"a late reply is no second outcome": {
			parameters: path.Parameters{Queries: 2},
			run: func(l *lab) {
				a := l.probe(1)
				l.pass(time.Minute)
				l.watermark()
				l.answer(a, exceeded(1, r1))
				l.probe(1)
			},
			want: []string{"probe 1", "timeout 1", "reply 1", "probe 1", "hop 1", "end"},
		},
		"nothing is told beyond the end": {
			run: func(l *lab) {
				a, b := l.probe(1), l.probe(2)
				l.probe(3)
				l.answer(a, exceeded(1, r1))
				l.answer(b, closed(2, 1))
				l.pass(time.Minute)
				l.watermark()
			},
			want: []string{"probe 1", "probe 2", "probe 3", "reply 1", "reply 2", "hop 1", "hop 2", "timeout 3", "end"},
		},
		"the end is told once, however much it answers": {
			run: func(l *lab) {
				a, b, c := l.probe(1), l.probe(2), l.probe(3)
				l.answer(a, exceeded(1, r1))
				l.answer(b, closed(2, 1))
				l.answer(c, closed(3, 2))
			},
			want: []string{"probe 1", "probe 2", "probe 3", "reply 1", "reply 2", "hop 1", "hop 2", "reply 3", "end"},
		},
		"an end that was not asked for all queries is told when the trace ends": {
			parameters: path.Parameters{Queries: 2},
			run: func(l *lab) {
				a, b := l.probe(1), l.probe(2)
				l.answer(a, closed(1, 1))
				l.answer(b, closed(2, 2))
			},
			want: []string{"probe 1", "probe 2", "reply 1", "reply 2", "hop 1", "end"},
		},
		"a search for the MTU takes more than all queries": {
			parameters: path.Parameters{MTU: true},
			run: func(l *lab) {
				a, b, c := l.probe(1), l.probe(1), l.probe(2)
				l.answer(a, exceeded(1, r1))
				l.answer(c, closed(2, 1))
				l.answer(b, exceeded(1, r1))
				l.answer(l.probe(2), closed(2, 1))
			},
			want: []string{"probe 1", "probe 1", "probe 2", "reply 1", "reply 2", "reply 1", "hop 1", "probe 2", "reply 2", "hop 2", "end"},
		},
		"beyond a refusal that isn't final": {
			run: func(l *lab) {
				a, b, c := l.probe(1), l.probe(2), l.probe(3)
				l.answer(a, refused(1, 1, r1))
				l.answer(c, exceeded(3, r3))
				l.answer(b, exceeded(2, r2))
			},
			want: []string{"probe 1", "probe 2", "probe 3", "reply 1", "hop 1", "reply 3", "reply 2", "hop 2", "hop 3", "end"},
		},
		"an end before the first TTL": {
			parameters: path.Parameters{FirstTTL: 5},
			run: func(l *lab) {
				a, b := l.probe(5), l.probe(6)
				l.answer(a, refused(5, 4, r2))
				l.answer(b, refused(6, 5, r2))
			},
			want: []string{"probe 5", "probe 6", "reply 5", "reply 6", "hop 2", "end"},
		},
		"up to TTL 255": {
			parameters: path.Parameters{FirstTTL: 254, MaxTTL: 255},
			run: func(l *lab) {
				a := l.probe(254)
				l.probe(255)
				l.answer(a, exceeded(254, r1))
				l.pass(time.Minute)
				l.watermark()
				l.watermark()
			},
			want: []string{"probe 254", "probe 255", "reply 254", "timeout 255", "hop 254", "hop 255", "end"},
		},
		"an end at TTL 255": {
			parameters: path.Parameters{FirstTTL: 255, MaxTTL: 255},
			run:        func(l *lab) { l.answer(l.probe(255), closed(255, 1)) },
			want:       []string{"probe 255", "reply 255", "hop 255", "end"},
		},
		"a late reply makes a hop the end that was told already": {
			run: func(l *lab) {
				a, b := l.probe(1), l.probe(2)
				l.probe(3)
				l.answer(a, exceeded(1, r1))
				l.pass(time.Minute)
				l.watermark()
				l.answer(b, closed(2, 1))
			},
			want: []string{
				"probe 1", "probe 2", "probe 3", "reply 1", "timeout 2", "hop 1", "timeout 3", "hop 2", "reply 2", "end",
			},
		},
		"a late reply from the end that was told as such": {
			parameters: path.Parameters{Queries: 2},
			run: func(l *lab) {
				a, b := l.probe(1), l.probe(1)
				l.answer(a, closed(1, 1))
				l.pass(time.Minute)
				l.watermark()
				l.answer(b, closed(1, 1))
			},
			want: []string{"probe 1", "probe 1", "reply 1", "timeout 1", "hop 1", "reply 1", "end"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, test.parameters)
			test.run(l)
			l.finish()
			if d := cmp.Diff(append([]string{"start"}, test.want...), l.told()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// A router that lets nothing pass answers probes sent to it with time-exceededs,
// and those sent beyond with a refusal: its line has to show that.
func TestAHopThatLetsNothingPassIsToldWithItsRefusal(t *testing.T) {
	l := newLab(t, path.Parameters{})
	own, beyond := l.probe(1), l.probe(2)
	l.answer(own, exceeded(1, r1))
	l.answer(beyond, refused(2, 1, r1))
	p := l.path
	want := []path.Hop{{TTL: 1, Probes: []path.Probe{p.Probes[own], p.Probes[beyond]}}}
	if d := cmp.Diff(want, l.hops(), equal); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A hop is told once: what comes later is in its own event, and in the Path.
func TestAHopIsToldOnce(t *testing.T) {
	l := newLab(t, path.Parameters{})
	early := l.probe(1)
	l.probe(2)
	l.pass(time.Minute)
	l.watermark()
	l.answer(early, closed(1, 1))
	p := l.finish()
	silent := p.Probes[early]
	silent.Status, silent.Reply = path.Timeout, nil
	if d := cmp.Diff([]path.Hop{{TTL: 1, Probes: []path.Probe{silent}}}, l.hops(), equal); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if p.End() != 1 || len(p.Hop(1).Probes) != 2 {
		t.Errorf("ends at %d: %s", p.End(), standing(p.Hops()))
	}
}

// While the target's answers may be to other probes than it seems, it is asked
// again, so its hop isn't told; but it is in the end.
func TestADoubtfulEndIsToldOnce(t *testing.T) {
	l := newLab(t, path.Parameters{})
	first := l.probe(1)
	l.answer(first, exceeded(1, r1))
	l.probe(2)
	l.probe(3)
	l.pass(10 * ms)
	l.answer(first, blank())
	l.answer(first, blank())
	if d := cmp.Diff("1: 0", standing(l.hops())); d != "" {
		t.Fatalf("told in doubt: -want +got\n%s", d)
	}
	again := l.probe(2)
	l.pass(10 * ms)
	l.answer(again, blank())
	p := l.finish()
	if r := p.Probes[again].Reply; r == nil || r.MatchedBy != matcher.Alone || r.RTT != 10*ms {
		t.Errorf("asked alone: %+v", r)
	}
	if d := cmp.Diff("1: 0, 2: 1 2 3", standing(l.hops())); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
