package findings_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
)

// dropped makes all probes to a hop and beyond time out.
func dropped(from int) func(sketch) {
	return func(s sketch) {
		s.at(from, 255, func(p *path.Probe) { p.Reply, p.Status = nil, path.Timeout })
	}
}

// asked leaves no probes but those to the first hops.
func asked(hops uint8) func(sketch) {
	return func(s sketch) {
		s.Probes = slices.DeleteFunc(s.Probes, func(p path.Probe) bool { return p.TTL > hops })
	}
}

// Silence says what was tried, and what to try next.
func TestSilence(t *testing.T) {
	as := func(protocol layers.IPProtocol, port uint16) func(sketch) {
		return func(s sketch) { s.Protocol, s.Parameters.DstPort = protocol, port }
	}
	long := func(s sketch) {
		s.Parameters.DF = true
		s.at(1, end, func(p *path.Probe) {
			if p.Length = 1500; p.Reply != nil {
				p.Reply.Quoted.Length, p.Reply.Quoted.DF = 1500, true
			}
		})
	}
	for name, test := range map[string]struct {
		change
		says string
	}{
		"UDP":               {change{do: dropped(6), want: []string{"silence 5-6 likely"}}, "Nothing answers from hop 6 on: 12 UDP probes to port 33434 drew no reply."},
		"UDP, what next":    {change{do: dropped(6), want: []string{"silence 5-6 likely"}}, "Try -T -p 443."},
		"UDP of many ports": {change{do: both(varied, dropped(6)), want: []string{"silence 5-6 likely"}}, "UDP probes to ports from 33434 on"},
		"ICMP":              {change{do: both(dropped(6), as(layers.IPProtocolICMPv4, 0)), want: []string{"silence 5-6 likely"}}, "12 ICMP echo probes drew"},
		"TCP 443":           {change{do: both(dropped(6), as(layers.IPProtocolTCP, 443)), want: []string{"silence 5-6 likely"}}, "12 TCP probes to port 443 drew no reply. A firewall may drop them, or the destination doesn't answer such probes or is down. Try -I."},
		"at all":            {change{do: dropped(1), want: []string{"silence 0-1 likely"}}, "Nothing answers at all"},
		"at all, of two hops": {change{do: both(dropped(1), asked(2)), want: []string{"silence 0-1 possible"}},
			"Nothing answers at all: 6 UDP probes to port 33434 drew no reply. The routers there may never answer, or a firewall drops the probes. Try a higher -m. Try -T -p 443."},
		"at all, of one probe": {change{queries: 1, do: both(dropped(1), asked(1)), want: []string{"silence 0-1 possible"}}, "Try a higher -m."},
		"of no probe that left": {change{do: func(s sketch) {
			s.at(1, end, func(p *path.Probe) { p.Reply, p.Status = nil, path.Unsent })
		}}, ""},
		"of long probes":      {change{do: both(dropped(6), long), want: []string{"silence 5-6 likely"}}, "They are 1500 bytes long and must not be fragmented: try shorter ones, or --mtu."},
		"behind silent hops":  {change{do: both(dropped(4), func(s sketch) { s.Probes[4].Reply, s.Probes[4].Status = reply(&s.Probes[4], 5), path.Replied }), want: []string{"silence 5-6 likely"}}, "from hop 6 on"},
		"three hops":          {change{do: dropped(7), want: []string{"silence 6-7 likely"}}, "from hop 7 on"},
		"two hops":            {change{do: dropped(8)}, ""},
		"of one that was cut": {change{do: both(dropped(4), func(s sketch) { s.Interrupted = true })}, ""},
		"of probes that nobody waited for": {change{do: both(dropped(4), func(s sketch) {
			s.at(4, end, func(p *path.Probe) { p.Status = path.Abandoned })
		})}, ""},
		"in a capture of probes alone": {change{do: both(captured, dropped(1))}, ""},
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
