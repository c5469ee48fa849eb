package session_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

// flood is how many frames a test of bounds shows to a Finder: many times as many
// as it may hold in runs. To fill the window takes fillWindow.
const (
	flood      = 100_000
	fillWindow = 760_000
)

// memory bounds what a Finder may allocate for a flood that has no traces, however
// long: what is over leaves its memory to what comes. So a program's memory can't
// grow by more, whenever it is collected.
const memory = 75 << 20

// A flood is a frame that changes from one to the next. Whatever it is, it has
// to be done with soon, and to leave little behind.
func TestFinderHoldsLittleOfAFlood(t *testing.T) {
	part := 1 // of each flood: the race detector has nothing to see in it
	if testing.Short() {
		part = 100
	}
	syn := packet{src: host, dst: server, protocol: layers.IPProtocolTCP, ttl: 3, sport: 40000, dport: 80, seq: 1, flags: "S"}
	stream := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 3, sport: 5004, dport: 5004, payload: zeroes(20)}
	const (
		ip     = 0           // where the IP header begins, in frames without a link header,
		quoted = ip + 20 + 8 // where that which an ICMP error quotes,
		id     = 4           // and in it the ID,
		ttl    = 8           // the TTL,
		src    = 12          // the addresses
		dst    = 16          //
		ports  = 20          // and the ports
	)
	for _, c := range []struct {
		name   string
		ip     []byte
		change func(b []byte, n int)
		runs   bool // some are, or look like, traces
		frames int
	}{
		{"one stream", stream.bytes(), func(b []byte, n int) { put16(b[id:], n) }, false, fillWindow},
		{"one stream with two TTLs", stream.bytes(), func(b []byte, n int) { put16(b[id:], n); b[ttl] = byte(3 + n%2) }, false, fillWindow},
		{"one stream with all TTLs", stream.bytes(), func(b []byte, n int) { put16(b[id:], n); b[ttl] = byte(1 + n*7%32) }, false, flood},
		{"the same SYN", syn.bytes(), func([]byte, int) {}, false, flood},
		{"SYNs from all ports", syn.bytes(), func(b []byte, n int) { put16(b[ports:], n); put16(b[id:], n); b[ttl] = byte(1 + n*7%32) }, false, flood},
		{"streams between all ports", stream.bytes(), func(b []byte, n int) { put32(b[ports:], n*7919); b[ttl] = byte(1 + n*7%32) }, false, flood},
		{"streams to everywhere", stream.bytes(), func(b []byte, n int) { put32(b[dst:], n/3); b[ttl] = byte(20 + n%3) }, false, flood},
		{"long streams to everywhere", stream.bytes(), func(b []byte, n int) { put16(b[id:], n); put32(b[dst:], n%8000); b[ttl] = byte(20 + n/8000%3) }, false, 8 * flood},
		{"streams from everywhere", stream.bytes(), func(b []byte, n int) { put32(b[src:], n/3); b[ttl] = byte(20 + n%3) }, false, flood},
		{"ordinary packets to everywhere", stream.bytes(), func(b []byte, n int) { put32(b[dst:], n); b[ttl] = 64 }, false, fillWindow},
		{"errors about TCP to everywhere", about(router(1), exceeded, syn), func(b []byte, n int) { put32(b[quoted+dst:], n) }, false, flood},
		{"errors about TCP from everywhere", about(router(1), exceeded, syn), func(b []byte, n int) { put32(b[quoted+src:], n) }, false, flood},
		{"errors about one stream", about(router(1), exceeded, stream), func(b []byte, n int) { put16(b[quoted+id:], n) }, false, flood},
		{"errors about streams between all ports", about(router(1), exceeded, stream), func(b []byte, n int) { put32(b[quoted+ports:], n*7919) }, true, flood},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := allocated()
			traces, probes := 0, 0
			finder := session.NewFinder(func(p *path.Path) { traces++; probes += len(p.Probes) })
			began := time.Now()
			for n := range c.frames / part {
				c.change(c.ip, n)
				finder.Observe(&frame.Frame{Time: epoch.Add(time.Duration(n) * 10 * time.Microsecond), Data: c.ip, Length: len(c.ip), Link: frame.Raw})
			}
			took := time.Since(began)
			took /= time.Duration(c.frames / part)
			used := allocated() - before
			if t.Logf("%d MB, %v a frame", used>>20, took); used > memory {
				t.Errorf("%d MB allocated", used>>20)
			}
			if finder.Close(); traces > 0 != c.runs {
				t.Errorf("%d traces of %d probes", traces, probes)
			}
		})
	}
}

