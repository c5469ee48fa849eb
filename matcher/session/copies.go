package session

import (
	"time"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
)

// copies recognises packets that a capture holds more than once: because they
// crossed several of its interfaces, or a router on which it was made, or
// because it mirrors what a port sends and receives. What a network or a
// program repeats is none: it comes later by the same way.
type copies struct {
	seen             [1 << 10][ways]sight
	probes, mirrored int // packets that may be probes, and those that came twice at once by the same way
}

// ways is how many packets are remembered whose hashes begin alike.
const ways = 4

// sight is when and where a packet was seen.
type sight struct {
	packet uint64 // a hash of what no router changes
	at     int64  // nanoseconds since 1970
	link   uint32 // see linkOf
	ttl    uint8
	moves  bool // with a lower TTL it is still the same: it has an IP ID, or came by several links
}

const (
	// copyForwarded is how much later another interface may see a packet, or
	// the same one after a loop.
	copyForwarded = time.Second
	// copyDelayed is how much later a router may have passed it on, with a lower
	// TTL, that holds back what it forwards.
	copyDelayed = 10 * time.Second
	// copyUnlinked is how much later it may come again with a lower TTL,
	// where neither frames show by which way they came nor an IP ID which
	// packet it is.
	copyUnlinked = 50 * time.Millisecond
	// copyMirrored is how much later it may come by the same way, if the
	// capture mirrors. No program sends a probe again so soon.
	copyMirrored = 50 * time.Microsecond
	// copyAtOnce is how much later a reply may come by the same way though
	// probes don't come twice: networks take longer to repeat one.
	copyAtOnce = time.Microsecond
)

// probe reports whether a probe was seen before.
func (c *copies) probe(s *sighting) bool {
	h := mix(uint64(s.sport)<<48|uint64(s.dport)<<32|uint64(s.id)<<16|uint64(s.length),
		uint64(s.token)<<8^uint64(s.protocol)^s.payload)
	here := sight{s.dst.hash(s.src.hash(h)), s.at, s.link, s.ttl, !s.is6 && s.id != 0}
	again, sameWay := c.again(here, copyMirrored)
	switch {
	case !again:
		c.probes++
	case sameWay:
		c.mirrored++
	}
	return again
}

// reply reports whether a reply was seen before.
func (c *copies) reply(f *frame.Frame, m *matcher.Message) bool {
	const enough = 64
	p := &m.Packet
	h := addrOf(p.Dst).hash(addrOf(p.Src).hash(uint64(p.ID)))
	h = hashBytes(p.Payload[:min(len(p.Payload), enough)], h)
	atOnce := copyAtOnce
	if 2*c.mirrored >= c.probes {
		atOnce = copyMirrored
	}
	again, _ := c.again(sight{h, f.Time.UnixNano(), linkOf(f, p), p.TTL, p.ID != 0}, atOnce)
	return again
}

// before is where a packet was seen before, or else the place of the one that
// makes room for it: the one seen first of those that could.
func (c *copies) before(here *sight) *sight {
	places := &c.seen[here.packet%uint64(len(c.seen))]
	oldest := &places[0]
	for i := range places {
		if places[i].packet == here.packet {
			return &places[i]
		}
		if places[i].at < oldest.at {
			oldest = &places[i]
		}
	}
	return oldest
}

// again reports whether a packet was seen before, and whether it came the same
// way, which it does within atOnce if it is no other packet.
func (c *copies) again(here sight, atOnce time.Duration) (again, sameWay bool) {
	before := c.before(&here)
	later := time.Duration(here.at - before.at)
	switch {
	case before.packet != here.packet || later < 0 || later > copyDelayed:
	case later > copyForwarded && here.ttl >= before.ttl:
	case here.link != before.link:
		before.moves = true
		return true, false
	case here.ttl < before.ttl && (before.moves || here.link == 0 && later <= copyUnlinked):
		before.at, before.ttl = here.at, here.ttl // a loop may go on for longer
		return true, false
	case here.ttl == before.ttl && later <= atOnce:
		return true, true
	}
	*before = here
	return false, false
}
