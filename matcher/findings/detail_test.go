package findings_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// What findings say of ways back: which way is longer, and by how many routers.
func TestDetailsOfWaysBack(t *testing.T) {
	direct := func(s sketch) {
		s.at(end, end, func(p *path.Probe) {
			p.Reply.Kind, p.Reply.Basis, p.Reply.Quoted = matcher.UDP, path.ByLowestTTL, matcher.Quote{}
		})
	}
	for name, test := range map[string]struct {
		do   func(sketch)
		want string
	}{
		"longer": {back(4, end, 5), "The way back from hop 4 on is longer than the way there, by 5 routers; or a tunnel hides them on the way there."},
		"by different numbers": {
			both(back(4, end, 2), back(6, 7, 2), back(8, 8, 1)),
			"The way back from hop 4 on is longer than the way there, by 2 to 4 routers; or a tunnel hides them on the way there.",
		},
		"shorter": {back(5, end, -3), "The way back from hop 5 on is shorter than the way there, by 3 routers."},
		"of one":  {back(4, 4, 3), "Replies of 10.0.4.1 come back a way that is longer than the way there, by 3 routers."},
		"of one, shorter": {
			back(6, 6, -3), "Replies of 10.0.6.1 come back a way that is shorter than the way there, by 3 routers.",
		},
		"of a target that quotes": {
			back(end, end, 3), "Replies of 198.51.100.1 come back a way that is longer than the way there, by 3 routers.",
		},
		"of a target that doesn't": {
			both(back(end, end, 3), direct),
			"Replies of 198.51.100.1, the destination, come back a way that is longer than the way there, by 3 routers; or something before it raises the TTL of probes, and hops are hidden.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := clean(3)
			test.do(s)
			var details []string
			for _, f := range findings.Of(s.Path) {
				if f.Kind == findings.Asymmetry {
					details = append(details, f.Detail)
				}
			}
			if d := cmp.Diff([]string{test.want}, details); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// A rise is latency from 30 ms on, if it is half of the whole or more.
func TestLeastLatency(t *testing.T) {
	takes := func(from int, rtt time.Duration) func(sketch) {
		return func(s sketch) { s.at(from, end, func(p *path.Probe) { p.Reply.RTT = rtt }) }
	}
	for name, test := range map[string]change{
		"30 ms":          {do: takes(5, 31*ms), want: []string{"latency 4-5 likely"}},
		"less":           {do: takes(5, 31*ms-1)},
		"half":           {do: both(takes(1, 20*ms), takes(3, 40*ms), takes(5, 80*ms)), want: []string{"latency 4-5 likely"}},
		"less than half": {do: both(takes(1, 20*ms), takes(3, 40*ms+1), takes(5, 80*ms))},
		"30 ms at hop 1": {do: takes(1, 30*ms), want: []string{"latency 0-1 likely"}},
		"less at hop 1":  {do: takes(1, 30*ms-1)},
		"none at the last": {do: both(takes(5, 41*ms), func(s sketch) {
			s.at(end, end, func(p *path.Probe) { p.Reply.RTT, p.Reply.HasRTT = 0, false })
		}), want: []string{"latency 4-5 likely"}},
		"40 ms at the last": {do: takes(end, 41*ms), want: []string{"latency 8-9 likely"}},
	} {
		t.Run(name, test.run)
	}
}

// Answers as the target are from two senders by how many routers they are apart, not by
// how many there are.
func TestDetailsOfTwoSenders(t *testing.T) {
	s := clean(3)
	back(end, end, 2)(s)
	s.at(end, end, func(p *path.Probe) {
		if p.Round == 2 {
			p.Reply.TTL -= 5
		}
	})
	for _, f := range findings.Of(s.Path) {
		if f.Kind == findings.SpoofedTarget {
			if want := "Answers as 198.51.100.1, the destination, passed 5 routers more or fewer: they have two senders."; f.Detail != want {
				t.Errorf("%s\nwant %s", f.Detail, want)
			}
			return
		}
	}
	t.Error("two senders are not found")
}
