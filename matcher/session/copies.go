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
	seen [1 << 12]struct {
		packet uint64
		at     int64
		link   uint32
		ttl    uint8
	}
}

const (
	// copyWithin is how much later another interface may see a packet, and
	copyForwarded = time.Second
	// mirrored how much later the same may.
	copyMirrored = 50 * time.Microsecond
	// copyUnlinked is how much later it may come again with a lower TTL,
	// where frames don't show by which way they came.
	copyUnlinked = 50 * time.Millisecond
)

// probe reports whether a probe was seen before.
func (c *copies) probe(s *sighting) bool {
	h := mix(uint64(s.sport)<<48 | uint64(s.dport)<<32 | uint64(s.id)<<16 | uint64(s.length))
	h = mix(h ^ uint64(s.token)<<8 ^ uint64(s.protocol) ^ s.payload)
	src, dst := s.src, s.dst
	return c.again(hashBytes(src[:], hashBytes(dst[:], h)), s.at, s.link, s.ttl)
}

// reply reports whether a reply was seen before.
func (c *copies) reply(f *frame.Frame, m *matcher.Message) bool {
	const enough = 64
	p := &m.Packet
	src, dst := p.Src.As16(), p.Dst.As16()
	h := hashBytes(src[:], hashBytes(dst[:], uint64(p.ID)))
	h = hashBytes(p.Payload[:min(len(p.Payload), enough)], h)
	return c.again(h, f.Time.UnixNano(), linkOf(f, p), p.TTL)
}

func (c *copies) again(packet uint64, at int64, link uint32, ttl uint8) bool {
	slot := &c.seen[packet%uint64(len(c.seen))]
	later := time.Duration(at - slot.at)
	switch {
	case slot.packet != packet || later < 0 || later > copyForwarded:
	case link != slot.link, later <= copyMirrored && ttl == slot.ttl, link == 0 && ttl < slot.ttl && later <= copyUnlinked:
		return true
	}
	slot.packet, slot.at, slot.link, slot.ttl = packet, at, link, ttl
	return false
}
