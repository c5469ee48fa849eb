// Package wire joins the network namespace of the calling process to a
// simulated network: a veth pair whose near end, eth0, is the host's interface,
// and whose far end is a packet socket in a namespace of its own.
//
// One thread serves the far end. It takes frames from a ring that it shares with
// the kernel, each with the time at which the kernel got it, so that it does not
// matter when the thread gets to it; it asks the simulated network what
// comes back and when, and keeps that in a heap. It sleeps until at most 2 ms
// before the next packet is due, and then watches the clock, unless the machine
// has but one processor; the more others want that, the later. Memory is
// bounded by the ring, 8 MB, and by what is in flight.
//
// Measured on two cores of an AMD EPYC in a virtual machine, by tcpdump's stamps,
// in six runs of 1,500 and 2,000 probes, beside the lateness of a thread that
// only watches the clock. That shows when the machine was idle, as in the first
// two, and when its processors were others' for milliseconds at a time:
//
//	late, p50   late, p99   a watcher's p99
//	     9 µs       76 µs             22 µs
//	    10 µs       80 µs             22 µs
//	    10 µs      0.9 ms            1.5 ms
//	    10 µs      0.7 ms            3.6 ms
//	    15 µs      1.8 ms            4.0 ms
//	    11 µs      1.7 ms            4.0 ms
//
// With a watch of 120 µs at most, idle runs between these had a p99 of
// 228, 257 and 926 µs: virtual processors that stop are slow to come back.
//
// And, beside other programs, in the quietest of several runs:
//
//	probes with replies, sender on the other core   188,000 a second
//	probes with replies, by the time the thread ran   210,000 a second
//
// BenchmarkDelay and BenchmarkThroughput measure it again.
package wire
