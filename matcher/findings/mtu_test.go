package findings_test

import (
	"strings"
	"testing"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// sized is a trace that looks for the MTU: each hop is asked with 1500 bytes, and
// from some hop on only 1300 get there.
func sized(from int, told bool) func(sketch) {
	return func(s sketch) {
		s.Parameters.MTU, s.Parameters.DF, s.Parameters.Length = true, true, 1500
		s.at(1, end, func(p *path.Probe) {
			p.Length = 1500
			p.Reply.Quoted.Length, p.Reply.Quoted.DF = 1500, true
			switch {
			case int(p.TTL) < from:
			case p.Round == 3:
				p.Length, p.Reply.Quoted.Length = 1300, 1300
			case told:
				*p.Reply = *reply(p, from-1)
				p.Reply.Quoted.Length, p.Reply.Quoted.DF = 1500, true
				p.Reply.Kind, p.Reply.ICMPCode, p.Reply.MTU, p.Reply.Basis = matcher.PacketTooBig, 4, 1300, path.BySameAddress
			default:
				p.Reply, p.Status = nil, path.Timeout
			}
		})
	}
}

// A smaller MTU is a finding of its own: no length is rewritten, and nothing is lost
// that was too long.
func TestPathMTU(t *testing.T) {
	for name, test := range map[string]struct {
		change
		says string
	}{
		"the same all the way": {change{do: sized(end+1, true)}, ""},
		"as a router says":     {change{do: sized(4, true), want: []string{"path-mtu 3-4 certain"}}, "Path MTU 1500 → 1300 at hop 4: 10.0.3.1 says so."},
		"and no router says so": {change{do: sized(4, false), want: []string{"path-mtu 3-4 likely"}},
			"Path MTU 1500 → 1300 at hop 4, but no router says so: longer packets vanish"},
		"at the first hop":     {change{do: sized(1, false), want: []string{"path-mtu 0-1 likely"}}, "Path MTU 1500 → 1300 at hop 1"},
		"a probe that is lost": {change{do: both(sized(4, true), func(s sketch) { s.lose(6, 3) }), want: []string{"path-mtu 3-4 certain"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.run(t)
			s := clean(3)
			test.do(s)
			for _, f := range findings.Of(s.Path) {
				if !strings.Contains(f.Detail, test.says) {
					t.Errorf("%s\nwant %s", f.Detail, test.says)
				}
			}
		})
	}
}

// What is quoted is compared with the probe's own length.
func TestLengthsThatDiffer(t *testing.T) {
	lengths := func(s sketch) {
		s.at(1, end, func(p *path.Probe) {
			p.Length += p.Round
			p.Reply.Quoted.Length = p.Length
		})
	}
	change{do: lengths}.run(t)
	change{do: both(lengths, quote(4, 4, func(q *matcher.Quote) { q.Length -= 20 })), want: []string{"length-rewrite 4-4 certain"}}.run(t)
	change{do: both(lengths, quote(4, end, func(q *matcher.Quote) { q.Length = q.Length<<8 | q.Length>>8 })), want: []string{"length-rewrite 4-9 likely"}}.run(t)
}
