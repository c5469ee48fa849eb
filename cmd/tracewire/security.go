package main

// securityHelp says what a reply must show to be believed.
const securityHelp = `A hop is shown only if a reply shows that whoever sent it got the probe.

Every probe carries a cookie, a checksum or sequence number that follow from a
random key, and an IP ID that starts at random. An ICMP error that quotes the
cookie must quote the right one. One that quotes less must have destination,
ports, ID, and checksum or sequence number of one probe.

Address translators and routers rewrite some of these. What they do to one probe
they do to all, so it is learnt: when three replies to different probes agree on
one translation, or a cookie proves it, it is confirmed. A single reply that agrees
in two of source port, ID and checksum counts when its probe is given up. With
--classic each probe has a destination port of its own, which tells it where all
else is rewritten, if three probes or more are quoted like that, each once, and
nobody is seen guessing the source port. 'tracewire explain' shows the rule and the
translation of every reply; the JSON has the rule as "matched_by".

When more than 24 quotes of the trace's ports have failed these checks, somebody
forges replies: from then on only what agrees in all is believed, or by a
translation that was confirmed before, and the finding "flooded" says so.

The same holds in captures that others made of tracewire's probes. Their payloads
are taken for cookies from the third probe on, if all go over one flow and each
has another; a reply that came earlier is decided then. The payloads of other
programs are no cookies.

An echo reply must return the data, a SYN-ACK or RST must acknowledge the
probe's sequence number plus one, the answer to a DNS query must have its ID.
That has 16 bits only: once somebody forges replies, such an answer is unverified.
A UDP service may answer with nothing of the probe in it: whoever knows the ports
can have sent that. Such an answer is marked as unverified ("matched_by" is
"alone" or "ambiguous", the finding is "unverified-destination"), and one of
them does not end a path.

The table has how many forged replies 20 traces accepted. Each was sent a million,
random in everything that an attacker can't know. "Expected" is what chance
predicts ('go test -bench ForgedReplies ./matcher/path' repeats it).

                                    source port not known   source port known
  forged                            accepted  expected      accepted  expected
  IPv4 UDP errors, 28 bytes quoted       0      0.04             0      0.28
  the same with --classic                0      0.04             0      0.28
  IPv4 ICMP errors, 28 bytes quoted      0      0.04             1      0.28
  IPv4 TCP errors                        0      0.00             0      0.00
  IPv6 UDP errors, 48 bytes quoted       0      0.38             0      0.38
  IPv6 ICMP errors, 48 bytes quoted      0      0.38             0      0.38
  IPv6 TCP errors                        0      0.00             1      0.24
  errors that quote all of UDP, ICMP     0      0                0      0
  echo replies                           0      0                0      0
  SYN-ACKs and RSTs                      0      0.00             0      0.24
  UDP answers, marked as unverified    453      540            340      540

For comparison: two traces of traceroute 2.1.2 with 16 probes outstanding, under the
same million forged errors each and with the source port not known, showed 11 forged
hops with UDP over IPv4 and 15 over IPv6, and 9 and 5 with -I.

Two traces each of mtr 0.95 (20 cycles) and scamper 20211212 (paris), with their
defaults, over IPv4 and to a silent network, took 7 and 12 of the forged errors for
replies with UDP, and 8 and 10 with ICMP. These were fitted to what all their probes
have in common (lengths, ports, sequence numbers and IDs that count from a known
start); random was the source port, or the identifier. Of the million 2 to 5 % did
not get to scamper and 6 to 29 % not to mtr, whose sockets were full.

Two things remain possible for anybody who knows the source port. Behind a translator
that renumbers IDs, 16 bits of checksum are all that is left. And with
--classic, hops can be added behind the last one that answers.
`
