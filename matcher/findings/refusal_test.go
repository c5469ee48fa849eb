package findings_test

import (
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// refuses makes a router refuse all probes with some TTL and more.
func refuses(hop, from int, code uint8) func(sketch) {
	return func(s sketch) {
		s.at(from, end, func(p *path.Probe) {
			*p.Reply = *reply(p, hop)
			p.Reply.Kind, p.Reply.ICMPType, p.Reply.ICMPCode, p.Reply.Basis = matcher.Unreachable, 3, code, path.ByArithmetic
			if from > hop {
				p.Reply.Basis = path.BySameAddress
			}
		})
	}
}

// A refusal says who refuses, why, and what to try; what a target with another
// address sends is told from it.
func TestRefusals(t *testing.T) {
	tcp := func(port uint16) func(sketch) {
		return func(s sketch) { s.Protocol, s.Parameters.DstPort = layers.IPProtocolTCP, port }
	}
	for name, test := range map[string]struct {
		change
		says string
	}{
		"a firewall": {change{do: refuses(4, 5, 13), want: []string{"refusal 4-4 certain"}},
			"10.0.4.1 refuses the probes: a firewall's rule prohibits them. Try -T -p 443."},
		"a firewall, of TCP": {change{do: both(refuses(4, 5, 13), tcp(80)), want: []string{"refusal 4-4 certain"}}, "Try -T -p 443, or -I."},
		"a firewall, of TCP 443": {change{do: both(refuses(4, 5, 13), tcp(443)), want: []string{"refusal 4-4 certain"}},
			"prohibits them. Try -I."},
		"what Linux rejects with": {change{do: refuses(4, 5, 3), want: []string{"refusal 4-4 certain"}},
			"10.0.4.1 refuses the probes: port unreachable, as a firewall that rejects says."},
		"no route":                 {change{do: refuses(4, 5, 0), want: []string{"refusal 4-4 certain"}}, "Look at its routes"},
		"no answer":                {change{do: refuses(4, 5, 1), want: []string{"refusal 4-4 certain"}}, "Is the destination up?"},
		"a code that nobody knows": {change{do: refuses(4, 5, 99), want: []string{"refusal 4-4 certain"}}, "refuses the probes: code 99."},
		"the target by another address": {change{do: refuses(4, 4, 3), want: []string{"other-address 4-4 likely"}},
			"it is probably the destination itself, 198.51.100.1, which answers from another of its addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			test.run(t)
			s := clean(3)
			test.do(s)
			if all := findings.Of(s.Path); len(all) != 1 || !strings.Contains(all[0].Detail, test.says) {
				t.Errorf("%v\nwant %s", all, test.says)
			}
		})
	}
}
