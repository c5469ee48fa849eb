package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFamiliesBesideTraceroute traces with every kind of probe in a topology beside
// traceroute, with the same arguments and over both families. The same hops
// answer, with the same letters and labels, and the target answers three times.
func TestFamiliesBesideTraceroute(t *testing.T) {
	requireLab(t, "traceroute")
	tracer := buildTracer(t)
	tests := map[string][]kindsTo{
		"chain": {{[]string{"198.51.100.80", "2001:db8:3::80"}, []string{"", "-I", "-U", "-T -p 443", "-T -p 81"}}},
		"nat":   {{[]string{"198.51.100.1", "2001:db8:2::80"}, []string{"", "-I", "-U", "-T -p 443", "-T"}}},
		"mpls":  {{[]string{"198.51.100.1", "2001:db8:3::80"}, []string{"-e -m 8", "-e -m 8 -I", "-e -m 8 -T"}}},
		"services": {
			{[]string{"198.51.100.2", "2001:db8:1::12"}, []string{"-U -p 7"}}, // echoes
			{[]string{"198.51.100.53", "2001:db8:1::53"}, []string{"-U", "-T -p 53"}},
			{[]string{"198.51.100.80", "2001:db8:1::80"}, []string{"-T", "-T -p 81"}},
			{[]string{"198.51.100.4", "2001:db8:1::14"}, []string{"-T -p 443", "-I -m 3", "-T -m 3"}}, // answers on that port only
		},
		"firewall": {
			{[]string{"198.51.100.1", "2001:db8:0:21::1"}, []string{"", "-I", "-T"}},          // !X
			{[]string{"198.51.100.2", "2001:db8:0:22::1"}, []string{"-T"}},                    // !X, behind the look at the TTL
			{[]string{"198.51.100.3", "2001:db8:0:23::1"}, []string{"", "-I", "-T"}},          // !N
			{[]string{"198.51.100.4", "2001:db8:0:24::1"}, []string{"-I"}},                    // !H
			{[]string{"198.51.100.5", "2001:db8:0:25::1"}, []string{"", "-I"}},                // !P, and !<4-1>
			{[]string{"198.51.100.7", "2001:db8:0:27::1"}, []string{"-T -p 443", "-I", "-T"}}, // lets the web pass
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTracers(t, tracer)
			var all []string
			for _, to := range test {
				for _, dst := range to.targets {
					for _, kind := range to.kinds {
						all = append(all, kind+" -n -w 3 "+dst)
					}
				}
			}
			s.besideTraceroute(name, all)
		})
	}
}

// kindsTo are the arguments with which targets are traced to.
type kindsTo struct{ targets, kinds []string }

// besideTraceroute runs traceroute and ours in a topology with each of these
// arguments, and compares what they print.
func (s *tracers) besideTraceroute(topology string, all []string) {
	s.t.Helper()
	for _, args := range all {
		fmt.Fprintf(&s.script, "traceroute %s >%d.peer &\n", args, s.add("json", "", args))
	}
	s.run(topology)
	for number, args := range all {
		peer, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("%d.peer", number)))
		if err != nil {
			s.t.Fatal(err)
		}
		s.same(number, "json")
		ours := string(s.replay(number, extensionsOf(args)...))
		if d := cmp.Diff(atItsOwnHop(hopLines(string(peer))), atItsOwnHop(hopLines(ours))); d != "" {
			s.t.Errorf("%s: -traceroute +tracewire\n%s", args, d)
		}
		if lines := hopLines(ours); !strings.Contains(ours, "!") && !strings.Contains(args, "-m ") && !strings.HasSuffix(lines[len(lines)-1], args[strings.LastIndex(args, " "):]+"  T  T  T") {
			s.t.Errorf("%s: the target did not answer three times: %s", args, ours)
		}
	}
}

// extensionsOf are the arguments of a replay as a trace with these.
func extensionsOf(args string) []string {
	if strings.HasPrefix(args, "-e ") {
		return []string{"-n", "-e"}
	}
	return []string{"-n"}
}

var roundTrip = regexp.MustCompile(`\d+\.\d{3} ms`)

// hopLines are lines like traceroute's without the first, with T for each round
// trip.
func hopLines(out string) []string {
	lines := strings.Split(strings.TrimSpace(roundTrip.ReplaceAllString(out, "T")), "\n")
	return lines[1:]
}

// atItsOwnHop has the line of a router that refuses say that once and at its own
// hop, where traceroute has it again at the hop of the probe that was refused.
func atItsOwnHop(lines []string) []string {
	last := len(lines) - 1
	fields := strings.Fields(lines[last])
	mark := regexp.MustCompile(`!\S+`).FindString(lines[last])
	if mark == "" {
		return lines
	}
	if last > 0 && strings.Fields(lines[last-1])[1] == fields[1] {
		last--
	}
	return append(lines[:last:last], fmt.Sprintf("%2d  %s %s", last+1, fields[1], mark))
}

// hole is a topology with a router that never says that packets are too big.
const hole = `
name = "hole"
seed = 1
[[router]]
name = "in"
addresses = ["192.0.2.1", "2001:db8::1"]
[[router]]
name = "mute"
addresses = ["10.0.0.1", "2001:db8:1::1"]
answer = { silent = true }
[[destination]]
name = "narrow"
addresses = ["198.51.100.7", "2001:db8:2::17"]
[[link]]
path = ["host", "in", "mute"]
delay = "1ms"
[[link]]
path = ["mute", "narrow"]
mtu = 1300
`

// TestMTU finds the MTU of a path over both families, where a router states it and
// where nobody does.
func TestMTU(t *testing.T) {
	requireLab(t)
	tracer := buildTracer(t)
	silent := filepath.Join(t.TempDir(), "hole.toml")
	if err := os.WriteFile(silent, []byte(hole), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, topology := range map[string]string{"stated": "services", "a black hole": silent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTracers(t, tracer)
			targets := map[int]string{}
			for _, kind := range []string{"", "-I"} {
				for _, dst := range []string{"198.51.100.7", "2001:db8:2::17"} {
					targets[s.add("json", "", kind+" --mtu -n "+dst)] = dst
				}
			}
			s.run(topology)
			for number, dst := range targets {
				s.same(number, "json")
				lines := hopLines(string(s.replay(number, "-n")))
				want := fmt.Sprintf("%2d  %s  T F=1300  T  T", len(lines), dst)
				if d := cmp.Diff(want, lines[len(lines)-1]); d != "" {
					t.Errorf("%d: -want +got\n%s", number, d)
				}
			}
		})
	}
}
