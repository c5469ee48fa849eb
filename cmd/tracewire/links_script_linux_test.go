package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/cmd/internal/scripttest"
)

// The scripts in testdata/links run the program where a host has several ways to
// 10.99.0.1 (over IPv6, fd99::1; fd77:1::2 is 10.77.1.2, and so on):
//
//	              ┌── 10.77.1.2 r1 ───────────────────────────────┐
//	host ─ switch ┤   │  └ 10.77.5.2 ─ office, a network namespace far 10.99.0.1
//	  │           └── 10.77.1.3 r2 ─── 10.77.3.2 x ─── y ─────────┘    10.98.0.1
//	  └─ trunk, VLAN 5 ─ 10.78.1.2 r1
//
// Its default route leads through r1, and that of mark 7 through r2. What far
// answers comes back through y, x and r2.
func TestLinkScripts(t *testing.T) {
	kernelnet.Require(t, "ip")
	variables := severalWays(kernelnet.New(t), t.Cleanup)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/links",
		Setup: func(e *testscript.Env) error {
			for name, value := range variables {
				e.Setenv(name, value)
			}
			return nil
		},
		Condition: scripttest.Condition(nil),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"oneline": scripttest.OneLine("tracewire"), "status": scripttest.Status, "recorded": recorded,
		},
	})
}

// recorded ARG… runs the program, and checks that what it has recorded is, as JSON,
// what it has printed. Standard output is then the trace as text.
func recorded(ts *testscript.TestScript, _ bool, args []string) {
	args = append([]string{"--write", "run.pcapng", "-n", "--format", "json"}, args...)
	ts.Check(ts.Exec("tracewire", args...))
	live := ts.ReadFile("stdout")
	ts.Check(ts.Exec("tracewire", "replay", "--format", "json", "run.pcapng"))
	if again := ts.ReadFile("stdout"); live == "" || again != live {
		ts.Fatalf("printed\n%sand the replay\n%s", live, again)
	}
	ts.Check(ts.Exec("tracewire", "replay", "-n", "run.pcapng"))
}

// severalWays builds the network, and returns what scripts know of it.
func severalWays(n *kernelnet.Network, cleanup func(func())) map[string]string {
	host, lan := n.Host(), n.Router("switch")
	r1, r2, x, y := n.Router("r1"), n.Router("r2"), n.Router("x"), n.Router("y")
	far, office := n.Router("far"), n.Router("office")
	toHost, toR1, toR2 := n.Link(host, lan), n.Link(r1, lan), n.Link(r2, lan)
	n.Bridge("br0", []kernelnet.End{toHost.B, toR1.B, toR2.B})
	for i, l := range []*kernelnet.Link{toHost, toR1, toR2} {
		l.A.Number(both(fmt.Sprintf("10.77.1.%d/24", i+1))...)
	}
	n.Link(r1, far, both("10.77.2.0/24")...)
	n.Link(r2, x, both("10.77.3.0/24")...)
	n.Link(x, y, both("10.77.4.0/24")...)
	n.Link(y, far, both("10.77.6.0/24")...)
	n.Link(office, r1, both("10.77.5.0/24")...)
	trunk := trunkOf(n.Link(host, r1))
	far.Address(both("10.99.0.1")...)
	far.Address(both("10.98.0.1")...)
	for _, way := range []struct {
		from *kernelnet.Node
		via  string
		to   []string
	}{
		{host, "10.77.1.2", []string{"10.99.0.1"}},
		{host, "10.78.1.2", []string{"10.98.0.1"}},
		{office, "10.77.5.2", []string{"10.99.0.1"}},
		{r1, "10.77.2.2", []string{"10.99.0.1", "10.98.0.1"}},
		{r2, "10.77.3.2", []string{"10.99.0.1"}},
		{x, "10.77.4.2", []string{"10.99.0.1"}},
		{y, "10.77.6.2", []string{"10.99.0.1"}},
		{far, "10.77.6.1", []string{"10.77.1.0/24", "10.77.5.0/24", "10.78.1.0/24"}},
		{y, "10.77.4.1", []string{"10.77.1.0/24", "10.77.5.0/24", "10.78.1.0/24"}},
		{x, "10.77.3.1", []string{"10.77.1.0/24", "10.77.5.0/24", "10.78.1.0/24"}},
		{r2, "10.77.1.2", []string{"10.77.5.0/24", "10.78.1.0/24"}},
	} {
		for _, dst := range way.to {
			way.from.Route(dst, way.via)
			way.from.Route(sixOf(dst), sixOf(way.via))
		}
	}
	for _, family := range []string{"-4", "-6"} {
		for _, about := range []string{"fwmark 7", "ipproto udp dport 5000", "ipproto tcp sport 7000", "tos 0x10"} {
			rule := append(strings.Fields(about), "table", "77")
			host.Run(append([]string{"ip", family, "rule", "add"}, rule...)...)
			cleanup(func() { host.Run(append([]string{"ip", family, "rule", "del"}, rule...)...) })
		}
	}
	host.Run("ip", "route", "add", "10.99.0.1", "via", "10.77.1.3", "table", "77")
	host.Run("ip", "route", "add", "fd99:0::1", "via", "fd77:1::3", "table", "77")
	office.Publish("office")
	return map[string]string{
		"PATH": os.Getenv("PATH"), "R2_MAC": toR2.A.MAC.String(), "TRUNK_MAC": trunk.B.MAC.String(),
	}
}

// trunkOf has the host's end in no VLAN, and the other's in VLAN 5, where it knows the
// host without asking, since that would not answer; and it forwards nothing that has
// no tag.
func trunkOf(l *kernelnet.Link) *kernelnet.Link {
	l.A.Number(both("10.78.1.1/24")...)
	sub := l.B.VLAN(5, both("10.78.1.2/24")...)
	for _, host := range both("10.78.1.1") {
		l.B.Node.Run("ip", "neigh", "add", host, "lladdr", l.A.MAC.String(), "dev", sub.Interface)
	}
	l.B.Node.Sysctl("net.ipv4.conf."+l.B.Interface+".forwarding", "0")
	return l
}

// both are an address or a subnet, and what stands for it over IPv6.
func both(four string) []string { return []string{four, sixOf(four)} }

var fourParts = regexp.MustCompile(`^10\.(\d+)\.(\d+)\.(\d+)(/24)?$`)

// sixOf is fd77:1::2 for 10.77.1.2, and so on.
func sixOf(four string) string {
	parts := fourParts.FindStringSubmatch(four)
	six := fmt.Sprintf("fd%s:%s::%s", parts[1], parts[2], parts[3])
	if parts[4] != "" {
		six += "/64"
	}
	return six
}
