package session

import (
	"math/rand/v2"
	"slices"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// groupKey is what all probes of a run have in common.
type groupKey struct {
	src, dst addr
	protocol uint8 // tells IPv4 from IPv6 in ICMP; in the others the addresses do
}

// read makes k the key of a packet.
func (k *groupKey) read(p *craft.Packet) {
	k.src, k.dst, k.protocol = addrOf(p.Src), addrOf(p.Dst), uint8(p.Protocol)
}

// turn makes k the key of what goes the other way.
func (k *groupKey) turn() { k.src, k.dst = k.dst, k.src }

// is is ==, which the compiler does not inline.
func (k *groupKey) is(o *groupKey) bool {
	return k.dst == o.dst && k.src == o.src && k.protocol == o.protocol
}

// target is the part of the key that even a quote shows whose source was
// translated.
func (k groupKey) target() groupKey {
	k.src = addr{}
	return k
}

// group is what was sent from one address to another.
type group struct {
	key  groupKey
	runs []*run // those that are not over, the latest last
	next *group // in a chain of groups

	// gathered says that the window has no packet more with a low TTL: each was
	// added to a run, as those are that come now.
	gathered bool
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
		if fit > most || fit == most && best != nil && r.replied > best.replied {
			best, most = r, fit
		}
	}
	return best
}

// lacking is the latest run that a probe may be missing from, of which only the
// reply was captured; or nil.
func (g *group) lacking(s *sighting) *run {
	for i := len(g.runs) - 1; i >= 0; i-- {
		if r := g.runs[i]; r.lacks(s) && s.at-r.last < int64(Wait) {
			return r
		}
	}
	return nil
}

// dispensable is the run to do without: one that is no trace, if there is one
// besides the latest, and of these the one of which nothing came for longest.
func (g *group) dispensable() *run {
	least := g.runs[0]
	for _, r := range g.runs[:len(g.runs)-1] {
		if is, was := r.isTrace(), least.isTrace(); was && !is || is == was && r.last < least.last {
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
	seed    addr // so that nobody can make chains long by choosing the addresses
	targets map[groupKey][]*group
	spare   *group // a chain of those that were tidied up, to become others
}

// maxTranslated is how many groups to the same target are tried for a reply
// that shows another source.
const maxTranslated = 16

func newGroups() groups {
	return groups{heads: make([]*group, 16), seed: addr{rand.Uint64(), rand.Uint64()}, targets: map[groupKey][]*group{}}
}

// hash is the same for what goes one way and what goes back.
func (g *groups) hash(key *groupKey) uint64 {
	return mix(key.src.high^g.seed.high, key.src.low^g.seed.low) +
		mix(key.dst.high^g.seed.high, key.dst.low^g.seed.low) + uint64(key.protocol)
}

// chain is where the chain begins in which the groups of a hash are.
func (g *groups) chain(hash uint64) **group { return &g.heads[hash&uint64(len(g.heads)-1)] }

// find returns the group with a key of that hash, or nil.
func (g *groups) find(key *groupKey, hash uint64) *group {
	found := *g.chain(hash)
	for found != nil && !found.key.is(key) {
		found = found.next
	}
	return found
}

// to returns groups to the target of a key, from wherever.
func (g *groups) to(key *groupKey) []*group { return g.targets[key.target()] }

// make returns the group with a key. A new one has no runs, and is to be tidied
// up if that stays so.
func (g *groups) make(key groupKey) *group {
	if found := g.find(&key, g.hash(&key)); found != nil {
		return found
	}
	made := g.spare
	if made == nil {
		made = new(group)
	}
	g.spare = made.next
	*made = group{key: key, runs: made.runs}
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
	head := g.chain(g.hash(&one.key))
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
	at := g.chain(g.hash(&one.key))
	for *at != nil && *at != one {
		at = &(*at).next
	}
	if *at == nil {
		return // it is forgotten already
	}
	*at = one.next
	one.next, g.spare = g.spare, one
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
