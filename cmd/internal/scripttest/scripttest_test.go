package scripttest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

func TestUndeclared(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"nothing", "# exec nmap\nstdout 'nmap'\n", nil},
		{"what everybody has", "exec sed s/a/b/\nexec tracewire -n 192.0.2.1\n", nil},
		{"declared", "[!program:nmap] skip 'nmap is not installed'\nexec nmap\n", nil},
		{"declared too late", "exec nmap\n[!program:nmap] skip 'nmap is not installed'\n", []string{"s:1: nmap"}},
		{"looked at, and not skipped", "[!program:nmap] stop\nexec nmap\n", []string{"s:2: nmap"}},
		{"by another way than the condition", "[!exec:nmap] skip\nexec nmap\n", []string{"s:2: nmap"}},
		{"for one line", "[program:nmap] exec nmap\nexec nmap\n", []string{"s:2: nmap"}},
		{"not", "! exec nmap\n", []string{"s:1: nmap"}},
		{"with a status", "status 2 nmap -x\n", []string{"s:1: nmap"}},
		{"not to be found", "status 127 tracelab run demo -- nosuch\n", nil},
		{"waited for", "await 'a b' nmap -x\n", []string{"s:1: nmap"}},
		{"in the background", "exec nmap -x &running&\n", []string{"s:1: nmap"}},
		{"in a lab", "exec tracelab run --stats demo -- mtr -n\nexec tracelab run demo mtr -n\n", []string{"s:1: mtr", "s:2: mtr"}},
		{"in a shell", "exec sh -c 'A=1 mtr x; nmap|tshark & echo ''jq''; (ip route) && tc'\n",
			[]string{"s:1: mtr", "s:1: nmap", "s:1: tshark", "s:1: ip", "s:1: tc"}},
		{"in a shell in a lab", "exec tracelab run demo -- sh -c 'while sleep .1; do traceroute x; done & exec timeout 20 tcpdump'\n",
			[]string{"s:1: traceroute", "s:1: tcpdump"}},
		{"behind another", "status 1 setpriv --no-new-privs tracewire\nexec timeout 2 nmap\nexec env A=1 nmap\n", []string{"s:1: setpriv", "s:2: nmap", "s:3: nmap"}},
	} {
		if d := cmp.Diff(c.want, undeclared("s", c.script)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestCondition(t *testing.T) {
	for _, c := range []struct {
		condition, required, lacks string
		want                       bool
		err                        string
	}{
		{"program:sh", "", "", true, ""},
		{"program:sh", "1", "", true, ""},
		{"program:no-such-program", "", "", false, ""},
		{"program:no-such-program", "1", "", false, "no-such-program is not installed"},
		{"namespaces", "", "", true, ""},
		{"namespaces", "", "they are refused", false, ""},
		{"namespaces", "1", "they are refused", false, "they are refused (TRACEWIRE_REQUIRE_LABS=1)"},
		{"program:", "", "", false, "no such condition"},
		{"nosuch", "", "", false, "no such condition"},
	} {
		t.Setenv(kernelnet.RequireVariable, c.required)
		got, err := Condition(func() string { return c.lacks })(c.condition)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || (text == "") != (c.err == "") || !strings.Contains(text, c.err) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}
