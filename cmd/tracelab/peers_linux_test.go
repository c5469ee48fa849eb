package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// hop is what a program reports of one: who answered, and a round trip in ms.
type hop struct {
	addr string
	rtt  float64
	ttl  int
}

// stop is a hop as a topology's file states it; its place in the list is the TTL.
type stop struct {
	addr string
	rtt  float64
}

func hopsOf(stops []stop) []hop {
	hops := make([]hop, len(stops))
	for i, s := range stops {
		hops[i] = hop{s.addr, s.rtt, i + 1}
	}
	return hops
}

// stated are paths as the topologies' files state them.
var stated = []struct {
	name, topology, dst string
	stops               []stop
}{
	{"chain", "chain", "198.51.100.80", []stop{
		{"192.0.2.1", 1}, {"10.1.0.2", 3}, {"10.1.0.3", 7}, {"10.1.0.4", 11}, {"10.2.0.5", 17},
		{"10.2.0.6", 25}, {"10.3.0.7", 35}, {"10.3.0.8", 47}, {"198.51.100.80", 49},
	}},
	{"mpls", "mpls", "198.51.100.1", []stop{
		{"192.0.2.1", 2}, {"10.1.0.1", 4}, {"10.1.0.2", 6}, {"10.1.0.3", 8}, {"10.1.0.4", 10}, {"10.2.0.1", 12},
		{"10.2.0.2", 14}, {"10.2.0.3", 16}, {"10.3.0.2", 20}, {"198.51.100.1", 22},
	}},
	{"nat", "nat", "198.51.100.1", []stop{
		{"192.0.2.1", 1}, {"100.64.0.1", 5}, {"100.64.0.2", 9}, {"10.1.0.1", 15}, {"10.2.0.1", 21}, {"198.51.100.1", 27},
	}},
	{"chain-ipv6", "chain", "2001:db8:3::80", []stop{
		{"2001:db8::1", 1}, {"2001:db8:1::2", 3}, {"2001:db8:1::3", 7}, {"2001:db8:1::4", 11}, {"2001:db8:2::5", 17},
		{"2001:db8:2::6", 25}, {"2001:db8:3::7", 35}, {"2001:db8:3::8", 47}, {"2001:db8:3::80", 49},
	}},
}

// peers are the programs, with their arguments, and what reads their output.
var peers = []struct {
	name  string
	args  []string // before the destination
	args6 []string // instead, for IPv6; nil where the program has none
	read  func(t testing.TB, out []byte) []hop
}{
	{"traceroute", []string{"-n"}, []string{"-n"}, lines(`^ *(\d+)  (\S+)(.*)`)},
	{"tcptraceroute", []string{"-n"}, nil, lines(`^ *(\d+)  (\S+)(.*)`)},
	{"tracepath", []string{"-n"}, []string{"-n"}, lines(`^ *(\d+): +(\S+)(.*)`)},
	{"nmap", []string{"-n", "-sn", "-PE", "--traceroute"}, []string{"-6", "-n", "-sn", "-PE", "--traceroute"}, nmapHops},
	{"mtr", []string{"-n", "--raw", "-c", "5", "-i", "0.3", "-G", "1"}, []string{"-n", "--raw", "-c", "5", "-i", "0.3", "-G", "1"}, mtrHops},
	{
		"scamper", []string{"-p", "1000", "-O", "json", "-c", "trace -q 4 -Q", "-i"}, []string{"-p", "1000", "-O", "json", "-c", "trace -q 4 -Q", "-i"},
		scamperHops,
	},
}

