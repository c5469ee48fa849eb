package findings_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher/findings"
)

// endOfRow is the hop of a row's destination: there are routers up to the one
// before it, 10.0.n.1 at hop n.
const endOfRow = 9

// row is a plain chain in which some hops have switches on: keys of a [[router]]
// or, at endOfRow, of the [[destination]]. Under 0 are keys of all links, under
// -n those of the one to hop n.
func row(t *testing.T, switches map[int]string) *topology.Topology {
	t.Helper()
	var b strings.Builder
	fmt.Fprint(&b, "name = \"row\"\nseed = 5\n")
	before := "host"
	for hop := 1; hop <= endOfRow; hop++ {
		kind, addr := "router", fmt.Sprintf("10.0.%d.1", hop)
		if hop == endOfRow {
			kind, addr = "destination", "198.51.100.1"
		}
		fmt.Fprintf(&b, "\n[[%s]]\nname = \"n%d\"\naddresses = [\"%s\"]\n%s\n", kind, hop, addr, switches[hop])
		link := switches[-hop]
		if !strings.Contains(link, "delay") {
			link += "\ndelay = \"1ms\""
		}
		fmt.Fprintf(&b, "\n[[link]]\npath = [\"%s\", \"n%d\"]\n%s\n%s\n", before, hop, switches[0], link)
		before = fmt.Sprint("n", hop)
	}
	return parsed(t, b.String())
}

