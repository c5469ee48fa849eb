package tracewire_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/randomnet"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// randomWays are the kinds of traces through random networks.
var randomWays = []struct {
	name string
	v6   bool
	o    tracewire.Options
}{
	{"UDP", false, tracewire.Options{}},
	{"UDP, one query", false, tracewire.Options{Queries: 1}},
	{"UDP, classic", false, tracewire.Options{Classic: true}},
	{"ICMP", false, tracewire.Options{Protocol: layers.IPProtocolICMPv4}},
	{"TCP", false, tracewire.Options{Protocol: layers.IPProtocolTCP}},
	{"UDP over IPv6", true, tracewire.Options{}},
	{"UDP over IPv6, classic", true, tracewire.Options{Classic: true}},
	{"ICMPv6", true, tracewire.Options{Protocol: layers.IPProtocolICMPv4}},
	{"TCP over IPv6", true, tracewire.Options{Protocol: layers.IPProtocolTCP}},
}

// Through whatever network, with loss and without: no reply is shown at a hop from
// which it can't be, none at a probe that did not draw it, and none that came while
// the trace ran is missing. Where nothing gets lost, every hop is shown that answers.
func TestRandomNetworks(t *testing.T) {
	seeds := uint64(600)
	if testing.Short() {
		seeds = 150
	}
	var seen seenRandomly
	for seed := uint64(1); seed <= seeds; seed++ {
		for _, lossy := range []bool{false, true} {
			n := randomnet.New(seed)
			if lossy {
				n = randomnet.Lossy(seed)
			}
			for _, w := range randomWays {
				target := n.Target4
				if w.v6 {
					target = n.Target6
				}
				w.o.Seed, w.o.MaxTTL, w.o.Wait = seed, 20, path.Wait{Max: time.Second}
				r := traceRandomly(t, n, target, w.o)
				r.lossy = lossy
				for _, fault := range seen.add(&r) {
					t.Errorf("seed %d, loss %v, %s: %s", seed, lossy, w.name, fault)
				}
			}
		}
	}
	if least := 5 * int(seeds); seen.replies < 10*least || seen.hops < least {
		t.Errorf("too little happened: %+v", seen)
	}
	t.Logf("%+v", seen)
}

// seenRandomly counts what was seen.
type seenRandomly struct{ replies, hops, heldBack int }

// add returns the faults of a trace.
func (s *seenRandomly) add(r *randomTrace) []string {
	if r.isHeldBack() {
		s.heldBack++
		return nil
	}
	s.replies += r.Counters.Received
	faults := r.faults()
	if r.lossy {
		return faults
	}
	shown := map[int]bool{}
	for _, h := range r.Hops() {
		for _, p := range h.Probes {
			shown[int(h.TTL)] = shown[int(h.TTL)] || p.Reply != nil
		}
	}
	for hop := 1; hop <= r.truth.Last(); hop++ {
		switch {
		case !r.truth.Certain(hop) || r.isUntoldFrom(hop):
		case shown[hop]:
			s.hops++
		default:
			faults = append(faults, fmt.Sprintf("hop %d is not shown", hop))
		}
	}
	return faults
}

// randomTrace is a trace through a random network, and what the network answered.
type randomTrace struct {
	*path.Path
	drawn [][]capturetest.Arrival // by probe
	truth *randomnet.Truth
	lossy bool
}

// traceRandomly traces to a target in a random network, in virtual time.
func traceRandomly(t *testing.T, n randomnet.Network, target netip.Addr, o tracewire.Options) (r randomTrace) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.Simulate(n.Topology)
		if err != nil {
			t.Fatal(err)
		}
		conn := network.Conn(capturetest.Host{Keep: true})
		o.Dial = func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
			h := conn.Host()
			w := &tracewire.Wire{Conn: conn, Port: 50000, MTU: h.MTU, Source: path.Source{Addr: h.Addr, MAC: h.MAC, NextHopMAC: h.GatewayMAC}}
			if target.Is6() {
				w.Source.Addr = h.Addr6
			}
			return w, nil
		}
		if r.Path, err = tracewire.Trace(t.Context(), target.String(), &o); err != nil {
			t.Fatal(err)
		}
		if s := conn.Stats(); len(s.Malformed) > 0 {
			t.Errorf("the network refuses our frames: %v", s.Malformed)
		}
		r.drawn, r.truth = conn.Drawn(), randomnet.TruthOf(n.Topology, target)
	})
	if len(r.drawn) != len(r.Probes) {
		t.Fatalf("%d probes left, and the path has %d", len(r.drawn), len(r.Probes))
	}
	return r
}

