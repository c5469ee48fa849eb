//go:build record

package main

// This is no test but what makes the captures in testdata/captures/peers; INDEX.md
// there says how it is run.

import (
	"bytes"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// record makes TestPeersRecorded keep what programs sent, got and printed.
var record = flag.String("record", "", "keep captures of the peers' runs in `DIR`, as NAME.pcap, and what they printed, as NAME.txt")

// modes are the ways in which programs trace. DST is the destination.
var modes = []struct {
	name string
	// command traces over IPv4, and, where six is not empty, as that over IPv6.
	command, six string
	// everywhere has the mode recorded in all topologies, not in chain and demo alone.
	everywhere bool
}{
	{"traceroute", "traceroute -n DST", "traceroute -n DST", true},
	{"traceroute-icmp", "traceroute -n -I DST", "traceroute -n -I DST", true},
	{"traceroute-tcp", "traceroute -n -T DST", "traceroute -n -T DST", true},
	{"traceroute-fixed", "traceroute -n -U DST", "traceroute -n -U DST", false},
	{"mtr", mtr + "DST", mtr + "DST", true},
	{"mtr-udp", mtr + "-u DST", mtr + "-u DST", true},
	{"mtr-tcp", mtr + "-T DST", mtr + "-T DST", true},
	{"scamper", scamper("udp-paris"), scamper("udp-paris"), true},
	{"scamper-icmp-paris", scamper("icmp-paris"), scamper("icmp-paris"), true},
	{"scamper-tcp", scamper("tcp"), scamper("tcp"), true},
	{"scamper-udp", scamper("udp"), scamper("udp"), false},
	{"scamper-icmp", scamper("icmp"), scamper("icmp"), false},
	{"scamper-tcp-ack", scamper("tcp-ack"), scamper("tcp-ack"), false},
	{"tcptraceroute", "tcptraceroute -n -w 1 DST", "", true},
	{"nmap", "nmap -n -sn -PE --traceroute DST", "nmap -6 -n -sn -PE --traceroute DST", true},
	{"nmap-tcp", "nmap -n -sn -PS80 --traceroute DST", "nmap -6 -n -sn -PS80 --traceroute DST", false},
	{"nmap-udp", "nmap -n -sn -PU40125 --traceroute DST", "nmap -6 -n -sn -PU40125 --traceroute DST", false},
	{"tracepath", "tracepath -n DST", "tracepath -n DST", true},
	{"hping3-icmp", hping + "-1 DST", "", false},
	{"hping3-tcp", hping + "-S -p 80 DST", "", false},
	{"hping3-udp", hping + "-2 DST", "", false},
}

// mtr repeats a hop soon, and gives up soon behind a destination.
const mtr = "mtr -n --raw -c 3 -i 0.3 -G 1 "

// hping waits at a hop that is silent, so its probes are counted.
const hping = "hping3 -n --traceroute --tr-stop -i u100000 -c 16 "

// scamper's trace with two probes to a hop, the second sent whatever becomes of
// the first.
func scamper(method string) string {
	return "scamper -p 1000 -O json -c 'trace -P " + method + " -q 2 -Q -w 1' -i DST"
}

// scamperAll traces to three hosts at once.
const scamperAll = "scamper -p 1000 -w 3 -O json -c 'trace -P udp-paris -q 1 -w 1' -i 198.51.100.80 10.2.0.6 10.1.0.4"

// places are topologies, with the destination there, and whether all modes are
// recorded in them.
var places = []struct {
	topology, dst, dst6 string
	all                 bool
}{
	{"chain", "198.51.100.80", "2001:db8:3::80", true},
	{"demo", "198.51.100.80", "2001:db8:3::80", true},
	{"mpls", "198.51.100.1", "2001:db8:3::80", false},
	{"nat", "198.51.100.1", "", false},
	{"diamond", "198.51.100.1", "2001:db8:3::80", false},
}

// single are runs in topologies or with options that one program is enough for.
var single = []struct{ name, topology, command string }{
	{"traceroute-lossy", "lossy", "traceroute -n 198.51.100.1"},
	{"traceroute-icmp-lossy", "lossy", "traceroute -n -I 198.51.100.1"},
	{"mtr-lossy", "lossy", mtr + "-c 10 198.51.100.1"},
	{"traceroute-quotes", "quotes", "traceroute -n -w 1 198.51.100.1"},
	{"traceroute-icmp-quotes", "quotes", "traceroute -n -w 1 -I 198.51.100.1"},
	{"traceroute-tcp-quotes", "quotes", "traceroute -n -w 1 -T 198.51.100.1"},
	{"mtr-quotes", "quotes", mtr + "198.51.100.1"},
	{"scamper-quotes", "quotes", strings.ReplaceAll(scamper("udp-paris"), "DST", "198.51.100.1")},
	{"tcptraceroute-quotes", "quotes", "tcptraceroute -n -w 1 198.51.100.1"},
	{"traceroute-limits", "limits", "traceroute -n 198.51.100.1"},
	{"mtr-limits", "limits", mtr + "198.51.100.1"},
	{"traceroute-firewall", "firewall", "traceroute -n 198.51.100.1"},
	{"traceroute-icmp-firewall", "firewall", "traceroute -n -I 198.51.100.2"},
	{"traceroute-tcp-firewall", "firewall", "traceroute -n -T -p 443 198.51.100.7"},
	{"mtr-firewall", "firewall", mtr + "198.51.100.4"},
	{"mtr-per-packet", "per-packet", mtr + "-c 10 198.51.100.1"},
	{"traceroute-first-3-chain", "chain", "traceroute -n -f 3 -q 1 -p 40000 198.51.100.80"},
	{"traceroute-udplite-chain", "chain", "traceroute -n -UL 198.51.100.80"},
	{"mtr-tcp-443-chain", "chain", mtr + "-T -P 443 -f 2 198.51.100.80"},
	{"mtr-udp-53-chain", "chain", mtr + "-u -P 53 198.51.100.80"},
	{"mtr-sized-chain", "chain", mtr + "-s 200 198.51.100.80"},
	{"scamper-parallel-chain", "chain", "scamper -p 1000 -O json -c 'trace -P icmp-paris -q 1 -N 4 -w 1' -i 198.51.100.80"},
	{"traceroute-loaded-chain", "chain", "traceroute -n 198.51.100.80 1400"},
}

// recording is a capture, and what ran while it was made.
type recording struct {
	name, topology string
	// commands run at the same time. What one prints is NAME.txt; with more, they
	// are NAME-1.txt and so on.
	commands []string
	// around is a shell script: ordinary traffic. It runs once before the
	// commands, once beside them, once after.
	around string
	// capture is a shell command that says "listening" or "File:" when it
	// captures, and writes NAME.pcap, or tcpdump if it is empty.
	capture string
	// then is a shell command that is run on the file.
	then string
}

// mixed are recordings that have more than a trace in them, or are of another
// kind of file.
var mixed = []recording{
	{
		name: "interleaved-chain", topology: "chain",
		commands: []string{"traceroute -n 198.51.100.80", mtr + "198.51.100.80", "tracepath -n 198.51.100.80"},
	},
	{
		name: "interleaved-chain-ipv6", topology: "chain",
		commands: []string{"traceroute -n 2001:db8:3::80", mtr + "2001:db8:3::80", "tracepath -n 2001:db8:3::80"},
	},
	{
		name: "interleaved-icmp-demo", topology: "demo",
		commands: []string{"traceroute -n -I 198.51.100.80", mtr + "198.51.100.80", "nmap -n -sn -PE --traceroute 198.51.100.80"},
	},
	{
		name: "pair-chain", topology: "chain",
		commands: []string{"traceroute -n 198.51.100.80", "traceroute -n 198.51.100.80"},
	},
	{
		name: "pair-mtr-chain", topology: "chain",
		commands: []string{mtr + "198.51.100.80", mtr + "198.51.100.80"},
	},
	{
		name: "targets-chain", topology: "chain",
		commands: []string{scamperAll, "mtr -n --raw -c 3 -i 0.3 -G 1 10.3.0.7"},
	},
	{
		name: "doubled-chain", topology: "chain",
		commands: []string{"traceroute -n -I 198.51.100.80"},
		then:     "mergecap -F nsecpcap -w $f.new $f.pcap $f.pcap && mv $f.new $f.pcap",
	},
	{
		name: "replies-demo", topology: "demo",
		commands: []string{"traceroute -n -I 198.51.100.80"}, capture: tcpdump + "-i eth0 -Q in",
	},
	{
		name: "probes-demo", topology: "demo",
		commands: []string{"traceroute -n -I 198.51.100.80"}, capture: tcpdump + "-i eth0 -Q out",
	},
	{
		name: "twice-chain", topology: "chain",
		commands: []string{"traceroute -n 198.51.100.80; traceroute -n 198.51.100.80; traceroute -n -I 10.2.0.6; traceroute -n -I 198.51.100.80"},
	},
	{
		name: "ordinary-services", topology: "services",
		commands: []string{"traceroute -n 198.51.100.80", "mtr -n --raw -c 3 -i 0.3 -G 1 198.51.100.53"},
		around:   ordinary,
	},
	{name: "only-ordinary-services", topology: "services", around: ordinary},
	{
		name: "any-chain", topology: "chain", around: "getent hosts web.example",
		commands: []string{"traceroute -n web.example"}, capture: tcpdump + "-i any -y LINUX_SLL2",
	},
	{
		name: "any-sll-chain", topology: "chain", around: "getent hosts web.example",
		commands: []string{"traceroute -n -I web.example"}, capture: tcpdump + "-i any -y LINUX_SLL",
	},
	{
		name: "pcapng-demo", topology: "demo",
		commands: []string{"traceroute -n 198.51.100.80"},
		capture:  "dumpcap -q -s 256 -i eth0 --capture-comment 'a trace in the lab: demo' -w",
		then:     "editcap -F pcapng -a '1:the first frame' -a '3:the third' $f.pcap $f.new && mv $f.new $f.pcap",
	},
	{
		name: "full-snaplen-chain", topology: "chain",
		commands: []string{"tracepath -n 198.51.100.80"}, capture: tcpdumpAll + "-i eth0",
	},
	{
		name: "snaplen-68-mpls", topology: "mpls",
		commands: []string{"traceroute -n 198.51.100.1"}, capture: tcpdumpAll + "-i eth0 -s 68",
	},
}

// tcpdump as it captures unless something else is said.
const (
	tcpdumpAll = "tcpdump -Z root -U --immediate-mode --time-stamp-precision=nano "
	tcpdump    = tcpdumpAll + "-s 256 "
)

// ordinary is a look-up that is answered and one that a closed port refuses,
// echo requests, a connection that is made and one that is refused.
const ordinary = `
q='\0\7\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1'
printf "$q" >/dev/udp/198.51.100.53/53
printf "$q" >/dev/udp/198.51.100.1/53
hping3 -n -1 -c 2 -i u100000 198.51.100.80
exec 3<>/dev/tcp/198.51.100.80/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; exec 3>&-
exec 3<>/dev/tcp/198.51.100.1/80`

// recordings are all that -record makes.
func recordings() []recording {
	var all []recording
	for _, p := range places {
		for _, m := range modes {
			if !m.everywhere && !p.all {
				continue
			}
			name := m.name + "-" + p.topology
			all = append(all, recording{name: name, topology: p.topology, commands: []string{strings.ReplaceAll(m.command, "DST", p.dst)}})
			if m.six != "" && p.dst6 != "" {
				all = append(all, recording{name: name + "-ipv6", topology: p.topology, commands: []string{strings.ReplaceAll(m.six, "DST", p.dst6)}})
			}
		}
	}
	for _, s := range single {
		all = append(all, recording{name: s.name, topology: s.topology, commands: []string{s.command}})
	}
	return append(all, mixed...)
}

// A program's run in the lab is captured, with what it printed. That each capture
// fits what was printed is TestExpectations' to say.
func TestPeersRecorded(t *testing.T) {
	if *record == "" {
		t.Fatal("-record names no directory to record to")
	}
	requireLab(t, "tcpdump", "dumpcap", "editcap", "bash")
	dir, err := filepath.Abs(*record)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recordings() {
		t.Run(r.name, func(t *testing.T) {
			script := r.script(filepath.Join(dir, r.name))
			out, err := exec.Command(program(t), "run", r.topology, "--", "bash", "-c", script).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if bytes.Contains(out, []byte("not found")) {
				t.Fatalf("%s", out)
			}
		})
	}
}

// script is a shell script that makes the recording, as files whose names start
// with the path.
func (r recording) script(path string) string {
	capture := r.capture
	if capture == "" {
		capture = tcpdump + "-i eth0"
	}
	if !strings.HasSuffix(capture, " -w") {
		capture += " -w"
	}
	lines := []string{
		"f=" + quoted(path),
		capture + " $f.pcap 2>$f.log & capture=$!",
		"until grep -q -e listening -e File: $f.log; do sleep .1; done",
	}
	around := "(" + r.around + "\n)"
	if r.around != "" {
		lines = append(lines, around, around+" & beside=$!")
	}
	for i, c := range r.commands {
		suffix := ".txt"
		if len(r.commands) > 1 {
			suffix = fmt.Sprintf("-%d.txt", i+1)
		}
		lines = append(lines, "{ echo "+quoted("# "+c)+"; "+c+"; } >$f"+suffix+" & running+=\" $!\"")
	}
	var wait []string
	if r.commands != nil {
		wait = append(wait, "wait $running")
	}
	if r.around != "" {
		wait = append(wait, "wait $beside", around)
	}
	lines = append(lines, wait...)
	lines = append(lines, "sleep .3; kill $capture; wait $capture; rm $f.log", r.then, "true")
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n")
}

// quoted is text as one word of a shell's.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
