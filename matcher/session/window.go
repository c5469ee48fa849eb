package session

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/tracewire/tracewire/matcher"
)

// window remembers the packets of the last minute that are not known to be
// probes. It is a ring that grows up to maxWindow packets, with a hash table
// whose chains lead from the latest packet to a target back.
type window struct {
	blocks  []*[windowBlock]sighting
	heads   []uint32 // by the hash of the target: one more than the place of the latest; 0 for none
	next    int      // the place of the packet to come
	full    bool     // it takes the place of another
	seed    addr     // so that nobody can make chains long by choosing the targets
	evicted int
}

const (
	// maxWindow packets of 80 bytes, and the table, are 63 MB.
	maxWindow   = 45 * windowBlock
	windowBlock = 1 << 14
	windowBits  = 20

	// maxWalk bounds how many packets in a chain are looked at, and maxOthers
	// how many in a row that are of another group than the one sought.
	maxWalk   = 4096
	maxOthers = 64
)

func newWindow() window { return window{seed: addr{rand.Uint64(), rand.Uint64()}} }

func (w *window) at(place int) *sighting { return &w.blocks[place/windowBlock][place%windowBlock] }

// add remembers a packet.
func (w *window) add(s *sighting, now int64) {
	if w.heads == nil {
		w.heads = make([]uint32, 1<<windowBits)
	}
	if w.next/windowBlock == len(w.blocks) {
		w.blocks = append(w.blocks, new([windowBlock]sighting))
	}
	place := w.at(w.next)
	if w.full && !place.used && !isOld(place.at, now) {
		w.evicted++
	}
	head := &w.heads[w.bucket(s.dst, s.protocol)]
	*place = *s
	place.earlier = *head
	*head = uint32(w.next + 1)
	if w.next++; w.next == maxWindow {
		w.next, w.full = 0, true
	}
}

// bucket is the place in heads for a target.
func (w *window) bucket(dst addr, protocol uint8) uint64 {
	return mix(dst.high^w.seed.high^uint64(protocol), dst.low^w.seed.low) >> (64 - windowBits)
}

// walk yields the packets to a target, the latest first, those that were taken
// out too. A packet that took the place of an older one ends the chain that led
// there: it is of another, or not older than the one before it.
func (w *window) walk(dst addr, protocol uint8, now int64, yield func(*sighting) bool) {
	if w.heads == nil {
		return
	}
	bucket := w.bucket(dst, protocol)
	age := -1
	for link, n := w.heads[bucket], 0; link != 0 && n < maxWalk; n++ {
		s := w.at(int(link - 1))
		older := w.age(int(link - 1))
		if older <= age || isOld(s.at, now) {
			return
		}
		age = older
		if s.dst != dst || s.protocol != protocol {
			if w.bucket(s.dst, s.protocol) != bucket {
				return
			}
		} else if !yield(s) {
			return
		}
		link = s.earlier
	}
}

// age is how many packets were added after the one at a place.
func (w *window) age(place int) int {
	if place < w.next {
		return w.next - 1 - place
	}
	return w.next - 1 - place + maxWindow
}

// climbs reports whether packets of a group have three different TTLs.
func (w *window) climbs(like *sighting, now int64) bool {
	const several, enough = 3, 64
	var ttls uint64
	n := 0
	w.walk(like.dst, like.protocol, now, func(s *sighting) bool {
		if n++; !s.used && s.ttl <= lowTTL && s.src == like.src {
			ttls |= 1 << s.ttl
		}
		return n < enough && bits.OnesCount64(ttls) < several
	})
	return bits.OnesCount64(ttls) >= several
}

// find returns the packet that an ICMP error is about: of several the one that
// agrees in most, and of these the earliest.
func (w *window) find(m *matcher.Message, now int64) (found sighting, ok bool) {
	src, dst := addrOf(m.Quote.Src), addrOf(m.Quote.Dst)
	most, by := 4, m.Time.Add(disorder).UnixNano()
	w.walk(dst, uint8(m.Of.Protocol), now, func(s *sighting) bool {
		if s.used || s.at > by || s.dport != m.Of.DstPort {
			return true
		}
		key := s.key()
		n := 2 * key.Agreement(&m.Of)
		if s.src == src {
			n++ // it may have been translated, and the quote not
		}
		if n >= most {
			found, most, ok = *s, n, true
		}
		return true
	})
	return found, ok
}

// take takes out the packets of a group that have a low TTL, and like itself, in
// the order in which they were captured.
func (w *window) take(like *sighting, now int64) []sighting {
	var all []sighting
	others := 0
	w.walk(like.dst, like.protocol, now, func(s *sighting) bool {
		if s.src != like.src {
			others++
			return others < maxOthers
		}
		others = 0
		itself := s.at == like.at && s.token == like.token && s.id == like.id && s.ttl == like.ttl
		if !s.used && (s.ttl <= lowTTL || itself) {
			all = append(all, *s)
			s.used = true
		}
		return true
	})
	slices.Reverse(all)
	return all
}
