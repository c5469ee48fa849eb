// Package simulate carries IP packets through the network that a
// topology.Topology describes. Each is taken from the host along its path until
// it is lost, dropped or answered, at once and on its own: no state is kept
// between packets but the routers' IP IDs, rate limits and counters, and the
// source of chance. It builds its answers itself, with gopacket's layers.
//
// What a topology leaves open is done like this.
//
//   - A router works in the order in which Linux does: its own addresses, what
//     it rejects in prerouting, no route (unreachable, code 0, from the first
//     router), the TTL, the MTU, what it rejects in forward, remarking, NAT.
//   - A host's next hop is an address of the router behind it, where there is
//     only one.
//   - What is too long for a link and may be fragmented goes on as if it had
//     been, and been put together again at its end. Of a packet that is a
//     fragment already only the first draws errors, and a node that it is for
//     drops it: nobody puts fragments together.
//   - Answers take the links by which the probe came, with their delay and
//     their luck, but not their MTU: errors quote no more than fits. Routers on
//     the way back take one off the TTL, and remark.
//   - Hosts answer UDP, TCP and ICMP echo, the rest with protocol-unreachable.
//     TCP has no connections: every SYN to an open port is answered as the
//     first, with a sequence number that follows from the SYN, and what is no
//     SYN as by a port that is closed or listens.
//   - Answer.As and AsDestination are the source of every ICMP error of the
//     node, and of nothing else. Limit covers errors only, too.
//   - With an extension, a quote whose Length is 0 is 128 bytes long; one with
//     a longer Length, in the compliant form, is cut to whole words. A Length
//     from 28 to 47 is 48 for IPv6, whose header and 8 bytes that is.
//   - In ICMPv6 an error's Traffic Class is 0, and the code is the one that RFC
//     7915 would take, but for a host, whose unreachability stays its own (3).
//   - Prefix.Answer is that of the destinations; the routers behind a prefix are
//     ordinary ones, each always equally far from the prefix's own, and answer
//     for their addresses. Rate limits of destinations are remembered only while
//     they are not full.
//   - IPv6 extension headers are stepped over, never acted on.
//   - A NAT keeps no state: what it maps a port to is a hash, and two sources may
//     share one. What it did to a packet is remembered with that packet.
//   - Links that duplicate make no more than 64 packets of one.
//
// One core carries, answers included (BenchmarkCarry and BenchmarkMillion on a
// virtual AMD EPYC core, others busy; every TTL up to the destination's in
// turn), with one allocation, which is the answer:
//
//	chain of 3 routers, IPv4               1.1–1.4 µs   735,000–910,000 probes/s
//	the same, IPv6                         1.1–1.5 µs   665,000–910,000
//	the same, two NATs                     1.2–1.4 µs   710,000–860,000
//	the same, two MPLS labels each         1.5–1.8 µs   565,000–680,000
//	8 balancers of 16 ways, 18 hops        2.0–2.5 µs   400,000–500,000
//	a million destinations, 3 to 12 hops   1.3–1.9 µs   520,000–740,000
//
// A million destinations probed once each leave nothing behind; with a rate
// limit each, what is remembered are those of the last seconds.
package simulate