// What the programs that people use report inside is what the topology states: the
// hops, and at each a round trip that is no shorter. By how much one is longer is a
// matter of what else the machine does: BenchmarkPeers measures it. That the delays are
// as stated and no longer, TestStatedDelays holds in virtual time.
func TestPeers(t *testing.T) {
	for _, p := range peers {
		for _, s := range stated {
			args := p.args
			if s.name == "chain-ipv6" {
				args = p.args6
			}
			if args == nil {
				continue
			}
			t.Run(p.name+"/"+s.name, func(t *testing.T) {
				requireLab(t, p.name)
				out := runPeer(t, s.topology, append([]string{p.name}, append(args, s.dst)...))
				want := hopsOf(s.stops)
				if d := cmp.Diff(want, atLeast(want, longest(p.read(t, out))), cmp.AllowUnexported(hop{})); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

// In virtual time each round trip is as long as stated, to the nanosecond.
func TestStatedDelays(t *testing.T) {
	for _, s := range stated {
		t.Run(s.name, func(t *testing.T) {
			data, err := topologies.Read(s.topology)
			if err != nil {
				t.Fatal(err)
			}
			top, err := topology.Parse(s.topology, data)
			if err != nil {
				t.Fatal(err)
			}
			var got []hop
			synctest.Test(t, func(t *testing.T) {
				network, err := capturetest.Simulate(top)
				if err != nil {
					t.Fatal(err)
				}
				p, err := tracewire.Trace(t.Context(), s.dst, &tracewire.Options{Dial: tracewire.Through(network.Conn(capturetest.Host{}))})
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range p.Hops() {
					for _, probe := range h.Probes {
						if r := probe.Reply; r != nil {
							got = append(got, hop{r.From.String(), r.RTT.Seconds() * 1000, int(h.TTL)})
						}
					}
				}
			})
			if d := cmp.Diff(hopsOf(s.stops), slices.Compact(got), cmp.AllowUnexported(hop{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// BenchmarkPeers reports by how much the median of what traceroute says of a hop is off
// from the round trip that is stated, in the worst case of a path.
func BenchmarkPeers(b *testing.B) {
	requireLab(b, "traceroute")
	s := stated[0]
	for b.Loop() {
		at := map[int][]float64{}
		for _, h := range lines(`^ *(\d+)  (\S+)(.*)`)(b, runPeer(b, s.topology, []string{"traceroute", "-n", "-q", "9", s.dst})) {
			at[h.ttl] = append(at[h.ttl], h.rtt)
		}
		worst := 0.0
		for i, stop := range s.stops {
			rtts := at[i+1]
			slices.Sort(rtts)
			if len(rtts) > 0 {
				worst = max(worst, math.Abs(rtts[len(rtts)/2]-stop.rtt))
			}
		}
		b.ReportMetric(worst*1000, "µs-off")
	}
}

// runPeer runs a command in a topology and returns its standard output.
func runPeer(t testing.TB, topology string, command []string) []byte {
	t.Helper()
	args := []string{"run", topology, "--"}
	cmd := exec.Command(program(t), append(args, command...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, out, &stderr)
	}
	return out
}

// longest is the hops that were reported, by TTL and each address once, with the longest
// round trip. On a busy machine a program may be late to note that it has sent, and then
// reports less than what was on the wire; but it would have to be late for every probe.
func longest(reported []hop) (hops []hop) {
	for _, h := range reported {
		i := slices.IndexFunc(hops, func(o hop) bool { return o.ttl == h.ttl && o.addr == h.addr })
		if i < 0 {
			hops = append(hops, h)
			continue
		}
		hops[i].rtt = max(hops[i].rtt, h.rtt)
	}
	slices.SortStableFunc(hops, func(a, b hop) int { return a.ttl - b.ttl })
	return hops
}

// atLeast is the hops that were reported, with the round trip that is stated where the
// one reported is no shorter: by a millisecond, which is what some programs print.
func atLeast(stated, reported []hop) []hop {
	for i := range min(len(stated), len(reported)) {
		if want := stated[i].rtt; reported[i].rtt > want-1 {
			reported[i].rtt = want
		}
	}
	return reported
}

// lines reads hops from lines that match: a TTL, who answered, and what has the
// round trips in it, if any.
func lines(pattern string) func(t testing.TB, out []byte) []hop {
	line := regexp.MustCompile("(?m)" + pattern + "$")
	times := regexp.MustCompile(`(\d+\.\d+) ?ms`)
	return func(t testing.TB, out []byte) (hops []hop) {
		for _, m := range line.FindAllSubmatch(out, -1) {
			for _, rtt := range times.FindAllSubmatch(m[3], -1) {
				hops = append(hops, hop{string(m[2]), number(t, rtt[1]), int(number(t, m[1]))})
			}
		}
		return hops
	}
}

func number(t testing.TB, text []byte) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// nmapHops reads "2   3.01 ms  10.1.0.2".
func nmapHops(t testing.TB, out []byte) (hops []hop) {
	for _, m := range regexp.MustCompile(`(?m)^(\d+) +(\S+) ms +(\S+)$`).FindAllSubmatch(out, -1) {
		hops = append(hops, hop{string(m[3]), number(t, m[2]), int(number(t, m[1]))})
	}
	return hops
}

// mtrHops reads "h 1 10.1.0.2", who is at hop 2, and "p 1 3042 33001", that it
// answered after 3042 µs.
func mtrHops(t testing.TB, out []byte) (hops []hop) {
	trips := map[string][]float64{}
	for _, m := range regexp.MustCompile(`(?m)^p (\d+) (\d+) `).FindAllSubmatch(out, -1) {
		trips[string(m[1])] = append(trips[string(m[1])], number(t, m[2])/1000)
	}
	for i := 0; ; i++ {
		at := strconv.Itoa(i)
		m := regexp.MustCompile(`(?m)^h ` + at + ` (\S+)$`).FindSubmatch(out)
		if m == nil || len(hops) > 0 && hops[len(hops)-1].addr == string(m[1]) {
			return hops // its first cycle goes on behind the destination
		}
		for _, rtt := range trips[at] {
			hops = append(hops, hop{string(m[1]), rtt, i + 1})
		}
	}
}

// scamperHops reads scamper's JSON: a line for each of its steps.
func scamperHops(t testing.TB, out []byte) (hops []hop) {
	for line := range bytes.Lines(out) {
		var trace struct {
			Hops []struct {
				Addr string
				RTT  float64
				TTL  int `json:"probe_ttl"`
			}
		}
		if err := json.Unmarshal(line, &trace); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, h := range trace.Hops {
			hops = append(hops, hop{h.Addr, h.RTT, h.TTL})
		}
	}
	return hops
}

// A run leaves nothing behind in the file system; signals_linux_test.go has the
// processes.
func TestNothingIsLeft(t *testing.T) {
	requireLab(t)
	before := etc(t)
	runPeer(t, "chain", []string{"true"})
	if d := cmp.Diff(before, etc(t)); d != "" {
		t.Error(d)
	}
}

func etc(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/proc/self/mountinfo"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}
