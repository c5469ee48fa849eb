//go:build cgo

package findings_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/matcher/findings"
)

// TestMain runs the tests where Linux itself forwards and answers.
func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }

// silence keeps a router from answering, not from forwarding.
func silence(r *kernelnet.Node) { r.Nft(rule("output", "icmp type time-exceeded drop")) }

// rule is an nftables script with one rule.
func rule(hook, rule string) string {
	return "table ip t {\nchain c {\ntype filter hook " + hook + " priority 0\n" + rule + "\n}\n}\n"
}

// What Linux routers do to probes is found at its hops, and nothing is where
// they do nothing: in real frames, with checksum offload and what else there is.
func TestKernelRoutersMakeTheirFindings(t *testing.T) {
	destination := kernelnet.IPv4.Destination.String()
	tests := map[string]struct {
		prepare func(*kernelnet.Chain)
		options tracewire.Options
		want    []string
	}{
		"nothing":                {want: []string{}},
		"nothing, marked probes": {options: tracewire.Options{TOS: 0xb8, DF: true, Length: 1200}, want: []string{}},
		"DSCP": {
			prepare: func(c *kernelnet.Chain) { c.Routers[2].Nft(rule("postrouting", "udp dport 33434 ip dscp set cs1")) },
			want:    []string{"dscp-rewrite 3-4 certain"},
		},
		"NAT, which repairs what is quoted": {
			prepare: func(c *kernelnet.Chain) {
				c.Routers[2].Nft("table ip n {\nchain c {\ntype nat hook postrouting priority 100\nip daddr " + destination + " masquerade\n}\n}\n")
			},
			want: []string{},
		},
		"silence": {prepare: func(c *kernelnet.Chain) { silence(c.Routers[2]) }, want: []string{}},
		"a TTL that is set on all packets": {
			prepare: func(c *kernelnet.Chain) { c.Routers[2].Nft(rule("postrouting", "ip ttl set 64")) },
			want:    []string{"ttl-raised 3-4 certain"},
		},
		"a TTL that is set on replies": {
			prepare: func(c *kernelnet.Chain) { c.Routers[1].Nft(rule("postrouting", "ip protocol icmp ip ttl set 64")) },
			want:    []string{"ttl-raised 2-3 likely"},
		},
		"what Linux rejects with by default": {
			prepare: func(c *kernelnet.Chain) {
				c.Routers[2].Nft(rule("forward", "ip daddr "+destination+" reject"))
			},
			want: []string{"refusal 3-3 certain"},
		},
		"a refusal when forwarding": {
			prepare: func(c *kernelnet.Chain) { c.Routers[2].Nft(rule("forward", "reject with icmp type admin-prohibited")) },
			want:    []string{"refusal 3-3 certain"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := kernelnet.NewChain(t, 6, nil)
			if test.prepare != nil {
				test.prepare(c)
			}
			p, err := tracewire.Trace(t.Context(), destination, &test.options)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, placedKinds(t, findings.Of(p))); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
