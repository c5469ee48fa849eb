package tracewire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

const ms = time.Millisecond

// Whatever happens to a trace, its replay tells the same events; and so does the
// replay of a recording that was cut anywhere, as far as it goes.
func TestReplayIsWhatWasTold(t *testing.T) {
	var seen happened
	seeds := []uint64{366, 463, 739} // the clock is set, and replies are foreign for it
	for seed := range uint64(85) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			r := chanceTrace(t, random)
			seen.add(r.events)
			r.isReplayedWhereCut(t, random)
			r.survivesDamage(t, random)
			r.replays(t)
			seen.others += r.isFoundOnce(t)
		})
	}
	if n := seen; min(n.Late, n.Duplicate, n.Foreign, n.Malformed, n.ambiguous, n.unsent, n.stepped, n.interrupted, n.unseen, n.others) < 10 {
		t.Errorf("too little happened: %+v", n)
	}
}

// happened counts what makes traces differ.
type happened struct {
	path.Counters
	ambiguous, unsent, stepped, interrupted, unseen, others int
}

func (h *happened) add(told []path.Event) {
	last := told[len(told)-1]
	p := last.Path
	h.Late += p.Counters.Late
	h.Duplicate += p.Counters.Duplicate
	h.Foreign += p.Counters.Foreign
	h.Malformed += p.Counters.Malformed
	if p.Clock.Stepped {
		h.stepped++
	}
	if p.Interrupted {
		h.interrupted++
	}
	for _, probe := range p.Probes {
		switch r := probe.Reply; {
		case probe.Status == path.Unsent:
			h.unsent++
		case probe.SentClock == path.User:
			h.unseen++
		case r != nil && r.MatchedBy == matcher.Ambiguous:
			h.ambiguous++
		}
	}
}

// chanceTrace traces, through a network and with troubles that chance chooses,
// and records it.
func chanceTrace(t *testing.T, random *rand.Rand) *recorder {
	r := &recorder{}
	synctest.Test(t, func(t *testing.T) {
		network, dst := chanceNetwork(t, random)
		host := capturetest.Host{NoCopies: random.IntN(12) == 0, Idle: time.Duration(1+random.IntN(100)) * ms}
		l := &lab{T: t, conn: network.Conn(host)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if random.IntN(3) == 0 {
			stop := time.AfterFunc(time.Duration(random.IntN(400))*ms, cancel)
			defer stop.Stop()
		}
		for range random.IntN(8) {
			trouble := time.AfterFunc(time.Duration(random.IntN(300))*ms, l.trouble(random))
			defer trouble.Stop()
		}
		o := chanceOptions(random)
		o.Dial = l.dial
		r = record(t, &o)
		tracer, err := tracewire.NewTracer(&o)
		if err != nil {
			t.Fatal(err)
		}
		err = tracer.Trace(ctx, tracewire.Target{Addr: dst, Host: "host.example"}, r.tell)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errTrouble) {
			t.Error(err)
		}
	})
	return r
}

func chanceOptions(random *rand.Rand) tracewire.Options {
	wait := path.Wait{Max: []time.Duration{5 * ms, 20 * ms, time.Second}[random.IntN(3)]}
	if random.IntN(2) == 0 {
		wait.Here, wait.Near = 3*random.Float64(), 10*random.Float64()
	}
	return tracewire.Options{
		FirstTTL: 1 + random.IntN(3), MaxTTL: 4 + random.IntN(12), Queries: 1 + random.IntN(5),
		InFlight: 1 + random.IntN(20), Wait: wait, Interval: time.Duration(random.IntN(2)*random.IntN(20)) * ms,
		Seed: 1 + random.Uint64N(1000),
	}
}

// chanceNetwork is one of the topologies, or a chain, and a destination in it.
func chanceNetwork(t *testing.T, random *rand.Rand) (*capturetest.Network, netip.Addr) {
	if names := topologies.Names(); random.IntN(3) == 0 {
		name := names[random.IntN(len(names))]
		data, err := topologies.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		top, err := topology.Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		network, err := capturetest.Simulate(top)
		if err != nil {
			t.Fatal(err)
		}
		return network, chanceTarget(top, random)
	}
	network, err := capturetest.New(chanceChain(random))
	if err != nil {
		t.Fatal(err)
	}
	return network, target
}

