// Package matcher says which probe a captured frame answers.
//
// A Run holds the outstanding probes of one trace, a Table the runs that share a
// capture. The headers that ICMP errors quote are read with a bounds-checked parser of
// the package's own. What identifies a probe is for craft.Key to say; this package
// says how much of that a reply must show.
// A reply that does not show enough is foreign.
//
// # Whose quote is it?
//
// The rules are tried in this order, and Reply.MatchedBy names the one that told:
//
//  1. The cookie is visible and right: the reply is the probe's, whatever else was
//     rewritten. The cookie is visible and wrong: it is foreign.
//     Probes that are found in a capture have a cookie if they go over one flow and each
//     has a payload of its own: Found learns that from the first three, and Doubt
//     keeps what contradicts them before. Such a cookie only refutes: that it is right
//     tells nothing, since nobody says which program sent the probes.
//  2. No cookie is visible, and destination, ports, ID, and checksum or sequence
//     number all agree with one probe. IPv6 has no ID, and the length counts nothing.
//     Of probes that are alike, as those of other tools may be, the earliest that is
//     waited for has the reply.
//  3. The quote agrees under a Translation that is confirmed.
//  4. Else a quote that agrees in two of source port, ID and checksum, or in the
//     ports alone, is held. It is decided later, by the times of the capture alone, so
//     that a replay decides the same.
//
// # What a path rewrites is learnt
//
// A device on the path, or the router that quotes, may rewrite what identifies a probe.
// What it does to one probe it does to all that get as far. So a held quote proposes
// what was done: the ID renumbered, zeroed or with its bytes swapped; the
// checksum shifted by a constant in ones' complement (a translator that restores
// addresses and ports, and not the checksum over them); another checksum; another
// port. Where only the ports agree, each probe that is waited for proposes the
// constant that would make the quote its own.
//
// A proposal is confirmed when three quotes of different probes agree on it, and
// if it is a constant, when it has more supporters than any other that the latest quote
// would fit, in a capture at least two more. All quotes that are held and agree are told then, in the
// order of arrival. A quote that is left is decided when its probe is given up:
//
//   - It agrees in two of three with this probe alone: accepted (ByTwo), unless the
//     probe has a reply.
//   - It agrees in two of three with two probes, in other fields, as where a new ID
//     happens to be another probe's: it is of the one that makes it show what other
//     quotes show, if that is so of one alone.
//   - Only its ports agree, and no other probe has them: accepted (ByPorts) if
//     there are at least three such probes, one quote of each; no probe with this TTL or a
//     higher one was quoted as it was sent; and nobody guesses ports, as 1,000 quotes of
//     packets from other ports to the destination would show. In a capture of others'
//     probes the ports are enough: nothing is waited for, nothing ends by it, and the known
//     programs give each probe ports of its own.
//
// A cookie that is visible proves what was done to the rest. The constant by which it
// shows the checksum shifted is confirmed at once; where each probe has ports of its own,
// a translator may have a constant for each, and two probes must show the same. That all
// but the ports of such a probe was rewritten counts as one of the three.
//
// A quote that repeats one which was accepted so, of a copy of the probe or itself a
// copy, is accepted with it, and is not counted as another of its probe. It shows the same; only
// the ID may be another where it is renumbered.
//
// # Answers quote nothing
//
// An echo reply must have identifier, sequence number and the data; a SYN-ACK or RST
// must acknowledge the sequence number plus one, and the data if there is any; the
// answer to a DNS query must have its ID. Anything else is foreign. A datagram may show
// nothing of the probe at all. It counts if one probe alone can have drawn it (Alone);
// else nobody knows which (Ambiguous). Either way it is unverified: whoever knows the
// ports can have sent it. Package path does not end a path by one of them.
//
// # Floods
//
// More than 24 quotes of the run's flow that failed the checks are a flood. Copies do
// not count, up to 24, nor does the first quote of each probe that has ports of its own: a
// second one that differs does, and refutes all that the ports tell. From then on rules 1
// to 3 count alone; nothing more is learnt, held, or accepted by itself; a quote of IPv6
// must show the cookie, or a sequence number of TCP; unverified datagrams are foreign.
//
// An attacker who does not see the probes knows at most addresses, ports and what all
// probes have in common. IDs start at random; checksums, TCP sequence numbers and
// cookies are keyed; no forged quote can be better than chance in these. Let s be the
// probes sent (54 in the tests of package path), w those that are waited for (at
// most about 20), and N the forged quotes that have the right source port: all if it is
// known, else one in 16,384. Then these are accepted, on average, in a trace:
//
//   - 64 bits of cookie: none.
//   - IPv4, all three: N·s/2^32. A million, with the port known: 0.013. TCP: N·s/2^48.
//   - IPv6, ports and 16 bits: 24·s/2^16 = 0.02, since a flood ends that. TCP, with a
//     sequence number of 32 bits: N·s/2^32.
//   - Two of three: N·2w/2^16, only if N ≤ 24, since it is decided when the probe is
//     given up: at most 0.015.
//   - By ports, with the source port unknown: it takes 49,000 quotes to be right three
//     times, and 1,000 of those that are wrong end it, when 0.06 are right on average, and
//     three in 4·10^-5 of all runs.
//   - A constant that three agree on: C(24,3)·w³/2^32 = 0.004. Whatever checksums an
//     attacker chooses, differences of keyed checksums are random.
//   - ID changes that three agree on in two of three fields: C(24,3)·(w/2^16)³, nothing.
//
// So a forger's chance is about one in fifty runs at best, and that with the source port
// known. Two weaknesses remain, both only where the evidence is weak. Behind a
// translator that renumbers IDs, the confirmed constant leaves 16 bits of evidence, flood
// or not: of a million quotes with the source port known, some 300 agree with a probe.
// And with ports that count (classic), nothing but the source port tells: who knows
// it, and sends at least three quotes, no two of one probe, can add hops behind the last
// that answered. Who has to guess it shows that before.
package matcher
