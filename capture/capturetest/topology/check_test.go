package topology_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// lab is a topology without fault, which the cases spoil.
const lab = `name = "lab"

[host]
addresses = ["192.0.2.10/24", "2001:db8::10/64"]
gateways = ["192.0.2.1", "2001:db8::1"]

[[router]]
name = "r1"
dns = "r1.example"
addresses = ["192.0.2.1", "2001:db8::1"]

[[router]]
name = "r2"
dns = "r2.example"
addresses = ["10.0.0.2", "2001:db8:2::2"]

[[destination]]
name = "d"
dns = "d.example"
addresses = ["198.51.100.1", "2001:db8:3::1"]

[[prefix]]
prefix = "10.16.0.0/12"
behind = "r2"
max_hops = 3
routers = "100.64.0.0/16"

[[link]]
path = ["host", "r1", "r2"]
delay = "1ms"

[[link]]
path = ["r2", "d"]
`

// spoilt is the lab with text replaced, as in strings.NewReplacer.
func spoilt(t *testing.T, edits []string) string {
	t.Helper()
	spoilt := lab
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(spoilt, edits[i]) {
			t.Fatalf("no %q in the lab", edits[i])
		}
		spoilt = strings.Replace(spoilt, edits[i], edits[i+1], 1)
	}
	return spoilt
}