func parsed(t *testing.T, file string) *topology.Topology {
	t.Helper()
	top, err := topology.Parse("inline", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// behind sets the same switch at all hops from one to another.
func behind(from, to int, keys string) map[int]string {
	all := map[int]string{}
	for hop := from; hop <= to; hop++ {
		all[hop] = keys
	}
	return all
}

// Whatever probes are like, a path on which nothing happens has no findings. That
// a target says nothing is one.
func TestACleanPathHasNoFindings(t *testing.T) {
	options := []tracewire.Options{
		{}, {Queries: 1}, {Queries: 10, InFlight: 1}, {TOS: 0xb9, DF: true, Length: 1400}, {FirstTTL: 5}, {MaxTTL: 5}, {FirstTTL: 9},
	}
	for seed := range uint64(5) {
		for _, o := range options {
			for _, target := range []string{"", `udp = "echo"`, `udp = "nothing"`} {
				o.Seed = seed + 1
				p := simulated(t, row(t, map[int]string{endOfRow: target}), netip.MustParseAddr("198.51.100.1"), o)
				want := []string{}
				if target == `udp = "nothing"` && o.MaxTTL == 0 {
					want = []string{fmt.Sprintf("silence %d-9 likely", map[bool]int{true: 0, false: 8}[o.FirstTTL == 9])}
				}
				if d := cmp.Diff(want, placedKinds(t, findings.Of(p))); d != "" {
					t.Errorf("%+v, target %q: -want +got\n%s", o, target, d)
				}
			}
		}
	}
}

// Each switch of the lab makes its finding, at its hops, and nothing else.
func TestEachSwitchMakesItsFinding(t *testing.T) {
	tests := map[string]struct {
		switches map[int]string
		options  tracewire.Options
		want     []string
	}{
		"a clean path":                            {},
		"a clean path, marked probes":             {options: tracewire.Options{TOS: 0xb9, DF: true, Length: 1000, Queries: 10}},
		"routers that begin with 255":             {switches: behind(1, 8, `answer = { ttl = 255 }`)},
		"routers that begin with 128, or with 64": {switches: map[int]string{2: `answer = { ttl = 128 }`, 5: `answer = { ttl = 255 }`, 9: `answer = { ttl = 128 }`}},

		"DSCP set":                    {switches: map[int]string{4: `set_dscp = 46`}, want: []string{"dscp-rewrite 4-5 certain"}},
		"DSCP bleached":               {switches: map[int]string{4: `set_dscp = 0`}, options: tracewire.Options{TOS: 0xb8}, want: []string{"dscp-rewrite 4-5 certain"}},
		"DSCP set to what it was":     {switches: map[int]string{4: `set_dscp = 46`}, options: tracewire.Options{TOS: 0xb8}},
		"DSCP set at the first hop":   {switches: map[int]string{1: `set_dscp = 8`}, want: []string{"dscp-rewrite 1-2 certain"}},
		"DSCP set at the last router": {switches: map[int]string{8: `set_dscp = 8`}, want: []string{"dscp-rewrite 8-9 likely"}},
		"DSCP set before a silent hop": {switches: map[int]string{4: `set_dscp = 8`, 5: `answer = { silent = true }`},
			want: []string{"dscp-rewrite 4-6 certain"}},
		"DSCP set and reset": {switches: map[int]string{3: `set_dscp = 46`, 6: `set_dscp = 0`},
			want: []string{"dscp-rewrite 3-4 certain", "dscp-rewrite 6-7 certain"}},
		"DSCP set and reset at once": {switches: map[int]string{3: `set_dscp = 46`, 4: `set_dscp = 0`},
			want: []string{"dscp-rewrite 3-4 possible"}},
		"DSCP set twice": {switches: map[int]string{3: `set_dscp = 46`, 6: `set_dscp = 8`},
			want: []string{"dscp-rewrite 3-4 certain", "dscp-rewrite 6-7 certain"}},
		"ECN set":     {switches: map[int]string{4: `set_ecn = 3`}, options: tracewire.Options{TOS: 2}, want: []string{"ecn-rewrite 4-5 certain"}},
		"ECN cleared": {switches: map[int]string{4: `set_ecn = 0`}, options: tracewire.Options{TOS: 1}, want: []string{"ecn-rewrite 4-5 certain"}},
		"the whole byte": {switches: map[int]string{4: "set_dscp = 10\nset_ecn = 1"},
			want: []string{"dscp-rewrite 4-5 certain", "ecn-rewrite 4-5 certain"}},

		"TTL 0 forwarded":                    {switches: map[int]string{4: `zero_ttl = true`}, want: []string{"zero-ttl 4-5 certain"}},
		"TTL 0 forwarded twice":              {switches: behind(4, 5, `zero_ttl = true`), want: []string{"zero-ttl 4-6 certain"}},
		"TTL 0 forwarded thrice":             {switches: behind(4, 6, `zero_ttl = true`), want: []string{"zero-ttl 4-7 certain"}},
		"TTL 0 forwarded to the destination": {switches: map[int]string{8: `zero_ttl = true`}, want: []string{"zero-ttl 8-8 likely"}},
		"a tunnel that keeps the TTL":        {switches: behind(4, 6, `keep_ttl = true`)},
		"TTL quoted as sent":                 {switches: map[int]string{4: `answer = { quote = { ttl = "sent" } }`}, want: []string{"ttl-rewrite 4-4 likely"}},
		"TTL quoted as sent by the second": {switches: map[int]string{2: `answer = { quote = { ttl = "sent" } }`},
			want: []string{"ttl-rewrite 2-2 possible"}},
		"TTL quoted as sent by all from some on": {switches: behind(4, 8, `answer = { quote = { ttl = "sent" } }`),
			want: []string{"ttl-rewrite 3-4 likely"}},
		"TTL quoted as sent by all": {switches: behind(1, 8, `answer = { quote = { ttl = "sent" } }`),
			want: []string{"ttl-rewrite 1-2 likely"}},
		"TTL decremented before it is quoted": {switches: map[int]string{4: `answer = { quote = { ttl = "decremented" } }`},
			want: []string{"ttl-rewrite 4-4 likely"}},
		"TTL decremented by all": {switches: behind(1, 8, `answer = { quote = { ttl = "decremented" } }`),
			want: []string{"ttl-rewrite 1-8 possible"}},
		"TTL above the one sent": {switches: map[int]string{4: `answer = { quote = { ttl = "value", ttl_value = 200 } }`},
			want: []string{"ttl-rewrite 4-4 certain"}},
		"TTL that nothing explains": {switches: map[int]string{6: `answer = { quote = { ttl = "value", ttl_value = 4 } }`},
			want: []string{"ttl-rewrite 6-6 likely"}},

		"NAT that leaves the checksum":  {switches: map[int]string{3: `nat = { address = "203.0.113.9", keep_quoted_checksum = true }`}, want: []string{"nat 3-4 likely"}},
		"NAT that repairs the checksum": {switches: map[int]string{3: `nat = { address = "203.0.113.9" }`}},
		"two NATs": {switches: map[int]string{
			2: `nat = { address = "100.64.7.7", keep_quoted_checksum = true }`, 5: `nat = { address = "203.0.113.9", keep_quoted_checksum = true }`,
		}, want: []string{"nat 2-3 likely", "nat 5-6 likely"}},
		"NAT behind which quotes are short": {switches: map[int]string{
			3: `nat = { address = "203.0.113.9", keep_quoted_checksum = true }`, 4: `answer = { quote = { length = 26 } }`,
		}, want: []string{"nat 3-5 likely"}},
		"NAT at the last router": {switches: map[int]string{8: `nat = { address = "203.0.113.9", keep_quoted_checksum = true }`},
			want: []string{"nat 8-9 possible"}},

		"ID swapped": {switches: map[int]string{4: `answer = { quote = { id = "swapped" } }`}, want: []string{"id-rewrite 4-4 certain"}},
		"ID zeroed":  {switches: map[int]string{4: `answer = { quote = { id = "zero" } }`}, want: []string{"id-rewrite 4-4 certain"}},
		"ID swapped by two": {switches: behind(4, 5, `answer = { quote = { id = "swapped" } }`),
			want: []string{"id-rewrite 4-5 certain"}},
		"ID swapped by the destination": {switches: map[int]string{9: `answer = { quote = { id = "swapped" } }`}, want: []string{"id-rewrite 9-9 likely"}},
		"ID zeroed by the destination":  {switches: map[int]string{9: `answer = { quote = { id = "zero" } }`}, want: []string{"id-rewrite 8-9 possible"}},
		"ID zeroed by all from some on": {switches: behind(4, 9, `answer = { quote = { id = "zero" } }`), want: []string{"id-rewrite 3-4 likely"}},

		"quotes of 28 bytes":                        {switches: behind(1, 9, `answer = { quote = { length = 28 } }`)},
		"quotes of everything":                      {switches: behind(1, 9, `answer = { quote = { length = -1 } }`)},
		"a quote too short for all":                 {switches: map[int]string{4: `answer = { quote = { length = 8 } }`}},
		"an error that states too little of itself": {switches: map[int]string{4: `answer = { wrong_length = true }`}},
		"an interface named":                        {switches: map[int]string{4: `answer = { interface = { index = 3, name = "eth0" } }`}},
		"a silent router":                           {switches: map[int]string{4: `answer = { silent = true }`}},
		"a silent destination":                      {switches: map[int]string{9: `answer = { silent = true }`}, want: []string{"silence 8-9 likely"}},
		"a silent destination, just in reach":       {switches: map[int]string{9: `answer = { silent = true }`}, options: tracewire.Options{MaxTTL: 10}},
		"a slow router":                             {switches: map[int]string{4: `answer = { delay = "40ms" }`}, want: []string{"slow-replies 4-4 possible"}},
		"a slow router, ten queries": {switches: map[int]string{4: `answer = { delay = "40ms" }`}, options: tracewire.Options{Queries: 10},
			want: []string{"slow-replies 4-4 likely"}},
		"a slow router, just before a long link": {switches: map[int]string{4: `answer = { delay = "40ms" }`, -6: `delay = "60ms"`},
			want: []string{"slow-replies 4-4 possible", "latency 5-6 likely"}},
		"a router that is slow by little": {switches: map[int]string{4: `answer = { delay = "15ms" }`}, options: tracewire.Options{Queries: 10}},
		"a long link":                     {switches: map[int]string{-5: `delay = "40ms"`}, want: []string{"latency 4-5 likely"}},
		"a long link to the destination":  {switches: map[int]string{-9: `delay = "40ms"`}, want: []string{"latency 8-9 likely"}},
		"a long first link":               {switches: map[int]string{-1: `delay = "40ms"`}, want: []string{"latency 0-1 likely"}},
		"long links, each a third":        {switches: map[int]string{-2: `delay = "40ms"`, -5: `delay = "40ms"`, -8: `delay = "40ms"`}},
		"a link of 12 ms":                 {switches: map[int]string{-5: `delay = "12ms"`}},
		"jitter of 100 ms everywhere":     {switches: map[int]string{-1: `jitter = "50ms"`}},

		"labels": {switches: behind(4, 5, `answer = { mpls = { labels = [{ label = 16001 }] } }`), want: []string{"mpls 4-5 certain"}},
		"labels in two tunnels": {switches: map[int]string{
			3: `answer = { mpls = { labels = [{ label = 16001 }] } }`, 5: `answer = { mpls = { labels = [{ label = 16001 }] } }`,
		}, want: []string{"mpls 3-3 certain", "mpls 5-5 certain"}},
		"labels, Length 17": {switches: map[int]string{4: `answer = { mpls = { form = "length-17-at-128", labels = [{ label = 16001 }] } }`},
			want: []string{"mpls 4-4 certain"}},
		"labels, Length 0": {switches: map[int]string{4: `answer = { mpls = { form = "length-0-at-128", labels = [{ label = 16001 }] } }`},
			want: []string{"mpls 4-4 certain"}},
		"labels, Length garbage": {switches: map[int]string{4: `answer = { mpls = { form = "garbage", labels = [{ label = 16001 }] } }`},
			want: []string{"mpls 4-4 certain"}},
		"labels and TTLs that rise": {switches: map[int]string{
			4: `answer = { quote = { ttl = "value", ttl_value = 1 }, return_hops = 4, mpls = { labels = [{ label = 16001 }] } }`,
			5: `answer = { quote = { ttl = "value", ttl_value = 2 }, return_hops = 2, mpls = { labels = [{ label = 16002 }] } }`,
			6: `answer = { quote = { ttl = "value", ttl_value = 3 }, mpls = { labels = [{ label = 16003 }] } }`,
		}, want: []string{"mpls 4-6 certain"}},
		"an opaque tunnel": {switches: map[int]string{4: `answer = { mpls = { labels = [{ label = 16001, ttl = 252 }] } }`},
			want: []string{"mpls 4-4 certain"}},
		"an implicit tunnel": {switches: map[int]string{
			4: `answer = { quote = { ttl = "value", ttl_value = 1 } }`,
			5: `answer = { quote = { ttl = "value", ttl_value = 2 } }`,
			6: `answer = { quote = { ttl = "value", ttl_value = 3 } }`,
		}, want: []string{"mpls 4-6 likely"}},
		"an implicit tunnel whose replies go on to its end": {switches: map[int]string{
			4: `answer = { quote = { ttl = "value", ttl_value = 1 }, return_hops = 4 }`,
			5: `answer = { quote = { ttl = "value", ttl_value = 2 }, return_hops = 2 }`,
			6: `answer = { quote = { ttl = "value", ttl_value = 3 } }`,
		}, want: []string{"mpls 4-6 certain"}},
		"an implicit tunnel of two": {switches: map[int]string{5: `answer = { quote = { ttl = "value", ttl_value = 2 } }`},
			want: []string{"mpls 4-5 possible"}},
		"replies that go on to a tunnel's end": {switches: map[int]string{4: `answer = { return_hops = 4 }`, 5: `answer = { return_hops = 2 }`},
			want: []string{"mpls 4-5 possible"}},
		"an address twice": {switches: map[int]string{5: `answer = { as = "10.0.4.1" }`}, want: []string{"mpls 4-5 possible"}},
		"an address twice, and the way back longer from there": {switches: map[int]string{
			4: `answer = { return_hops = 3 }`, 5: `answer = { as = "10.0.4.1", return_hops = 3 }`,
			6: `answer = { return_hops = 3 }`, 7: `answer = { return_hops = 3 }`, 8: `answer = { return_hops = 3 }`, 9: `answer = { return_hops = 3 }`,
		}, want: []string{"mpls 4-5 likely"}},

		"a longer way back from one":      {switches: map[int]string{4: `answer = { return_hops = 3 }`}, want: []string{"asymmetry 4-4 likely"}},
		"a longer way back, another TTL":  {switches: map[int]string{4: `answer = { ttl = 255, return_hops = 2 }`}, want: []string{"asymmetry 4-4 likely"}},
		"a shorter way back from one":     {switches: map[int]string{6: `answer = { return_hops = -3 }`}, want: []string{"asymmetry 6-6 likely"}},
		"a way back longer by one":        {switches: map[int]string{4: `answer = { return_hops = 1 }`}},
		"a longer way back from some on":  {switches: behind(4, 9, `answer = { return_hops = 3 }`), want: []string{"asymmetry 3-4 likely"}},
		"a shorter way back from some on": {switches: behind(6, 9, `answer = { return_hops = -2 }`), want: []string{"asymmetry 5-6 likely"}},

		"a router with the destination's name": {switches: map[int]string{4: `answer = { as_destination = true }`},
			want: []string{"ttl-exceeded-from-destination 4-4 likely"}},
		"the last router with the destination's name": {switches: map[int]string{8: `answer = { as_destination = true }`},
			want: []string{"ttl-exceeded-from-destination 8-8 certain"}},
		"a refusal before forwarding":          {switches: map[int]string{4: `reject = { code = 13 }`}, want: []string{"refusal 4-4 certain"}},
		"a refusal when forwarding":            {switches: map[int]string{4: `reject = { code = 13, hook = "forward" }`}, want: []string{"refusal 4-4 certain"}},
		"a port-unreachable when forwarding":   {switches: map[int]string{4: `reject = { code = 3, hook = "forward" }`}, want: []string{"refusal 4-4 certain"}},
		"a port-unreachable before forwarding": {switches: map[int]string{4: `reject = { code = 3 }`}, want: []string{"other-address 4-4 likely"}},
		"a destination with another address":   {switches: map[int]string{9: `answer = { as = "10.0.9.9" }`}, want: []string{"other-address 9-9 likely"}},
		"a refusal in the destination's name":  {switches: map[int]string{4: "reject = { code = 3 }\nanswer = { as_destination = true }"}},
		"a loop":                               {switches: map[int]string{5: `answer = { as = "10.0.3.1" }`, 6: `answer = { as = "10.0.4.1" }`}, want: []string{"loop 3-6 likely"}},
		"a loop that goes on": {switches: map[int]string{
			5: `answer = { as = "10.0.3.1" }`, 6: `answer = { as = "10.0.4.1" }`, 7: `answer = { as = "10.0.3.1" }`, 8: `answer = { as = "10.0.4.1" }`,
		}, want: []string{"loop 3-8 certain"}},
		"an address that comes again once": {switches: map[int]string{5: `answer = { as = "10.0.3.1" }`}},
		"one address at three hops":        {switches: behind(4, 6, `answer = { as = "10.0.4.1" }`), want: []string{"loop 4-6 possible"}},

		"a limited router": {switches: map[int]string{4: `answer = { limit = { rate = 2, burst = 1 } }`}, want: []string{"rate-limit 4-4 possible"}},
		"a limited router, ten queries": {switches: map[int]string{4: `answer = { limit = { rate = 2, burst = 1 } }`}, options: tracewire.Options{Queries: 10},
			want: []string{"rate-limit 4-4 certain"}},
		"a limit that is not reached": {switches: map[int]string{4: `answer = { limit = { rate = 1, burst = 6 } }`}},
		"a limited destination": {switches: map[int]string{9: `answer = { limit = { rate = 1, burst = 6 } }`}, options: tracewire.Options{Queries: 10},
			want: []string{"rate-limit 9-9 possible"}},
		"jitter, duplicates and packets that overtake": {switches: map[int]string{0: "jitter = \"2ms\"\nreorder = 0.3\nduplicate = 0.2"}},
		"a smaller MTU that is sought": {switches: map[int]string{-4: `mtu = 1300`}, options: tracewire.Options{MTU: true, Length: 1500},
			want: []string{"path-mtu 3-4 certain"}},
		"a smaller MTU that no router tells": {switches: map[int]string{3: `answer = { silent = true }`, -4: `mtu = 1300`},
			options: tracewire.Options{MTU: true, Length: 1500}, want: []string{"path-mtu 2-4 likely"}},
		"two smaller MTUs": {switches: map[int]string{-4: `mtu = 1400`, -7: `mtu = 1300`}, options: tracewire.Options{MTU: true, Length: 1500},
			want: []string{"path-mtu 3-4 certain", "path-mtu 6-7 certain"}},
		"an MTU that stays": {options: tracewire.Options{MTU: true, Length: 1500}},
		"a small MTU":       {switches: map[int]string{0: `mtu = 576`}, options: tracewire.Options{Length: 576}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := simulated(t, row(t, test.switches), netip.MustParseAddr("198.51.100.1"), test.options)
			want := test.want
			if want == nil {
				want = []string{}
			}
			if d := cmp.Diff(want, placedKinds(t, findings.Of(p))); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
