package session

import (
	"math/bits"
	"time"

	"github.com/tracewire/tracewire/craft"
)

// window remembers the packets of the last minute that are not known to be
// probes. It is a ring that grows up to maxWindow packets, with a hash table
// whose chains lead from the latest packet to a target back.
type window struct {
	ring    []sighting
	heads   []uint32 // by the hash of the target: one more than the place of the latest; 0 for none
	next    int      // the place of the packet to come
	evicted int
}

const (
	// maxWindow packets of 80 bytes, and the table, are 64 MB.
	maxWindow = 780_000
	windowBit = 20

	// maxWalk bounds how many packets to a target are looked at.
	maxWalk = 4096
)

// add remembers a packet.
func (w *window) add(s *sighting, now time.Time) {
	if w.heads == nil {
		w.heads = make([]uint32, 1<<windowBit)
	}
	head := &w.heads[s.target()>>(64-windowBit)]
	if len(w.ring) < maxWindow {
		w.ring = append(w.ring, *s)
	} else {
		if old := &w.ring[w.next]; !old.used && recent(old, now) {
			w.evicted++
		}
		w.ring[w.next] = *s
	}
	w.ring[w.next].earlier = *head
	*head = uint32(w.next + 1)
	if w.next++; w.next == maxWindow {
		w.next = 0
	}
}

func recent(s *sighting, now time.Time) bool {
	return absolute(time.Duration(now.UnixNano()-s.at)) <= Idle
}

// walk yields the packets in the chain of a target, the latest first. A packet
// that took the place of an older one ends the chain that led there: it is of
// another, or not older than the one before it.
func (w *window) walk(target uint64, now time.Time, yield func(*sighting) bool) {
	if w.heads == nil {
		return
	}
	bucket := target >> (64 - windowBit)
	age := -1
	for at, n := w.heads[bucket], 0; at != 0 && n < maxWalk; n++ {
		s := &w.ring[at-1]
		older := w.age(int(at - 1))
		if older <= age || s.target()>>(64-windowBit) != bucket || !recent(s, now) {
			return
		}
		age = older
		if !s.used && s.target() == target && !yield(s) {
			return
		}
		at = s.earlier
	}
}

// age is how many packets were added after the one at a place.
func (w *window) age(at int) int {
	if at < w.next {
		return w.next - 1 - at
	}
	return w.next - 1 - at + len(w.ring)
}

// climbs reports whether packets of a group have three different TTLs.
func (w *window) climbs(like *sighting, now time.Time) bool {
	var ttls uint64
	n := 0
	w.walk(like.target(), now, func(s *sighting) bool {
		if n++; s.ttl <= lowTTL && s.sameGroup(like) {
			ttls |= 1 << s.ttl
		}
		return n < 64 && bits.OnesCount64(ttls) < 3
	})
	return bits.OnesCount64(ttls) >= 3
}

// find returns the packet that an ICMP error is about: of several the one that
// agrees in most, and of these the earliest.
func (w *window) find(quote *craft.Key, at, now time.Time) (found sighting, ok bool) {
	most := 1
	w.walk(hashTarget(quote.Dst.As16(), uint8(quote.Protocol)), now, func(s *sighting) bool {
		if s.at > at.UnixNano() || s.dport != quote.DstPort || s.is6 != quote.Dst.Is6() {
			return true
		}
		key := s.key()
		if n := key.Agreement(quote); n > most || n == most && n > 1 {
			found, most, ok = *s, n, true
		}
		return true
	})
	return found, ok
}

// take takes out the packets of a group that have a low TTL, and like itself, in
// the order in which they were captured.
func (w *window) take(like *sighting, now time.Time) []sighting {
	var all []sighting
	w.walk(like.target(), now, func(s *sighting) bool {
		itself := s.at == like.at && s.token == like.token && s.id == like.id && s.ttl == like.ttl
		if s.sameGroup(like) && (s.ttl <= lowTTL || itself) {
			all = append(all, *s)
			s.used = true
		}
		return true
	})
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}
