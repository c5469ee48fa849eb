// Package topology describes networks to be simulated: routers, destinations
// and the links between them, and how each of them behaves and misbehaves.
//
// A topology is written as a TOML file (see Parse) or built as a Go value (see
// Topology.Validate). It says what a network is; capturetest simulates it, and
// tracelab puts programs into it.
//
// # The file
//
// A file has a name, an optional [host], and any number of [[router]],
// [[destination]], [[prefix]] and [[link]]. The smallest network is a
// destination on the host's own link; this one has two routers on the way:
//
//	name = "short"
//
//	[[router]]
//	name = "r1"
//	addresses = ["192.0.2.1"]
//
//	[[router]]
//	name = "r2"
//	addresses = ["10.0.0.2"]
//
//	[[destination]]
//	name = "web"
//	addresses = ["198.51.100.80"]
//
//	[[link]]
//	path = ["host", "r1", "r2", "web"]
//	delay = "5ms"
//
// Links name nodes by their names; the host that probes is "host". A path of
// several names is a link between each and the next, all of them alike. Links
// have a direction, away from the host; answers come back the same way. There
// are no routing tables: a packet goes wherever its destination can be reached,
// and where several links lead there, the router balances.
//
// A key that is left out has its default, which is that of a well-behaved Linux
// router or host whose answers are not limited. The keys are those of the Go
// types here, where each is explained: the keys of a [[router]] are those of
// Node and Router, those of a [[destination]] are those of Node and Service.
// Times are written as time.ParseDuration reads them, and delays are one way: a
// hop's RTT is twice the sum of the delays up to it. Names of keys and values
// that nobody knows are faults.
//
// A file that makes use of more:
//
//	name = "rich"
//	description = "a balancer that prefers one side, an MPLS router, a firewall"
//	seed = 1 # loss, jitter and hashes follow from it
//
//	[host]
//	addresses = ["192.0.2.10/24", "2001:db8::10/64"]
//	gateways = ["192.0.2.1", "2001:db8::1"]
//
//	[[router]]
//	name = "gw"
//	dns = "gw.example"
//	addresses = ["192.0.2.1", "2001:db8::1"]
//	balance = "flow"                           # or "packet", "destination"
//	nat = { address = "203.0.113.1" }          # as Linux does; other kinds: see NAT
//
//	[[router]]
//	name = "left"
//	addresses = ["10.0.1.1", "2001:db8:1::1"]
//	answer = { silent = true }
//
//	[[router]]
//	name = "right"
//	addresses = ["10.0.2.1", "2001:db8:2::1"]
//	asn = 64496
//
//	[router.answer]                            # of the router above
//	delay = "20ms"
//	limit = { rate = 10, burst = 3 }
//	quote = { length = 28, ttl = "decremented" }
//	mpls = { labels = [{ label = 16001, ttl = 1 }] }
//
//	[[router]]
//	name = "fw"
//	addresses = ["10.0.3.1", "2001:db8:3::1"]
//	reject = { code = 13, hook = "forward", allow_tcp = [443] }
//
//	[[destination]]
//	name = "web"
//	dns = "www.example"
//	addresses = ["198.51.100.80", "2001:db8:3::80"]
//	tcp_open = [443]
//
//	[[prefix]]                                 # a million destinations
//	prefix = "10.16.0.0/12"
//	behind = "right"
//	min_hops = 2
//	max_hops = 9
//	routers = "100.64.0.0/16"
//	delay = "1ms"
//
//	[[link]]
//	path = ["host", "gw"]
//	delay = "500us"
//
//	[[link]]
//	path = ["gw", "left", "fw"]
//	delay = "4ms"
//	weight = 3                                 # three flows in four
//
//	[[link]]
//	path = ["gw", "right", "fw"]
//	delay = "2ms"
//	jitter = "300us"
//	loss = 0.01
//
//	[[link]]
//	path = ["fw", "web"]
//	delay = "1ms"
//
// Those in testdata/topologies show every key at work.
package topology