// chanceTarget is an IPv4 destination of a topology, or one in a prefix of it.
func chanceTarget(top *topology.Topology, random *rand.Rand) netip.Addr {
	var all []netip.Addr
	for _, d := range top.Destinations {
		all = append(all, d.Addresses...)
	}
	for _, p := range top.Prefixes {
		all = append(all, p.Prefix.Addr().Next().Next())
	}
	for {
		if a := all[random.IntN(len(all))]; a.Is4() {
			return a
		}
	}
}

func chanceChain(random *rand.Rand) capturetest.Chain {
	c := capturetest.Chain{Seed: random.Uint64()}
	for i := range 1 + random.IntN(8) {
		c.Routers = append(c.Routers, capturetest.Router{
			Addrs: capturetest.Addrs(fmt.Sprintf("10.0.%d.1", 1+i%(1+random.IntN(8)))),
			Link:  chanceLink(random), Silent: random.IntN(6) == 0, Reply: chanceReply(random),
		})
	}
	if random.IntN(6) == 0 {
		at := random.IntN(len(c.Routers))
		c.Routers[at].Reject = &capturetest.Reject{Code: 13, Hook: capturetest.Hook(random.IntN(2))}
	}
	c.Destination = capturetest.Destination{
		Addr: target, Link: chanceLink(random), Answer: capturetest.Answer(random.IntN(4)), Payload: []byte("hello"),
		Reply: chanceReply(random),
	}
	return c
}

func chanceLink(random *rand.Rand) capturetest.Link {
	return capturetest.Link{Delay: time.Duration(random.IntN(4)) * ms, Jitter: time.Duration(random.IntN(3000)) * time.Microsecond}
}

func chanceReply(random *rand.Rand) capturetest.Reply {
	r := capturetest.Reply{Late: map[int]time.Duration{}}
	if random.IntN(4) == 0 {
		r.Limit.SkipEvery = 2 + random.IntN(3)
	}
	if random.IntN(4) == 0 {
		r.Late[1+random.IntN(4)] = time.Duration(random.IntN(1500)) * ms
	}
	if random.IntN(4) == 0 {
		r.Copies, r.Spacing = random.IntN(2*path.MaxExtra), time.Duration(random.IntN(30))*ms
	}
	return r
}

var errTrouble = errors.New("trouble")

// trouble is something that happens to a trace.
func (l *lab) trouble(random *rand.Rand) func() {
	by := time.Duration(random.IntN(4000)-2000) * ms
	forged := l.forged(random)
	return [...]func(){
		func() { l.conn.Step(by) },
		func() { l.conn.FailInject(capture.ErrBusy) },
		func() { l.conn.FailInject(nil) },
		func() { l.conn.FailInject(nil) },
		func() { l.conn.Deliver(0, l.conn.Inbound(forged)) },
		func() { l.conn.Deliver(0, l.conn.Inbound(forged[:24])) },
		func() { l.conn.Emit(0, l.conn.Outbound(forged)) },
		func() {
			if by > 1000*ms {
				l.conn.FailInject(errTrouble)
			}
		},
		func() {
			if by > 1000*ms {
				l.conn.Fail(errTrouble)
			}
		},
	}[random.IntN(9)]
}

// forged is an ICMP error about somebody else's probe.
func (l *lab) forged(random *rand.Rand) []byte {
	from := l.conn.Host().Addr
	probe, err := capturetest.UDP{
		From: netip.AddrPortFrom(from, 50001), To: netip.AddrPortFrom(target, 33434), TTL: 1,
		ID: uint16(random.Uint32()), Payload: make([]byte, 32),
	}.Packet()
	if err != nil {
		l.Fatal(err)
	}
	message, err := capturetest.ICMPError{
		From: netip.MustParseAddr("203.0.113.66"), To: from, Type: layers.ICMPv4TypeTimeExceeded, Datagram: probe,
	}.Packet()
	if err != nil {
		l.Fatal(err)
	}
	return message
}

