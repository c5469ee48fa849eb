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
	blocks  []*[windowBlock]kept
	heads   []uint32 // by the hash of the target: one more than the place of the latest; 0 for none
	next    int      // the place of the packet to come
	full    bool     // it takes the place of another
	seed    addr     // so that nobody can make chains long by choosing the targets
	evicted int
}

// kept is a sighting in 64 bytes. Its target is known by a hash, which nobody can
// make another target have: who seeks one knows its address.
type kept struct {
	to, payload              uint64
	src                      addr
	at                       int64
	token, frame             uint32
	earlier                  uint32 // one more than the place of the packet before it in its chain
	sport, dport, id, length uint16
	ttl, tos, protocol       uint8
	is                       uint8 // of the bits below, and of TCP's flags those that don't overlap
}

// What is kept in one bit, in the place of TCP's flags that nobody asks for.
const (
	isUsed   = 0x01
	isIPv6   = 0x20
	isDF     = 0x40
	isOneBit = isUsed | isIPv6 | isDF
)

// keep makes k a packet to the target with a hash.
func (k *kept) keep(s *sighting, to uint64, earlier uint32) {
	k.to, k.payload, k.src, k.at = to, s.payload, s.src, s.at
	k.token, k.frame, k.earlier = s.token, s.frame, earlier
	k.sport, k.dport, k.id, k.length = s.sport, s.dport, s.id, s.length
	k.ttl, k.tos, k.protocol, k.is = s.ttl, s.tos, s.protocol, s.flags&^isOneBit
	if s.is6 {
		k.is |= isIPv6
	}
	if s.df {
		k.is |= isDF
	}
}

// sighting is the packet, which went to dst.
func (k *kept) sighting(dst addr) sighting {
	return sighting{
		src: k.src, dst: dst, at: k.at, payload: k.payload, token: k.token, frame: k.frame,
		sport: k.sport, dport: k.dport, id: k.id, length: k.length,
		ttl: k.ttl, tos: k.tos, protocol: k.protocol, flags: k.is &^ isOneBit,
		is6: k.is&isIPv6 != 0, df: k.is&isDF != 0,
	}
}

// used reports whether the packet was taken out.
func (k *kept) used() bool { return k.is&isUsed != 0 }

const (
	// maxWindow packets of 64 bytes, and the table, are 51 MB.
	maxWindow   = 45 * windowBlock
	windowBlock = 1 << 14
	windowBits  = 20

	// maxWalk bounds how many packets in a chain are looked at, and maxOthers
	// how many in a row that are of another group than the one sought.
	maxWalk   = 4096
	maxOthers = 64
)

func newWindow() window { return window{seed: addr{rand.Uint64(), rand.Uint64()}} }

func (w *window) at(place int) *kept { return &w.blocks[place/windowBlock][place%windowBlock] }

// add remembers a packet.
func (w *window) add(s *sighting, now int64) {
	if w.heads == nil {
		w.heads = make([]uint32, 1<<windowBits)
	}
	if w.next/windowBlock == len(w.blocks) {
		w.blocks = append(w.blocks, new([windowBlock]kept))
	}
	place := w.at(w.next)
	if w.full && !place.used() && !isOld(place.at, now) {
		w.evicted++
	}
	to := w.target(s.dst, s.protocol)
	head := &w.heads[bucket(to)]
	place.keep(s, to, *head)
	*head = uint32(w.next + 1)
	if w.next++; w.next == maxWindow {
		w.next, w.full = 0, true
	}
}

// target is the hash of a target.
func (w *window) target(dst addr, protocol uint8) uint64 {
	return mix(dst.high^w.seed.high^uint64(protocol), dst.low^w.seed.low)
}

// bucket is the place in heads for a target.
func bucket(to uint64) uint64 { return to >> (64 - windowBits) }

// walk yields the packets to a target, the latest first, those that were taken
// out too. A packet that took the place of an older one ends the chain that led
// there: it is of another, or not older than the one before it.
func (w *window) walk(dst addr, protocol uint8, now int64, yield func(*kept) bool) {
	if w.heads == nil {
		return
	}
	to := w.target(dst, protocol)
	age := -1
	for link, n := w.heads[bucket(to)], 0; link != 0 && n < maxWalk; n++ {
		k := w.at(int(link - 1))
		older := w.age(int(link - 1))
		if older <= age || isOld(k.at, now) {
			return
		}
		age = older
		if k.to != to {
			if bucket(k.to) != bucket(to) {
				return
			}
		} else if !yield(k) {
			return
		}
		link = k.earlier
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
	w.walk(like.dst, like.protocol, now, func(k *kept) bool {
		if n++; !k.used() && k.ttl <= lowTTL && k.src == like.src {
			ttls |= 1 << k.ttl
		}
		return n < enough && bits.OnesCount64(ttls) < several
	})
	return bits.OnesCount64(ttls) >= several
}

// find returns the packet that an ICMP error is about: of several the one that
// agrees in most, and of these the earliest. The ports alone are enough for a
// time-exceeded about the only packet with a low TTL that has them.
func (w *window) find(m *matcher.Message, now int64) (found sighting, ok bool) {
	src, dst := addrOf(m.Quote.Src), addrOf(m.Quote.Dst)
	most, by := 4, m.Time.Add(disorder).UnixNano()
	var alone sighting
	alike := 0
	w.walk(dst, uint8(m.Of.Protocol), now, func(k *kept) bool {
		if k.used() || k.at > by || k.dport != m.Of.DstPort {
			return true
		}
		s := k.sighting(dst)
		key := s.key()
		n := 2 * key.Agreement(&m.Of)
		if s.src == src {
			n++ // it may have been translated, and the quote not
		}
		if n >= most {
			found, most, ok = s, n, true
		}
		if s.src == src && s.sport == m.Of.SrcPort {
			alone = s
			alike++
		}
		return true
	})
	if !ok && alike == 1 && alone.ttl <= lowTTL && m.Reply.Kind == matcher.TimeExceeded {
		return alone, true
	}
	return found, ok
}

// take takes out the packets of a group that have a low TTL, and like itself, in
// the order in which they were captured, and appends them to all.
func (w *window) take(like *sighting, now int64, all []sighting) []sighting {
	others := 0
	w.walk(like.dst, like.protocol, now, func(k *kept) bool {
		if k.src != like.src {
			others++
			return others < maxOthers
		}
		others = 0
		itself := k.at == like.at && k.token == like.token && k.id == like.id && k.ttl == like.ttl
		if !k.used() && (k.ttl <= lowTTL || itself) {
			all = append(all, k.sighting(like.dst))
			k.is |= isUsed
		}
		return true
	})
	slices.Reverse(all)
	return all
}
