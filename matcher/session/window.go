package session

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// window remembers the packets of the last minute that are not known to be
// probes. It is a ring that grows up to maxWindow packets, with hash tables
// whose chains lead from the latest packet back: to those to one target, and to
// those that are alike in what an ICMP error quotes.
type window struct {
	blocks  []*[windowBlock]kept
	heads   [chains][]uint32 // by hash: one more than the place of the latest packet; 0 for none
	bits    uint8            // of a hash that say where in heads it is
	next    int              // the place of the packet to come
	full    bool             // it takes the place of another
	seed    addr             // so that nobody can make chains long by choosing the targets
	evicted int
	looked  int // how many packets were looked at
}

// chain is what the packets of a chain have in common.
type chain uint8

const (
	byTarget chain = iota // address and protocol
	byToken               // target, ports and token
	byID                  // target, ports and ID
	chains
)

// kept is a sighting in 72 bytes. Its target is known by a hash, which nobody can
// make another target have: who seeks one knows its address.
type kept struct {
	to, payload              uint64
	src                      addr
	at                       int64
	token, frame             uint32
	earlier                  [chains]uint32 // one more than the places of the packets before it in its chains
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

// keep makes k a packet to the target with a hash. It is in no chain.
func (k *kept) keep(s *sighting, to uint64) {
	k.to, k.payload, k.src, k.at = to, s.payload, s.src, s.at
	k.token, k.frame = s.token, s.frame
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
	// maxWindow packets of 72 bytes, and the tables, are 51 MB.
	maxWindow   = 304 * windowBlock
	windowBlock = 1 << 11
	windowBits  = 19
	leastBits   = windowBits - 9

	// maxWalk bounds how many packets in a chain are looked at, and maxOthers
	// how many in a row that are of another group than the one sought.
	maxWalk   = 4096
	maxOthers = 64

	// maxAlike bounds how many packets are looked at that are alike in what an
	// ICMP error quotes, and maxTranslatedWalk how many for one that is alike
	// in neither.
	maxAlike          = 32
	maxTranslatedWalk = 32
)

func newWindow() window { return window{seed: addr{rand.Uint64(), rand.Uint64()}} }

func (w *window) at(place int) *kept { return &w.blocks[place/windowBlock][place%windowBlock] }

// add remembers a packet.
func (w *window) add(s *sighting, now int64) {
	if w.next == len(w.heads[byTarget]) && w.bits < windowBits {
		w.grow()
	}
	if w.next/windowBlock == len(w.blocks) {
		w.blocks = append(w.blocks, new([windowBlock]kept))
	}
	place := w.at(w.next)
	if w.full && !place.used() && !isOld(place.at, now) {
		w.evicted++
	}
	place.keep(s, w.target(s.dst, s.protocol))
	w.link(w.next)
	if w.next++; w.next == maxWindow {
		w.next, w.full = 0, true
	}
}

// link puts the packet at a place into its chains, as the latest.
func (w *window) link(place int) {
	k := w.at(place)
	for c := range chains {
		head := &w.heads[c][w.bucket(k.hash(c))]
		k.earlier[c] = *head
		*head = uint32(place + 1)
	}
}

// grow makes room in heads for eight times as many packets: most captures have few, and
// tables for all that there is room for take longer to clear than these to read.
func (w *window) grow() {
	if w.bits += 3; w.bits < leastBits {
		w.bits = leastBits
	}
	for c := range w.heads {
		w.heads[c] = make([]uint32, 1<<w.bits)
	}
	for place := range w.next {
		w.link(place)
	}
}

// target is the hash of a target.
func (w *window) target(dst addr, protocol uint8) uint64 {
	return mix(dst.high^w.seed.high^uint64(protocol), dst.low^w.seed.low)
}

// hash is the hash of a chain that the packet is in.
func (k *kept) hash(c chain) uint64 { return c.hash(k.to, k.sport, k.dport, k.token, k.id) }

// hash is the hash of the chain for packets to the target with a hash.
func (c chain) hash(to uint64, sport, dport uint16, token uint32, id uint16) uint64 {
	ports := uint64(c)<<56 | uint64(sport)<<40 | uint64(dport)<<24
	switch c {
	case byToken:
		return mix(to^ports, uint64(token))
	case byID:
		return mix(to^ports, uint64(id))
	}
	return to
}

// bucket is the place in heads for a hash.
func (w *window) bucket(hash uint64) uint64 { return hash >> (64 - w.bits) }

// walk yields the packets to a target in the chain with a hash, the latest first,
// those that were taken out too, after looking at most times. A packet that took
// the place of an older one ends the chain that led there: it is of another, or not
// older than the one before it.
func (w *window) walk(c chain, to, hash uint64, now int64, most int, yield func(k *kept, age int) bool) {
	if w.heads[c] == nil {
		return
	}
	age := -1
	for link := w.heads[c][w.bucket(hash)]; link != 0 && most > 0; most-- {
		w.looked++
		k := w.at(int(link - 1))
		older := w.age(int(link - 1))
		if older <= age || isOld(k.at, now) {
			return
		}
		age = older
		if k.to != to {
			if w.bucket(k.hash(c)) != w.bucket(hash) {
				return
			}
		} else if !yield(k, age) {
			return
		}
		link = k.earlier[c]
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
	to := w.target(like.dst, like.protocol)
	n := 0
	w.walk(byTarget, to, to, now, maxWalk, func(k *kept, _ int) bool {
		if n++; !k.used() && k.ttl <= lowTTL && k.src == like.src {
			ttls |= 1 << k.ttl
		}
		return n < enough && bits.OnesCount64(ttls) < several
	})
	return bits.OnesCount64(ttls) >= several
}

// find returns the packet that an ICMP error is about: of several the one that
// agrees in most, and of these the earliest; or nil. It is sought among those
// that are alike in the ports and the token, or else the ID; then among the latest
// to the target, since the source port may have been translated. There the ports
// alone are enough for a time-exceeded about the only packet with a low TTL that has
// them.
func (w *window) find(m *matcher.Message, now int64) *kept {
	of := &m.Of
	f := finding{
		of: of, src: addrOf(m.Quote.Src), dst: addrOf(m.Quote.Dst), by: m.Time.Add(disorder).UnixNano(),
		window: w, now: now, most: leastAgreement,
	}
	f.to = w.target(f.dst, uint8(of.Protocol))
	if !of.Short {
		f.seek(byToken, of.ID, maxAlike)
	}
	if f.most <= leastAgreement {
		f.seek(byID, of.ID, maxAlike)
	}
	if f.best == nil && of.Dst.Is4() {
		f.seek(byID, bits.ReverseBytes16(of.ID), maxAlike) // as some hosts quote it
	}
	if f.best == nil {
		f.seek(byTarget, of.ID, maxTranslatedWalk)
	}
	if f.best == nil && f.alike == 1 && f.alone.ttl <= lowTTL && m.Reply.Kind == matcher.TimeExceeded {
		return f.alone
	}
	return f.best
}

// finding is one call of find.
type finding struct {
	of       *craft.Key
	src, dst addr
	to       uint64
	by, now  int64 // it was sent by then
	window   *window

	best      *kept
	most, age int
	alone     *kept // the last that has the ports alone,
	alike     int   // and how many have
}

// leastAgreement is what a quote and a packet must have in common: two of source
// port, ID and token.
const leastAgreement = 4

// seek looks at packets in a chain.
func (f *finding) seek(c chain, id uint16, most int) {
	hash := c.hash(f.to, f.of.SrcPort, f.of.DstPort, f.of.Token, id)
	f.window.walk(c, f.to, hash, f.now, most, func(k *kept, age int) bool {
		if k.used() || k.at > f.by || k.dport != f.of.DstPort {
			return true
		}
		s := k.sighting(f.dst)
		key := s.key()
		n := 2 * key.Agreement(f.of)
		if s.src == f.src {
			n++ // it may have been translated, and the quote not
		}
		if n > f.most || n == f.most && (f.best == nil || age > f.age) {
			f.best, f.most, f.age = k, n, age
		}
		if c == byTarget && s.src == f.src && s.sport == f.of.SrcPort {
			f.alone = k
			f.alike++
		}
		return true
	})
}

// use takes a packet out, which find returned.
func (k *kept) use() { k.is |= isUsed }

// take takes out the packets of a group that have a low TTL, and like itself, in
// the order in which they were captured, and appends them to all.
func (w *window) take(like *sighting, now int64, all []sighting) []sighting {
	others := 0
	to := w.target(like.dst, like.protocol)
	w.walk(byTarget, to, to, now, maxWalk, func(k *kept, _ int) bool {
		if k.src != like.src {
			others++
			return others < maxOthers
		}
		others = 0
		itself := k.at == like.at && k.token == like.token && k.id == like.id && k.ttl == like.ttl
		if !k.used() && (k.ttl <= lowTTL || itself) {
			all = append(all, k.sighting(like.dst))
			k.use()
		}
		return true
	})
	slices.Reverse(all)
	return all
}