// replayed is what a replay of a file tells. The error is that of the file, if it
// can't be opened at all, or what the replay ended with.
func replayed(t *testing.T, file []byte, o *tracewire.ReplayOptions) (told []path.Event, err error) {
	t.Helper()
	f, err := capture.NewFile(bytes.NewReader(file), "recording")
	if err != nil {
		return nil, err
	}
	err = tracewire.Replay(t.Context(), f, o, func(e path.Event) { told = append(told, e) })
	return told, err
}

var sameEvents = cmpopts.EquateComparable(netip.Addr{})

// isReplayedWhereCut holds the replays of recordings that end too early against
// what was told live: nothing is told that was not, but how an interrupted trace
// ends. A recording that ends where a program was killed has all that the program
// had told by then, but for a start that nothing followed.
func (r *recorder) isReplayedWhereCut(t *testing.T, random *rand.Rand) {
	t.Helper()
	for range 8 {
		r.isReplayedUpTo(t, random.IntN(r.file.Len()))
		n := random.IntN(len(r.events))
		if same := r.isReplayedUpTo(t, r.length[n]); same <= n && n > 0 {
			t.Fatalf("%d events were told, and %d of them are replayed", n+1, same)
		}
	}
}

// isReplayedUpTo replays the first bytes of the recording, and returns how many
// events it told that were told live.
func (r *recorder) isReplayedUpTo(t *testing.T, length int) (same int) {
	t.Helper()
	again, err := replayed(t, r.file.Bytes()[:length], nil)
	if opened := len(again) > 0; opened && err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("cut at %d: %v", length, err)
	}
	for same < min(len(again), len(r.events)) && cmp.Equal(again[same], r.events[same], sameEvents) {
		same++
	}
	isInterrupted(t, again[same:])
	return same
}

// isInterrupted checks the events by which the replay of a trace without an end
// ends: replies that were held, hops that were not told yet, and that it was
// interrupted.
func isInterrupted(t *testing.T, rest []path.Event) {
	t.Helper()
	for i, e := range rest {
		switch last := i == len(rest)-1; {
		case e.Kind == path.Decided && !last:
		case e.Kind == path.Answer && e.Reply.MatchedBy == matcher.ByTwo: // it was held
		case e.Kind == path.Ended && last && e.Path.Interrupted:
		default:
			t.Fatalf("event %d of the last %d was not told live: %+v", i, len(rest), e)
		}
	}
}

// isFoundOnce replays all that is in the recording: of the traces that are found
// none has a probe of this one. It returns how many others there are.
func (r *recorder) isFoundOnce(t *testing.T) (others int) {
	t.Helper()
	again, err := replayed(t, r.file.Bytes(), &tracewire.ReplayOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range again {
		if e.Kind != path.Ended || !e.Path.Clock.Captured {
			continue
		}
		others++
		for _, probe := range e.Path.Probes {
			if probe.SrcPort == 50000 {
				t.Errorf("also found: %+v, %+v", probe, probe.Reply)
			}
		}
	}
	return others
}

// survivesDamage replays recordings in which bytes are others: whatever comes of
// it, it comes to an end, and no trace is left without one.
func (r *recorder) survivesDamage(t *testing.T, random *rand.Rand) {
	t.Helper()
	for range 4 {
		file := bytes.Clone(r.file.Bytes())
		for range 1 + random.IntN(20) {
			file[random.IntN(len(file))] = byte(random.Uint32())
		}
		again, _ := replayed(t, file, &tracewire.ReplayOptions{All: random.IntN(2) == 0})
		running := 0
		for _, e := range again {
			switch e.Kind {
			case path.Started:
				running++
			case path.Ended:
				running--
			}
		}
		if running != 0 {
			t.Fatalf("%d traces that have no end", running)
		}
	}
}
