// Package session finds the traces in a capture, whoever sent them.
//
// A probe is known by what is on the wire: it has a TTL too low to reach most
// hosts, or a router's time-exceeded quotes it. Probes from one address to
// another are grouped into runs by the way the known programs vary ports and
// sequence numbers, and a run is a trace if routers answered it or it climbs
// through TTLs. So ordinary traffic is none, even when ICMP errors quote it.
//
// Of a run without its probes, replies alone are a trace if two routers
// answered, or one answered no more often than it is asked by a program that
// probes each hop three times.
//
// # The life of a packet
//
// Finder.Observe reads a frame once. What it does then depends on what the frame is:
//
//   - A packet that may be a probe (likeProbe) becomes a sighting: the fields that tell
//     probes apart. copies says whether the capture has it twice. If a group (all that
//     goes from one address to another) expects it, or its TTL is low and the group has
//     runs, it is added to the run that it fits best, or begins one. Else it goes into the
//     window, where it waits for up to a minute to turn out to be a probe: because packets
//     like it climb through TTLs (window.climbs), or because an ICMP error quotes it.
//   - An ICMP error is offered to the runs of the group that it quotes, then to others to
//     the same target, whose source may have been translated. If no run takes it, the
//     window may have the packet that it is about: Finder.promote takes that and all like
//     it out, and makes a group and runs of them. What only agrees in part is held, see
//     package matcher. What is about no packet in the capture is an orphan of a run.
//   - An answer of the target (echo reply, SYN-ACK, RST, datagram) is offered to the runs of
//     the group that goes the other way, if there is one.
//
// A run has a path.Recorder, which matches replies and makes the Path, and what tells its
// probes from those of others: style (how ports, IDs and sequence numbers go on), climb
// (how TTLs do), extent (how far these go, so that most replies are not offered in vain).
// run.fit says how well a probe fits. run.isTrace says whether the run is a trace; one
// that has become too long for something that is none is dull, and keeps nothing more.
//
// A run is over when nothing has come of it for a minute, when it is in the way of newer
// ones, or at the end of the capture. A trace that is over waits in order until all that
// began before it are over, and is emitted.
//
// # What is made by hand, and why
//
// Two of three frames of ordinary traffic get as far as a look-up of their group, and
// every one that may be a probe goes into the window. These paths decide how fast a large
// capture is read, and what they keep decides in how much memory:
//
//   - window: a ring of packets in blocks without pointers, which the garbage collector
//     does not look into, and hash tables whose chains lead from the latest packet back.
//     A packet that takes the place of an older one needs no removal from its chains: a
//     walk ends where the age goes down. The tables grow eightfold as packets come.
//   - groups: a hash table of chains. What goes one way and what goes back have one hash, so
//     an answer costs one more look-up, and no second hash. With a plain map a frame takes
//     6 to 9 % longer, whether it is of a trace or not (BenchmarkFinder).
//   - idle: an intrusive list of the open runs, by when something came of them last. Each
//     packet of a run moves it to the end; the first is the next to be over.
//   - order: a heap (container/heap) of the runs that are not over, or wait.
//   - spare: runs and Recorders that are over, for the next ones. With plain allocation
//     a frame of many short traces takes 1.7 times as long, and one of traces one after the
//     other twice.
//
// None of these knows the others. Bounds (maxRuns, maxHeld,
// maxParallel, maxWalk, ...) keep what anybody may put into a capture from costing much:
// bounds_test.go and work_test.go count that, and TestWorkGrowsAsTheFileDoes in
// cmd/tracewire counts each statement.
package session