// isHeldBack names what is not seen through yet: quotes with another port.
func (r *randomTrace) isHeldBack() bool {
	return r.truth.Rewrites.Port
}

// faults are what is wrong with the path.
func (r *randomTrace) faults() (all []string) {
	for _, h := range r.Hops() {
		for _, p := range h.Probes {
			if p.Reply != nil && !r.isRightHop(int(h.TTL), p.Reply) {
				all = append(all, fmt.Sprintf("%v from %v at hop %d by %v, sent with TTL %d, quoted %d",
					p.Reply.Kind, p.Reply.From, h.TTL, p.Reply.Basis, p.TTL, p.Reply.Quoted.TTL))
			}
		}
	}
	unread := 0
	for i := range r.Probes {
		p := &r.Probes[i]
		if r.hasTwin(p) {
			unread += len(r.drawn[i])
			continue
		}
		switch came := r.came(i); {
		case p.Reply != nil && !r.isOwn(i):
			all = append(all, fmt.Sprintf("probe %d did not draw %v from %v, by %v", i, p.Reply.Kind, p.Reply.From, p.Reply.MatchedBy))
		case p.Reply == nil && came != nil && !r.isUntold(i):
			all = append(all, fmt.Sprintf("probe %d with TTL %d drew %x", i, p.TTL, came))
		}
		for _, a := range r.drawn[i] {
			if !isReadable(a.IP) || r.wentTwoWays(i) || r.isUntold(i) {
				unread++
			}
		}
	}
	if r.Counters.Foreign > unread {
		all = append(all, fmt.Sprintf("%d replies are foreign, and %d quote too little", r.Counters.Foreign, unread))
	}
	return all
}

// wentTwoWays reports whether copies of a probe were answered in two places.
func (r *randomTrace) wentTwoWays(probe int) bool {
	return slices.ContainsFunc(r.drawn[probe], func(a capturetest.Arrival) bool {
		return sourceOf(a.IP) != sourceOf(r.drawn[probe][0].IP)
	})
}

// isRightHop reports whether a reply can be from a hop. Two of the rules promise less:
// arithmetic is one off where a router quotes the TTL decremented and nothing else came
// from there, and the lowest TTL that drew a reply from an address is right where none
// that is lower was lost. Where a target misquotes the TTL, and most of its answers are
// lost, nothing shows that.
func (r *randomTrace) isRightHop(hop int, reply *path.Reply) bool {
	switch {
	case r.truth.Right(hop, reply.From), r.truth.Hides && reply.Kind != matcher.TimeExceeded:
		return true
	case reply.Basis == path.ByQuotedTTL && r.truth.Misquotes:
		return r.lossy
	case reply.Basis == path.ByArithmetic:
		return r.truth.Right(hop-1, reply.From) && hop <= r.lowest(reply.From, false) && r.lowest(reply.From, true) == none
	case reply.Basis == path.ByLowestTTL:
		return hop == r.lowest(reply.From, false)
	}
	return false
}

// lowest is the lowest TTL that drew a time-exceeded from an address, or any other
// reply, or none.
func (r *randomTrace) lowest(from netip.Addr, exceeded bool) int {
	least := none
	for i, p := range r.Probes {
		for _, a := range r.drawn[i] {
			if !r.isUntold(i) && sourceOf(a.IP) == from && isExceeded(a.IP) == exceeded && !a.At.After(r.Ended) {
				least = min(least, int(p.TTL))
			}
		}
	}
	return least
}

const none = 256 // more than any TTL

func isExceeded(ip []byte) bool {
	if ip[0]>>4 == 6 {
		return ip[6] == byte(layers.IPProtocolICMPv6) && ip[40] == layers.ICMPv6TypeTimeExceeded
	}
	return ip[9] == byte(layers.IPProtocolICMPv4) && ip[20] == layers.ICMPv4TypeTimeExceeded
}

func sourceOf(ip []byte) netip.Addr {
	if ip[0]>>4 == 6 {
		return netip.AddrFrom16([16]byte(ip[8:24]))
	}
	return netip.AddrFrom4([4]byte(ip[12:16]))
}

// isOwn reports whether a probe drew its reply. Where it can't be known to which of
// several an answer is, that it is the target's has to do.
func (r *randomTrace) isOwn(probe int) bool {
	reply := r.Probes[probe].Reply
	if reply.MatchedBy == matcher.Ambiguous {
		return reply.From == r.Target.Addr
	}
	for _, a := range r.drawn[probe] {
		if a.At.Equal(reply.Received) && sourceOf(a.IP) == reply.From {
			return true
		}
	}
	return false
}

