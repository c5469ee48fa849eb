package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// The MTU of a path is found by each kind of probe and over both families, whether
// the router before the narrow link says so or not; and the recording is what was
// printed.
func TestMTUOfAPath(t *testing.T) {
	kernelnet.Require(t, "nft")
	tests := map[string]string{
		"stated":       nftChain("filter hook output", ""),
		"a black hole": nftChain("filter hook output", "icmp type destination-unreachable icmp code frag-needed drop\nicmpv6 type packet-too-big drop"),
	}
	for name, rules := range tests {
		t.Run(name, func(t *testing.T) {
			c := kernelnet.NewChain(t, 4, &kernelnet.ChainOptions{Families: bothFamilies})
			c.Links[2].SetMTU(1400)
			c.Routers[1].Nft(rules)
			var wait sync.WaitGroup
			for _, kind := range []string{"", "-I", "-T"} {
				for _, f := range bothFamilies {
					want := withHops(" 1  @1  T  T  T\n 2  @2  T  T  T\n 3  @3  T F=1400  T  T\n 4  @4  T  T  T", c.Hops(f))
					args := append(strings.Fields(kind), "--mtu", "-n", f.Destination.String())
					wait.Go(func() {
						if d := cmp.Diff(want, withoutTimes(traced(t, args...))); d != "" {
							t.Errorf("tracewire %v: -want +got\n%s", args, d)
						}
					})
				}
			}
			wait.Wait()
		})
	}
}

// A trace that does not look for the MTU ends where its packets are too long, and the
// finding has the MTU that the router names.
func TestPacketsThatAreTooLong(t *testing.T) {
	kernelnet.Require(t)
	c := kernelnet.NewChain(t, 4, &kernelnet.ChainOptions{Families: bothFamilies})
	c.Links[2].SetMTU(1300)
	for _, f := range bothFamilies {
		got := strings.Join(strings.Fields(output(t, "-F", "-n", "--findings", f.Destination.String(), "1400")), " ")
		want := fmt.Sprintf("path-mtu hops 2 to 3 (certain): Path MTU 1400 → 1300 behind hop 2: %v says so.", c.Hops(f)[1])
		if !strings.Contains(got, want) || !strings.Contains(got, "!F-1300") {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