// What is forgotten for lack of memory is counted, and what is a minute old is
// not missed.
func TestFinderCountsWhatItForgets(t *testing.T) {
	for _, c := range []struct {
		apart  time.Duration
		misses bool
	}{{time.Microsecond, true}, {100 * time.Microsecond, false}} {
		var recorded tape
		recorded.trace(5, probe)
		var got *path.Path
		finder := session.NewFinder(func(p *path.Path) { got = p.Clone() })
		for i := range recorded.frames {
			finder.Observe(&recorded.frames[i])
		}
		other := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 64, sport: 5004, dport: 5004}.bytes()
		const more = 650_000 // than there is room for
		for n := range more {
			put16(other[4:], n)
			finder.Observe(&frame.Frame{Time: epoch.Add(time.Second + time.Duration(n)*c.apart), Data: other, Length: len(other), Link: frame.Raw})
		}
		finder.Close()
		if evicted := finder.Evicted(); evicted > 0 != c.misses || evicted > more/10 {
			t.Errorf("%v apart: %d packets were forgotten", c.apart, evicted)
		}
		if got == nil || c.misses && got.Counters.Evicted != finder.Evicted() {
			t.Errorf("%v apart: %+v", c.apart, got)
		}
	}
}

// However many packets there are to tell apart, each is found that an ICMP error is
// about.
func TestFinderFindsEachOfManyPackets(t *testing.T) {
	const packets, targets, errors = 500_000, 50_000, 1000
	found := 0
	finder := session.NewFinder(func(p *path.Path) { found += p.Counters.Received })
	at := func(n int) packet {
		return packet{
			src: host, dst: router(n % targets), protocol: layers.IPProtocolUDP, ttl: 5,
			id: uint16(n), sport: uint16(n / targets), dport: 443, payload: []byte{byte(n), byte(n >> 8), byte(n >> 16)},
		}
	}
	b := at(0).bytes()
	for n := range packets {
		p := at(n)
		copy(b[16:], p.dst.AsSlice())
		put16(b[4:], int(p.id))
		put16(b[20:], int(p.sport))
		copy(b[28:], p.payload)
		finder.Observe(&frame.Frame{Time: epoch.Add(time.Duration(n) * 10 * time.Microsecond), Data: b, Length: len(b), Link: frame.Raw})
	}
	for n := range errors {
		of := at(targets*(1+n%9) + n)
		b := about(router(9), exceeded, of)
		f := frame.Frame{Time: epoch.Add(packets * 10 * time.Microsecond), Data: b, Length: len(b), Link: frame.Raw}
		finder.Observe(&f)
	}
	finder.Close()
	if found != errors {
		t.Errorf("%d of %d were found", found, errors)
	}
}

func put16(b []byte, n int) { binary.BigEndian.PutUint16(b, uint16(n)) }

// put32 keeps an address out of the ranges that are nobody's.
func put32(b []byte, n int) { binary.BigEndian.PutUint32(b, uint32(n)&0x3fffffff+0x0b000000) }

// allocated is how much was allocated so far.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// A capture of a few packets takes little memory: the room for many comes with them.
func TestFinderTakesLittleForAFewPackets(t *testing.T) {
	const most = 1 << 20
	before := allocated()
	finder := session.NewFinder(func(*path.Path) {})
	b := packet{src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 64, sport: 5004, dport: 5004}.bytes()
	for n := range 1000 {
		put16(b[4:], n)
		finder.Observe(&frame.Frame{Time: epoch.Add(time.Duration(n) * time.Millisecond), Data: b, Length: len(b), Link: frame.Raw})
	}
	if used := allocated() - before; used > most {
		t.Errorf("%d KB allocated", used>>10)
	}
	finder.Close()
}