func TestFaults(t *testing.T) {
	type edits = []string
	const (
		r2 = "dns = \"r2.example\"\n"
		d  = "dns = \"d.example\"\n"
		l2 = "path = [\"r2\", \"d\"]\n"
	)
	tests := []struct {
		name  string
		edits edits
		want  string
	}{
		{`syntax`, edits{`max_hops = 3`, `max_hops = `},
			`lab.toml:25:12: unexpected character U+000A at start of value`},
		{`key twice`, edits{`max_hops = 3`, "max_hops = 3\nmax_hops = 4"},
			`lab.toml:26:1: key max_hops is already defined`},
		{`unknown key`, edits{`behind`, `behnd`},
			`lab.toml:24:1: prefix: unknown key "behnd"; did you mean "behind"?`},
		{`unknown key, nothing like it`, edits{`max_hops = 3`, "max_hops = 3\ncolour = \"red\""},
			`lab.toml:26:1: prefix: unknown key "colour"; known are answer, behind, delay, max_hops, min_hops, no_echo, prefix, routers, tcp_filtered, tcp_open, udp`},
		{`unknown table`, edits{`[host]`, `[hosts]`},
			`lab.toml:3:2: unknown key "hosts"; did you mean "host"?`},
		{`key of the wrong case`, edits{`name = "r1"`, `Name = "r1"`},
			`lab.toml:8:1: router: unknown key "Name"; did you mean "name"?` + "\n" +
				`lab.toml:29:17: link "host" to "r2": no node "r1"; did you mean "r2"?; known are d, host, r2`},
		{`names that do not print`, edits{`name = "r1"`, `name = "r\n1\u001b[31m"`},
			`lab.toml:29:17: link "host" to "r2": no node "r1"; did you mean "r2"?; known are d, host, r�1�[31m, r2`},
		{`unknown key inside`, edits{r2, r2 + "answer = { quote = { len = 8 } }\n"},
			`lab.toml:15:22: router.answer.quote: unknown key "len"; known are id, length, ttl, ttl_value`},
		{`string for a number`, edits{r2, r2 + "set_dscp = \"46\"\n"},
			`lab.toml:15:1: router.set_dscp: string "46", want an integer`},
		{`number for a string`, edits{r2, r2 + "balance = 1\n"},
			`lab.toml:15:1: router.balance: integer 1, want a string`},
		{`boolean for a table`, edits{r2, r2 + "answer = true\n"},
			`lab.toml:15:1: router.answer: boolean true, want a table`},
		{`array for a boolean`, edits{r2, r2 + "zero_ttl = [true]\n"},
			`lab.toml:15:1: router.zero_ttl: an array, want true or false`},
		{`fraction for an integer`, edits{r2, r2 + "set_ecn = 1.5\n"},
			`lab.toml:15:1: router.set_ecn: number 1.5, want an integer`},
		{`date for a number`, edits{r2, r2 + "set_ecn = 2026-01-01\n"},
			`lab.toml:15:1: router.set_ecn: a date or time, want an integer`},
		{`integer too large`, edits{r2, r2 + "set_dscp = 300\n"},
			`lab.toml:15:1: router.set_dscp: 300 is above 255`},
		{`integer negative`, edits{r2, r2 + "set_dscp = -1\n"},
			`lab.toml:15:1: router.set_dscp: -1 is negative`},
		{`string for a fraction`, edits{l2, l2 + "loss = \"10%\"\n"},
			`lab.toml:34:1: link.loss: string "10%", want a number`},
		{`number for a duration`, edits{l2, l2 + "jitter = 5\n"},
			`lab.toml:34:1: link.jitter: integer 5, want a duration like "1.5ms"`},
		{`not a duration`, edits{`"1ms"`, `"1 ms"`},
			`lab.toml:30:1: link.delay: "1 ms" is not a duration like "1.5ms"`},
		{`duration beyond all bounds`, edits{`"1ms"`, `"1.5m99999999999h"`},
			`lab.toml:30:1: link.delay: 1.5m99999999999h is above 1h0m0s`},
		{`negative duration beyond all bounds`, edits{`"1ms"`, `"-99999999999h"`},
			`lab.toml:30:1: link.delay: -99999999999h is negative`},
		{`not an address`, edits{`"2001:db8:2::2"`, `"2001:db8:2::g"`},
			`lab.toml:15:26: router.addresses: "2001:db8:2::g" is not an address like "192.0.2.1"`},
		{`not a prefix`, edits{`"10.16.0.0/12"`, `"10.16.0.0"`},
			`lab.toml:23:1: prefix.prefix: "10.16.0.0" is not a prefix like "192.0.2.0/24"`},
		{`table for an array of tables`, edits{"[[link]]\npath = [\"host\", \"r1\", \"r2\"]\ndelay = \"1ms\"\n\n[[link]]\n" + l2, "[link]\n" + l2},
			`lab.toml:28:2: link: a table, want tables [[link]]`},
		{`string for a list`, edits{`["10.0.0.2", "2001:db8:2::2"]`, `"10.0.0.2"`},
			`lab.toml:15:1: router.addresses: string "10.0.0.2", want an array`},
		{`topology without name`, edits{`name = "lab"`, `name = ""`},
			`lab.toml:1:1: the topology has no name`},
		{`router without name`, edits{"name = \"r2\"\n", ``},
			`lab.toml:12:3: router "": it has no name` + "\n" +
				`lab.toml:23:1: prefix 10.16.0.0/12: no router "r2"; did you mean "r1"?; known are r1` + "\n" +
				`lab.toml:28:23: link "host" to "r2": no node "r2"; did you mean "r1"?; known are d, host, r1` + "\n" +
				`lab.toml:32:9: link "r2" to "d": no node "r2"; did you mean "r1"?; known are d, host, r1`},
		{`name of a router twice`, edits{`name = "r2"`, `name = "r1"`},
			`lab.toml:13:1: router "r1": the name is a router's already` + "\n" +
				`lab.toml:24:1: prefix 10.16.0.0/12: no router "r2"; did you mean "r1"?; known are r1` + "\n" +
				`lab.toml:29:23: link "host" to "r2": no node "r2"; did you mean "r1"?; known are d, host, r1` + "\n" +
				`lab.toml:33:9: link "r2" to "d": no node "r2"; did you mean "r1"?; known are d, host, r1`},
		{`name of a router and a destination`, edits{`name = "d"`, `name = "r1"`},
			`lab.toml:18:1: destination "r1": the name is a router's already` + "\n" +
				`lab.toml:33:15: link "r2" to "d": no node "d"; known are host, r1, r2`},
		{`host name that is a node's`, edits{r2, "dns = \"d\"\n"},
			`lab.toml:14:1: router "r2": dns "d" is the name by which links call a destination`},
		{`host name that is the host's`, edits{r2, "dns = \"host\"\n"},
			`lab.toml:14:1: router "r2": dns "host" is what links call the host`},
		{`broadcast address of the host's link`, edits{`"10.0.0.2"`, `"192.0.2.255"`},
			`lab.toml:15:14: router "r2": address 192.0.2.255 is the broadcast address of the host's link`},
		{`answers in the host's name`, edits{r2, r2 + "answer = { as = \"192.0.2.10\" }\n"},
			`lab.toml:15:12: router "r2": address 192.0.2.10 is that of the host`},
		{`node called host`, edits{`name = "r2"`, `name = "host"`},
			`lab.toml:13:1: router "host": "host" is what links call the host` + "\n" +
				`lab.toml:24:1: prefix 10.16.0.0/12: no router "r2"; did you mean "r1"?; known are r1` + "\n" +
				`lab.toml:29:23: link "host" to "r2": no node "r2"; did you mean "r1"?; known are d, host, r1` + "\n" +
				`lab.toml:33:9: link "r2" to "d": no node "r2"; did you mean "r1"?; known are d, host, r1`},
		{`host name invalid`, edits{`"r2.example"`, `"r2..example"`},
			`lab.toml:14:1: router "r2": dns "r2..example" is not a host name`},
		{`host name with a space`, edits{`"r2.example"`, `"r 2.example"`},
			`lab.toml:14:1: router "r2": dns "r 2.example" is not a host name`},
		{`host name too long`, edits{`"r2.example"`, `"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"`},
			`lab.toml:14:1: router "r2": dns "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example" is not a host name`},
		{`host name twice`, edits{`"d.example"`, `"R2.example"`},
			`lab.toml:19:1: destination "d": dns "R2.example" is the name of router "r2" already`},
		{`link to an unknown node`, edits{`"r1", "r2"]`, `"r1", "r9"]`},
			`lab.toml:29:23: link "host" to "r9": no node "r9"; did you mean "r1"?; known are d, host, r1, r2`},
		{`link to an unknown node, nothing like it`, edits{`"r1", "r2"]`, `"r1", "tokyo"]`},
			`lab.toml:29:23: link "host" to "tokyo": no node "tokyo"; known are d, host, r1, r2`},
		{`link with one name`, edits{`["r2", "d"]`, `["r2"]`},
			`lab.toml:33:1: link: path has fewer than 2 names`},
		{`link without path`, edits{l2, "weight = 2\n"},
			`lab.toml:32:3: link: path has fewer than 2 names`},
		{`link on from a destination`, edits{l2, "path = [\"r2\", \"d\", \"r1\"]\n"},
			`lab.toml:33:15: link "r2" to "r1": path leads on from destination "d"`},
		{`link into the host`, edits{`["r2", "d"]`, `["r2", "host"]`},
			`lab.toml:33:15: link "r2" to "host": path leads into the host`},
		{`link twice`, edits{`["r2", "d"]`, `["r1", "r2", "d"]`},
			`lab.toml:33:15: link "r1" to "d": there is a link from "r1" to "r2" already`},
		{`loop`, edits{`["r2", "d"]`, `["r2", "r1"]`},
			`lab.toml:33:15: link "r2" to "r1": loop: r1 → r2 → r1`},
		{`loop of one`, edits{`["r2", "d"]`, `["r2", "r2", "d"]`},
			`lab.toml:33:15: link "r2" to "d": loop: r2 → r2`},
		{`delay negative`, edits{l2, l2 + "delay = \"-1ms\"\n"},
			`lab.toml:34:1: link "r2" to "d": delay -1ms is negative`},
		{`delay too long`, edits{l2, l2 + "delay = \"2h\"\n"},
			`lab.toml:34:1: link "r2" to "d": delay 2h0m0s is above 1h0m0s`},
		{`jitter negative`, edits{l2, l2 + "jitter = \"-1us\"\n"},
			`lab.toml:34:1: link "r2" to "d": jitter -1µs is negative`},
		{`loss above 1`, edits{l2, l2 + "loss = 1.5\n"},
			`lab.toml:34:1: link "r2" to "d": loss 1.5 is outside 0 to 1`},
		{`reorder negative`, edits{l2, l2 + "reorder = -0.1\n"},
			`lab.toml:34:1: link "r2" to "d": reorder -0.1 is outside 0 to 1`},
		{`duplicate not a number`, edits{l2, l2 + "duplicate = nan\n"},
			`lab.toml:34:1: link "r2" to "d": duplicate NaN is outside 0 to 1`},
		{`weight negative`, edits{l2, l2 + "weight = -2\n"},
			`lab.toml:34:1: link "r2" to "d": weight -2 is outside 1 to 65535`},
		{`mtu too small`, edits{l2, l2 + "mtu = 60\n"},
			`lab.toml:34:1: link "r2" to "d": mtu 60 is below 68`},
		{`mtu too small for IPv6`, edits{l2, l2 + "mtu = 1000\n"},
			`lab.toml:34:1: link "r2" to "d": mtu 1000 is below 1280, the least for IPv6`},
		{`mtu too large`, edits{l2, l2 + "mtu = 70000\n"},
			`lab.toml:34:1: link "r2" to "d": mtu 70000 is above 65535`},
		{`destination that no route leads to`, edits{`"2001:db8:3::1"`, `"fe80::1"`},
			`lab.toml:20:30: destination "d": address fe80::1 is link-local: nothing routes to it`},
		{`destination out of reach`, edits{`["r2", "d"]`, `["r1", "d2"]`, `[[prefix]]`, "[[destination]]\nname = \"d2\"\naddresses = [\"198.51.100.2\"]\n\n[[prefix]]"},
			`lab.toml:17:3: destination "d": no path leads to it from the host`},
		{`prefix out of reach`, edits{`behind = "r2"`, `behind = "r3"`, `[[destination]]`, "[[router]]\nname = \"r3\"\naddresses = [\"10.0.0.3\"]\n\n[[destination]]"},
			`lab.toml:28:1: prefix 10.16.0.0/12: no path leads to router "r3" from the host`},
		{`router on no path`, edits{`[[destination]]`, "[[router]]\nname = \"r3\"\naddresses = [\"10.0.0.3\"]\n\n[[destination]]", `["r2", "d"]`, "[\"r2\", \"r3\"]\n\n[[link]]\npath = [\"r2\", \"d\"]"},
			`lab.toml:17:3: router "r3": no path from the host to a destination goes through it`},
		{`prefix behind nothing`, edits{"behind = \"r2\"\n", ``},
			`lab.toml:22:3: prefix 10.16.0.0/12: behind names no router`},
		{`prefix behind a destination`, edits{`behind = "r2"`, `behind = "d"`},
			`lab.toml:24:1: prefix 10.16.0.0/12: behind names destination "d", want a router; known are r1, r2`},
		{`prefix behind the host`, edits{`behind = "r2"`, `behind = "host"`},
			`lab.toml:24:1: prefix 10.16.0.0/12: behind names the host, want a router; known are r1, r2`},
		{`prefix behind an unknown router`, edits{`behind = "r2"`, `behind = "r12"`},
			`lab.toml:24:1: prefix 10.16.0.0/12: no router "r12"; did you mean "r1"?; known are r1, r2`},
		{`host with two addresses of a family`, edits{`"2001:db8::10/64"]`, `"192.0.2.11/24"]`, `gateways = ["192.0.2.1", "2001:db8::1"]`, ``},
			`lab.toml:4:31: host: 192.0.2.11 is a second IPv4 address; a host has at most one`},
		{`gateway outside the link`, edits{`gateways = ["192.0.2.1"`, `gateways = ["10.0.0.1"`},
			`lab.toml:5:13: host: gateway 10.0.0.1 is outside the host's link`},
		{`gateway of no family`, edits{`addresses = ["192.0.2.10/24", "2001:db8::10/64"]`, `addresses = ["192.0.2.10/24"]`},
			`lab.toml:5:26: host: gateway 2001:db8::1 is outside the host's link`},
		{`gateway is the host`, edits{`192.0.2.10/24`, `192.0.2.1/24`, `gateways = ["192.0.2.1", "2001:db8::1"]`, ``, `"192.0.2.1", `, ``},
			`lab.toml:3:2: host: gateway 192.0.2.1 is the host itself`},
		{`no room for a gateway`, edits{`192.0.2.10/24`, `192.0.2.10/32`, `gateways = ["192.0.2.1", "2001:db8::1"]`, ``},
			`lab.toml:3:2: host: gateway 192.0.2.11 is outside the host's link`},
		{`gateway is a router further away`, edits{`gateways = ["192.0.2.1"`, `gateways = ["192.0.2.2"`, `"10.0.0.2"`, `"192.0.2.2"`},
			`lab.toml:15:14: router "r2": address 192.0.2.2 is that of the gateway already`},
		{`host mtu`, edits{`gateways =`, "mtu = 1000\ngateways ="},
			`lab.toml:5:1: host: mtu 1000 is below 1280, the least for IPv6`},
		{`address twice`, edits{`"10.0.0.2"`, `"192.0.2.1"`},
			`lab.toml:15:14: router "r2": address 192.0.2.1 is that of router "r1" already`},
		{`address of the host`, edits{`"10.0.0.2"`, `"192.0.2.10"`},
			`lab.toml:15:14: router "r2": address 192.0.2.10 is that of the host already`},
		{`address in a prefix`, edits{`"10.0.0.2"`, `"10.17.0.1"`},
			`lab.toml:23:1: prefix 10.16.0.0/12: it holds the address 10.17.0.1 of router "r2"`},
		{`address in a router pool`, edits{`"198.51.100.1"`, `"100.64.1.1"`},
			`lab.toml:26:1: prefix 10.16.0.0/12: routers 100.64.0.0/16 holds the address 100.64.1.1 of destination "d"`},
		{`prefix over the host's link`, edits{`10.16.0.0/12`, `192.0.0.0/12`},
			`lab.toml:23:1: prefix 192.0.0.0/12: it overlaps the host's link 192.0.2.0/24`},
		{`prefix over its own routers`, edits{`10.16.0.0/12`, `100.64.0.0/12`},
			`lab.toml:26:1: prefix 100.64.0.0/12: routers 100.64.0.0/16 overlaps prefix 100.64.0.0/12`},
		{`two addresses of a family`, edits{`"2001:db8:2::2"`, `"10.0.0.3"`},
			`lab.toml:15:26: router "r2": 10.0.0.3 is a second IPv4 address; a node has at most one`},
		{`multicast address`, edits{`"10.0.0.2"`, `"224.0.0.1"`},
			`lab.toml:15:14: router "r2": address 224.0.0.1 is a multicast address`},
		{`unspecified address`, edits{`"10.0.0.2"`, `"0.0.0.0"`},
			`lab.toml:15:14: router "r2": address 0.0.0.0 is the unspecified address`},
		{`loopback address`, edits{`"2001:db8:2::2"`, `"::1"`},
			`lab.toml:15:26: router "r2": address ::1 is a loopback address`},
		{`broadcast address`, edits{`"10.0.0.2"`, `"255.255.255.255"`},
			`lab.toml:15:14: router "r2": address 255.255.255.255 is the broadcast address`},
		{`mapped address`, edits{`"2001:db8:2::2"`, `"::ffff:10.0.0.9"`},
			`lab.toml:15:26: router "r2": address ::ffff:10.0.0.9 is an IPv4 address written as IPv6`},
		{`address with zone`, edits{`"2001:db8:2::2"`, `"fe80::1%eth0"`},
			`lab.toml:15:26: router "r2": address fe80::1%eth0 is an address with a zone`},
		{`empty address`, edits{`"10.0.0.2"`, `""`},
			`lab.toml:15:14: router "r2": address is empty`},
		{`router without address`, edits{`["10.0.0.2", "2001:db8:2::2"]`, `[]`},
			`lab.toml:15:1: router "r2": it has no address to answer from; give it one, or answer.silent`},
		{`destination without address`, edits{`["198.51.100.1", "2001:db8:3::1"]`, `[]`},
			`lab.toml:20:1: destination "d": it has no address`},
		{`destination of a family that the host has not`, edits{`"192.0.2.10/24", "2001:db8::10/64"`, `"192.0.2.10/24"`, ", \"2001:db8::1\"]\n\n", "]\n\n", `"198.51.100.1", `, ``},
			`lab.toml:20:1: destination "d": the host has no address of its family`},
		{`answer delay negative`, edits{r2, r2 + "answer = { delay = \"-1ms\" }\n"},
			`lab.toml:15:12: router "r2": answer.delay -1ms is negative`},
		{`answer ttl`, edits{r2, r2 + "answer = { ttl = 60 }\n"},
			`lab.toml:15:12: router "r2": answer.ttl 60 is none of 64, 128, 255`},
		{`answer as a group`, edits{r2, r2 + "answer = { as = \"224.0.0.1\" }\n"},
			`lab.toml:15:12: router "r2": answer.as 224.0.0.1 is a multicast address`},
		{`answer as empty`, edits{r2, r2 + "answer = { as = \"\" }\n"},
			`no fault`},
		{`answer as two`, edits{r2, r2 + "answer = { as = \"10.9.9.9\", as_destination = true }\n"},
			`lab.toml:15:12: router "r2": answer.as and answer.as_destination exclude each other`},
		{`limit rate negative`, edits{r2, r2 + "answer = { limit = { rate = -1.0 } }\n"},
			`lab.toml:15:22: router "r2": answer.limit.rate -1 is outside 0 to 2147483647`},
		{`limit burst negative`, edits{r2, r2 + "answer = { limit = { burst = -1 } }\n"},
			`lab.toml:15:22: router "r2": answer.limit.burst -1 is outside 0 to 2147483647`},
		{`quote length`, edits{r2, r2 + "answer = { quote = { length = 7 } }\n"},
			`lab.toml:15:22: router "r2": answer.quote.length 7 is neither -1, 0 nor within 8 to 65535`},
		{`quote ttl`, edits{r2, r2 + "answer = { quote = { ttl = \"send\" } }\n"},
			`lab.toml:15:22: router "r2": answer.quote.ttl "send" is none of "received", "decremented", "sent", "value"`},
		{`quote ttl_value without ttl`, edits{r2, r2 + "answer = { quote = { ttl_value = 3 } }\n"},
			`lab.toml:15:22: router "r2": answer.quote.ttl_value 3 wants quote.ttl = "value"`},
		{`quote id`, edits{r2, r2 + "answer = { quote = { id = \"swap\" } }\n"},
			`lab.toml:15:22: router "r2": answer.quote.id "swap" is none of "swapped", "zero"`},
		{`mpls form`, edits{r2, r2 + "answer = { mpls = { form = \"128\", labels = [{ label = 1 }] } }\n"},
			`lab.toml:15:21: router "r2": answer.mpls.form "128" is none of "length-17-at-128", "length-0-at-128", "garbage"`},
		{`mpls without labels`, edits{r2, r2 + "answer = { mpls = { labels = [] } }\n"},
			`lab.toml:15:21: router "r2": answer.mpls has no labels`},
		{`label too large`, edits{r2, r2 + "answer = { mpls = { labels = [{ label = 1 }, { label = 1048576 }] } }\n"},
			`lab.toml:15:48: router "r2": answer.mpls.labels.label 1048576 is outside 0 to 1048575`},
		{`traffic class too large`, edits{r2, r2 + "answer = { mpls = { labels = [{ label = 1, tc = 8 }] } }\n"},
			`lab.toml:15:44: router "r2": answer.mpls.labels.tc 8 is outside 0 to 7`},
		{`label ttl too large`, edits{r2, r2 + "answer = { mpls = { labels = [{ label = 1, ttl = 256 }] } }\n"},
			`lab.toml:15:44: router.answer.mpls.labels.ttl: 256 is above 255`},
		{`interface without anything`, edits{r2, r2 + "answer = { interface = {} }\n"},
			`lab.toml:15:12: router "r2": answer.interface tells nothing`},
		{`interface address`, edits{r2, r2 + "answer = { interface = { address = \"0.0.0.0\" } }\n"},
			`lab.toml:15:26: router "r2": answer.interface.address 0.0.0.0 is the unspecified address`},
		{`interface name too long`, edits{r2, r2 + "answer = { interface = { name = \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" } }\n"},
			`lab.toml:15:26: router "r2": answer.interface.name has 63 bytes, more than 62`},
		{`way back shorter than none`, edits{r2, r2 + "answer = { return_hops = -2 }\n"},
			`lab.toml:15:12: router "r2": answer.return_hops -2 is below -1: the way there has no more routers`},
		{`way back too long`, edits{r2, r2 + "answer = { return_hops = 63 }\n"},
			`lab.toml:15:12: router "r2": answer.return_hops 63 lets no answer arrive: the way back has 64 routers, its TTL is 64`},
		{`way back out of range`, edits{r2, r2 + "answer = { return_hops = 256 }\n"},
			`lab.toml:15:12: router "r2": answer.return_hops 256 is outside -255 to 255`},
		{`balance`, edits{r2, r2 + "balance = \"flows\"\n"},
			`lab.toml:15:1: router "r2": balance "flows" is none of "flow", "packet", "destination"`},
		{`reject code`, edits{r2, r2 + "reject = { code = 16 }\n"},
			`lab.toml:15:12: router "r2": reject.code 16 is outside 0 to 15`},
		{`reject hook`, edits{r2, r2 + "reject = { code = 13, hook = \"output\" }\n"},
			`lab.toml:15:23: router "r2": reject.hook "output" is none of "prerouting", "forward"`},
		{`reject port`, edits{r2, r2 + "reject = { code = 13, allow_tcp = [443, 0] }\n"},
			`lab.toml:15:41: router "r2": reject.allow_tcp 0 is not a port`},
		{`dscp`, edits{r2, r2 + "set_dscp = 64\n"},
			`lab.toml:15:1: router "r2": set_dscp 64 is outside 0 to 63`},
		{`ecn`, edits{r2, r2 + "set_ecn = 4\n"},
			`lab.toml:15:1: router "r2": set_ecn 4 is outside 0 to 3`},
		{`nat without address`, edits{r2, r2 + "nat = {}\n"},
			`lab.toml:15:1: router "r2": nat has no address`},
		{`nat to IPv6`, edits{r2, r2 + "nat = { address = \"2001:db8::77\" }\n"},
			`lab.toml:15:9: router "r2": nat.address 2001:db8::77 is not IPv4`},
		{`nat to IPv4 as address6`, edits{r2, r2 + "nat = { address6 = \"203.0.113.7\" }\n"},
			`lab.toml:15:9: router "r2": nat.address6 203.0.113.7 is not IPv6`},
		{`nat to an address6 in use`, edits{r2, r2 + "nat = { address6 = \"2001:db8:3::1\" }\n"},
			`lab.toml:21:30: destination "d": address 2001:db8:3::1 is that of router "r2" already`},
		{`nat that maps nothing known`, edits{r2, r2 + "nat = { address = \"203.0.113.7\", ports = \"any\", id = \"kept\", quoted_ttl = \"sent\" }\n"},
			`lab.toml:15:34: router "r2": nat.ports "any" is none of "endpoint-independent", "address-and-port-dependent"` + "\n" +
				`lab.toml:15:49: router "r2": nat.id "kept" is none of "ordered", "random"` + "\n" +
				`lab.toml:15:62: router "r2": nat.quoted_ttl "sent" is none of "received", "value"`},
		{`nat with a TTL that is not shown`, edits{r2, r2 + "nat = { address = \"203.0.113.7\", quoted_ttl_value = 9 }\n"},
			`lab.toml:15:34: router "r2": nat.quoted_ttl_value 9 wants nat.quoted_ttl = "value"`},
		{`nat to an address in use`, edits{r2, r2 + "nat = { address = \"198.51.100.1\" }\n"},
			`lab.toml:21:14: destination "d": address 198.51.100.1 is that of router "r2" already`},
		{`nat to a group`, edits{r2, r2 + "nat = { address = \"224.0.0.1\" }\n"},
			`lab.toml:15:9: router "r2": nat.address 224.0.0.1 is a multicast address`},
		{`udp service`, edits{d, d + "udp = \"ntp\"\n"},
			`lab.toml:20:1: destination "d": udp "ntp" is none of "echo", "dns", "nothing"`},
		{`tcp port`, edits{d, d + "tcp_open = [0]\n"},
			`lab.toml:20:13: destination "d": tcp_open 0 is not a port`},
		{`prefix with bits set`, edits{`10.16.0.0/12`, `10.16.0.1/12`},
			`lab.toml:23:1: prefix 10.16.0.1/12: it has bits set behind its length; the network is 10.16.0.0/12`},
		{`prefix missing`, edits{"prefix = \"10.16.0.0/12\"\n", ``},
			`lab.toml:22:3: prefix: it has no prefix`},
		{`prefix multicast`, edits{`10.16.0.0/12`, `224.0.0.0/8`},
			`lab.toml:23:1: prefix 224.0.0.0/8: it is multicast`},
		{`prefix of a family that the host has not`, edits{`, "2001:db8::10/64"]`, `]`, ", \"2001:db8::1\"]\n\n", "]\n\n", `10.16.0.0/12`, `2001:db8:f::/64`, `100.64.0.0/16`, `2001:db8:e::/64`},
			`lab.toml:23:1: prefix 2001:db8:f::/64: the host has no address of its family`},
		{`prefix hops negative`, edits{`max_hops = 3`, `max_hops = -1`},
			`lab.toml:25:1: prefix 10.16.0.0/12: max_hops -1 is outside 0 to 254`},
		{`prefix hops out of reach`, edits{`max_hops = 3`, `max_hops = 255`},
			`lab.toml:25:1: prefix 10.16.0.0/12: max_hops 255 is outside 0 to 254`},
		{`prefix hops the wrong way round`, edits{`max_hops = 3`, "min_hops = 4\nmax_hops = 3"},
			`lab.toml:25:1: prefix 10.16.0.0/12: min_hops 4 is above max_hops 3`},
		{`router pool missing`, edits{"routers = \"100.64.0.0/16\"\n", ``},
			`lab.toml:22:3: prefix 10.16.0.0/12: routers is missing`},
		{`router pool too small`, edits{`100.64.0.0/16`, `100.64.0.0/31`},
			`lab.toml:26:1: prefix 10.16.0.0/12: routers 100.64.0.0/31 has 2 addresses, fewer than max_hops 3`},
		{`router pool of the other family`, edits{`100.64.0.0/16`, `2001:db8:f::/64`},
			`lab.toml:26:1: prefix 10.16.0.0/12: routers 2001:db8:f::/64 is of the other family`},
		{`prefix answer`, edits{`max_hops = 3`, "max_hops = 3\nanswer = { ttl = 1 }"},
			`lab.toml:26:12: prefix 10.16.0.0/12: answer.ttl 1 is none of 64, 128, 255`},
		{`all faults, in the order of the file`, edits{`behind`, `behnd`, `"r2", "d"]`, `"r2", "e"]`, `"1ms"`, `"-1ms"`, `name = "lab"`, `nam = "lab"`},
			`lab.toml:1:1: unknown key "nam"; did you mean "name"?` + "\n" +
				`lab.toml:24:1: prefix: unknown key "behnd"; did you mean "behind"?` + "\n" +
				`lab.toml:30:1: link "host" to "r2": delay -1ms is negative` + "\n" +
				`lab.toml:33:15: link "r2" to "e": no node "e"; did you mean "d"?; known are d, host, r1, r2`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := topology.Parse("lab.toml", []byte(spoilt(t, tt.edits)))
			got := "no fault"
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
