package main

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

var bothFamilies = []kernelnet.Family{kernelnet.IPv4, kernelnet.IPv6}

// asTraceroute are arguments that mean the same to traceroute and to us, and how
// a chain's last router answers: on its TCP port 443 and its UDP port 7, which are
// open, and on others.
var asTraceroute = map[string]string{
	"UDP":              "",
	"an open UDP port": "-U -p 7",
	"DNS":              "-U",
	"echo":             "-I",
	"a closed port":    "-T -p 81",
	"an open port":     "-T -p 443",
}

// Every kind of probe finds what traceroute finds with it, over both families,
// whatever stands in the way; and the recording is what was printed.
func TestFamiliesBesideTraceroute(t *testing.T) {
	kernelnet.Require(t, "traceroute", "nft")
	const all = " 1  @1  T  T  T\n 2  @2  T  T  T\n 3  @3  T  T  T\n 4  @4  T  T  T"
	refuse := func(why string) string {
		return nftChain("filter hook prerouting", "ip daddr 10.99.0.1 reject with icmpx type "+why+"\nip6 daddr fd99::1 reject with icmpx type "+why)
	}
	tests := map[string]struct {
		router int // that has these rules
		rules  string
		want   string // the lines, with @N for the address of hop N
		but    string // the kind of probe that sees all
	}{
		"nothing":               {1, "", all, ""},
		"a silent router":       {3, nftChain("filter hook output", "icmp type time-exceeded drop\nicmpv6 type time-exceeded drop"), strings.Replace(all, "@3  T  T  T", "* * *", 1), ""},
		"a NAT":                 {2, nftChain("nat hook postrouting", "oifname eth1 masquerade"), all, ""},
		"a router that refuses": {3, refuse("admin-prohibited"), " 1  @1  T  T  T\n 2  @2  T  T  T\n 3  @3  T !X  T !X  T !X", ""},
		"a host that is gone":   {3, refuse("host-unreachable"), " 1  @1  T  T  T\n 2  @2  T  T  T\n 3  @3  T !H  T !H  T !H", ""},
		"a firewall": {3, nftChain("filter hook forward", "iifname eth0 tcp dport != 443 drop\niifname eth0 meta l4proto != tcp drop"),
			strings.Replace(all, "@4  T  T  T", "* * *\n 5  * * *", 1), "an open port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := kernelnet.NewChain(t, 4, &kernelnet.ChainOptions{Families: bothFamilies})
			serve(t, c.Routers[3])
			if test.rules != "" {
				c.Routers[test.router-1].Nft(test.rules)
			}
			var wait sync.WaitGroup
			for kind, args := range asTraceroute {
				lines := test.want
				if kind == test.but {
					lines = all
				}
				for _, f := range bothFamilies {
					want := withHops(lines, c.Hops(f))
					args := append(strings.Fields(args), "-n", "-w", "2", "-m", "5", f.Destination.String())
					wait.Go(func() { besideTraceroute(t, want, args) })
				}
			}
			wait.Wait()
		})
	}
}

// withHops puts addresses into lines that have @1, @2, … for them.
func withHops(lines string, hops []netip.Addr) string {
	for i, a := range hops {
		lines = strings.ReplaceAll(lines, fmt.Sprint("@", i+1), a.String())
	}
	return lines
}

// besideTraceroute checks what traceroute and we print with the same arguments, at
// the same time.
func besideTraceroute(t *testing.T, want string, args []string) {
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { tracerouteShows(t, want, args) })
	if d := cmp.Diff(want, withoutTimes(traced(t, args...))); d != "" {
		t.Errorf("tracewire %v: -want +got\n%s", args, d)
	}
}

// tracerouteShows checks what traceroute prints with these arguments. Any goroutine
// may call it.
func tracerouteShows(t *testing.T, want string, args []string) {
	out, err := exec.Command("traceroute", args...).Output()
	if err != nil {
		t.Errorf("traceroute %v: %v", args, err)
	}
	if d := cmp.Diff(want, withoutTimes(string(out))); d != "" {
		t.Errorf("traceroute %v: -want +got\n%s", args, d)
	}
}

// nftChain is an nftables script for both families with these rules.
func nftChain(hook, rules string) string {
	return "table inet t {\nchain c {\ntype " + hook + " priority 0\n" + rules + "\n}\n}\n"
}

// serve has the end of a chain accept connections on TCP port 443, and return what
// it is sent to UDP port 7.
func serve(t *testing.T, n *kernelnet.Node) {
	t.Helper()
	err := n.Do(func() error {
		web, err := net.Listen("tcp", ":443")
		if err != nil {
			return err
		}
		t.Cleanup(func() { web.Close() })
		for _, f := range bothFamilies {
			// A socket without an address of its own would answer from another one.
			conn, err := net.ListenPacket("udp", netip.AddrPortFrom(f.Destination, 7).String())
			if err != nil {
				return err
			}
			var echo sync.WaitGroup
			echo.Go(func() { returnAll(conn) })
			t.Cleanup(func() {
				conn.Close()
				echo.Wait()
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// returnAll sends back what it receives, until the connection is closed.
func returnAll(conn net.PacketConn) {
	b := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(b[:n], from)
	}
}

// traced runs the program with these arguments, checks that the recording is
// what was printed, and returns the text that is printed of that. Any goroutine
// may call it.
func traced(t *testing.T, args ...string) string {
	file := filepath.Join(t.TempDir(), "run.pcapng")
	live := output(t, append([]string{"--write", file, "--format", "json"}, args...)...)
	if again := output(t, "replay", "--format", "json", file); live == "" || again != live {
		t.Errorf("%v printed\n%sand the replay\n%s", args, live, again)
	}
	return output(t, "replay", "-n", file)
}

// output is what the program prints with these arguments.
func output(t *testing.T, args ...string) string {
	cmd, out := start(t, args...)
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %v: %s", args, err, out)
	}
	return out.String()
}

var roundTrip = regexp.MustCompile(`\d+\.\d{3} ms`)

// withoutTimes are the hops of lines like traceroute's, with T for each round
// trip.
func withoutTimes(text string) string {
	_, hops, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return besideLines.ReplaceAllString(roundTrip.ReplaceAllString(hops, "T"), "")
}

// besideLines is what stands on standard error beside the lines of hops: the state of
// a port, say.
var besideLines = regexp.MustCompile(`\ntracewire: .*`)
