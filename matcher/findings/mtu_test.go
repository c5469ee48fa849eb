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

// stopped makes all probes be 1400 bytes long, and a router that is followed by a
// narrow link say that they are too long.
func stopped(hop int, mtu uint32, basis path.Basis) func(sketch) {
	return func(s sketch) {
		s.Parameters.Length, s.Parameters.DF = 1400, true
		s.at(1, end, func(p *path.Probe) {
			p.Length = 1400
			if int(p.TTL) > hop {
				*p.Reply = *reply(p, hop)
				p.Reply.Kind, p.Reply.ICMPCode, p.Reply.MTU, p.Reply.Basis = matcher.PacketTooBig, 4, mtu, basis
			}
			p.Reply.Quoted.Length, p.Reply.Quoted.DF = 1400, true
		})
	}
}

// A trace that does not look for the MTU ends where its probes are too long: that is
// found all the same.
func TestPacketsThatAreTooLong(t *testing.T) {
	for name, test := range map[string]struct {
		change
		says string
	}{
		"as a router says": {change{do: stopped(3, 1300, path.BySameAddress), want: []string{"path-mtu 3-4 certain"}},
			"Path MTU 1400 → 1300 behind hop 3: 10.0.3.1 says so. Shorter packets get farther; --mtu finds how long they may be at each hop."},
		"as a router says that sent nothing else": {change{do: both(stopped(3, 1300, path.ByArithmetic), func(s sketch) { s.lose(3, 1, 2, 3) }), want: []string{"path-mtu 3-4 likely"}},
			"Only its quote says which hop it is, give or take one."},
		"without a number":                {change{do: stopped(3, 0, path.BySameAddress), want: []string{"path-mtu 3-4 likely"}}, "Packets of 1400 bytes are too long behind hop 3: 10.0.3.1 says so, but not how long they may be."},
		"with one that they don't exceed": {change{do: stopped(3, 1500, path.BySameAddress), want: []string{"path-mtu 3-4 likely"}}, "but not how long they may be."},
		"of one probe":                    {change{queries: 1, do: stopped(8, 1300, path.BySameAddress), want: []string{"path-mtu 8-9 certain"}}, "Path MTU 1400 → 1300 behind hop 8"},
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