// hasTwin reports whether another probe has the same checksum, as two in 65,534 have.
// Over IPv6 a quote without a payload tells nothing else of a UDP probe, nor does it where
// IDs are rewritten.
func (r *randomTrace) hasTwin(p *path.Probe) bool {
	return r.Protocol == layers.IPProtocolUDP && (r.Target.Addr.Is6() || r.truth.Rewrites.ID) &&
		slices.ContainsFunc(r.Probes, func(o path.Probe) bool { return o.Number != p.Number && o.Checksum == p.Checksum })
}

// isUntold reports whether a probe drew a quote in which nothing but the ports is as it
// was sent, and neither of what tells such a quote does: that as many as three probes drew
// one with the checksum shifted by the same constant; or, of probes with ports of their
// own, that three did with other constants, and no probe with this TTL or a higher one was
// quoted as it was sent. Anybody who knows the ports can make up others.
func (r *randomTrace) isUntold(probe int) bool {
	shift, ok := r.rewritten(probe)
	if !ok || r.shifted(shift) >= 3 {
		return false
	}
	if !r.Parameters.Classic {
		return true
	}
	others := 0
	for i := range r.Probes {
		other, ok := r.rewritten(i)
		if ok && r.shifted(other) < 3 {
			others++
		}
		if !ok && r.came(i) != nil && r.Probes[i].TTL >= r.Probes[probe].TTL {
			return true
		}
	}
	return others < 3
}

// shifted counts the probes that drew a quote with the checksum shifted by a constant.
func (r *randomTrace) shifted(by uint32) (n int) {
	for i := range r.Probes {
		if shift, ok := r.rewritten(i); ok && shift == by {
			n++
		}
	}
	return n
}

// isUntoldFrom reports whether that is so of a probe that got as far as a hop.
func (r *randomTrace) isUntoldFrom(hop int) bool {
	return slices.ContainsFunc(r.Probes, func(p path.Probe) bool { return int(p.TTL) == hop && r.isUntold(p.Number) })
}

// rewritten is by what constant the checksum is shifted in the first quote that a probe
// drew, if it shows neither its ID, its checksum nor its cookie.
func (r *randomTrace) rewritten(probe int) (shift uint32, ok bool) {
	p := &r.Probes[probe]
	if r.Protocol != layers.IPProtocolUDP || len(r.drawn[probe]) == 0 || r.drawn[probe][0].At.After(r.Ended) {
		return 0, false
	}
	ip, header := r.drawn[probe][0].IP, 20
	if r.Target.Addr.Is6() {
		header = 40
	}
	const cookieEnd = 8 + 10 // in a UDP packet; what is short may be padded with zeros
	if !isError(ip) || len(ip) < 2*header+16 {
		return 0, false
	}
	quote := ip[header+8:]
	if len(quote) >= header+cookieEnd && quote[header+cookieEnd-1] != 0 {
		return 0, false
	}
	id, sum := binary.BigEndian.Uint16(quote[4:]), uint32(binary.BigEndian.Uint16(quote[header+6:]))
	if id == p.ID && header == 20 || sum == uint32(p.Checksum) {
		return 0, false
	}
	shift = sum + uint32(^p.Checksum)
	return (shift&0xffff + shift>>16) % 0xffff, true
}

// came is what a probe drew that came before the trace ended and can be read, or nil.
func (r *randomTrace) came(probe int) []byte {
	for _, a := range r.drawn[probe] {
		if a.At.Before(r.Ended) && isReadable(a.IP) {
			return a.IP
		}
	}
	return nil
}

// isReadable reports whether a packet is no ICMP error, or quotes as much of a probe
// as IPv4 allows at least. What ends before that may be padded with zeros, to where an
// extension begins: no length of UDP, and no ICMP echo of ours, looks like that.
func isReadable(ip []byte) bool {
	quote, header := 28, 20
	if ip[0]>>4 == 6 {
		quote, header = 48, 40
	}
	end := quote + header + 8
	return !isError(ip) || len(ip) >= end && strings.Trim(string(ip[end-4:end]), "\x00") != ""
}

func isError(ip []byte) bool {
	if ip[0]>>4 == 6 {
		return ip[6] == byte(layers.IPProtocolICMPv6) && ip[40] < layers.ICMPv6TypeEchoRequest
	}
	return ip[9] == byte(layers.IPProtocolICMPv4) && ip[20] != layers.ICMPv4TypeEchoReply
}
