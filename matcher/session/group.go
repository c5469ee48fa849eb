package session

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// groupKey is what all probes of a run have in common.
type groupKey struct {
	src, dst [16]byte // as netip.Addr.As16 has them
	protocol uint8    // tells IPv4 from IPv6 in ICMP; in the others the addresses do
}

func keyOf(p *craft.Packet) groupKey {
	return groupKey{p.Src.As16(), p.Dst.As16(), uint8(p.Protocol)}
}

// keyOfAnswered is the key of what a packet may be the answer to.
func keyOfAnswered(p *craft.Packet) groupKey {
	return groupKey{p.Dst.As16(), p.Src.As16(), uint8(p.Protocol)}
}

// target is the part of the key that even a quote shows whose source was
// translated.
func (k groupKey) target() groupKey {
	k.src = [16]byte{}
	return k
}

// group is what was sent from one address to another.
type group struct {
	key  groupKey
	runs []*run // those that are not over, the latest last
	next *group // in a chain of groups
}

// maxParallel is how many runs of a group are open at most.
const maxParallel = 32

// connected reports whether a TCP segment is one of a connection that a probe
// asked for: then it is none.
func (g *group) connected(s *sighting) bool {
	if s.protocol != uint8(layers.IPProtocolTCP) || s.flags&flagSYN != 0 {
		return false
	}
	return slices.ContainsFunc(g.runs, func(r *run) bool { return r.asked(s) })
}

// acknowledges reports whether some run's probes are ACKs.
func (g *group) acknowledges() bool {
	return slices.ContainsFunc(g.runs, func(r *run) bool { return r.first.flags&flagACK != 0 })
}

// expects reports whether a packet whose TTL tells nothing goes on where a run
// of the group has got to.
func (g *group) expects(s *sighting) bool {
	return slices.ContainsFunc(g.runs, func(r *run) bool { return r.expects(s) })
}

// fitting is the run that a probe fits best, or nil: of several, the one that
// got a reply last, since that is what most programs send the next probe upon.
func (g *group) fitting(s *sighting) (best *run) {
	most := 0
	for i := len(g.runs) - 1; i >= 0; i-- {
		r := g.runs[i]
		fit := r.fit(s)
		if fit >= surely {
			return r
		}
		if fit > most || fit == most && best != nil && r.replied.After(best.replied) {
			best, most = r, fit
		}
	}
	return best
}

// dispensable is the run to do without: one that is no trace, if there is one
// besides the latest, and of these the one of which nothing came for longest.
func (g *group) dispensable() *run {
	least := g.runs[0]
	for _, r := range g.runs[:len(g.runs)-1] {
		if is, was := r.isTrace(), least.isTrace(); was && !is || is == was && r.last.Before(least.last) {
			least = r
		}
	}
	return least
}

// groups are those that have runs, in a hash table: two of three frames ask for
// one, and most in vain, which a map takes longer to say.
type groups struct {
	heads   []*group // of the chains, by the hash of the key
	n       int
	seed    uint64 // so that nobody can make chains long by choosing the addresses
	targets map[groupKey][]*group
}

// maxTranslated is how many groups to the same target are tried for a reply
// that shows another source.
const maxTranslated = 16

func newGroups() groups {
	return groups{heads: make([]*group, 16), seed: rand.Uint64(), targets: map[groupKey][]*group{}}
}

// chain is where the chain begins in which the group with a key is.
func (g *groups) chain(key *groupKey) **group {
	h := mix(binary.LittleEndian.Uint64(key.src[:])^uint64(key.protocol), g.seed)
	h = mix(h^binary.LittleEndian.Uint64(key.src[8:]), g.seed)
	h = mix(h^binary.LittleEndian.Uint64(key.dst[:]), g.seed)
	h = mix(h^binary.LittleEndian.Uint64(key.dst[8:]), g.seed)
	return &g.heads[h&uint64(len(g.heads)-1)]
}

// find returns the group with a key, or nil.
func (g *groups) find(key groupKey) *group {
	found := *g.chain(&key)
	for found != nil && found.key != key {
		found = found.next
	}
	return found
}

// to returns groups to the target of a key, from wherever.
func (g *groups) to(key groupKey) []*group { return g.targets[key.target()] }

// make returns the group with a key. A new one has no runs, and is to be tidied
// up if that stays so.
func (g *groups) make(key groupKey) *group {
	if found := g.find(key); found != nil {
		return found
	}
	made := &group{key: key}
	if g.n++; g.n > len(g.heads) {
		g.grow()
	}
	g.put(made)
	if to := key.target(); len(g.targets[to]) < maxTranslated {
		g.targets[to] = append(g.targets[to], made)
	}
	return made
}

func (g *groups) put(one *group) {
	head := g.chain(&one.key)
	one.next, *head = *head, one
}

// grow makes room for twice as many groups.
func (g *groups) grow() {
	old := g.heads
	g.heads = make([]*group, 2*len(old))
	for _, one := range old {
		for one != nil {
			next := one.next
			g.put(one)
			one = next
		}
	}
}

// tidy forgets a group that has no runs.
func (g *groups) tidy(one *group) {
	if len(one.runs) > 0 {
		return
	}
	at := g.chain(&one.key)
	for *at != nil && *at != one {
		at = &(*at).next
	}
	if *at == nil {
		return // it is forgotten already
	}
	*at = one.next
	g.n--
	to := one.key.target()
	if g.targets[to] = without(g.targets[to], one); len(g.targets[to]) == 0 {
		delete(g.targets, to)
	}
}

// without removes one element, and keeps the order.
func without[T comparable](list []T, one T) []T {
	if i := slices.Index(list, one); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
