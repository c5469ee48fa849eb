package findings

import (
	"fmt"
	"net/netip"
	"slices"
)

// sight is what a reply shows of something that may have changed by then: a key
// that is equal where it is alike, and zero where it is as it should be.
type sight[K comparable] struct {
	answer
	key K
}

// shown is a key that says in words what replies show.
type shown interface {
	comparable
	fmt.Stringer
}

// stretch is a row of hops that all show the same. Hops that show nothing, or
// of which some replies show this and some that, are passed over.
type stretch[K comparable] struct {
	key         K
	first, last uint8
	routers     []netip.Addr
	sights      []sight[K]
}

func (s *stretch[K]) evidence() (probes []int) {
	for _, x := range s.sights {
		probes = append(probes, x.probe.Number)
	}
	return probes
}

// single reports whether only one router shows it.
func (s *stretch[K]) single() bool { return len(s.routers) == 1 }

// looking says what a reply shows, and whether it shows anything.
type looking[K comparable] func(answer) (key K, shown bool)

// stretches are what the hops show, the nearest first. Of each hop that counts at
// least so many replies have to show it.
func stretches[K comparable](v *view, least int, look looking[K]) (all []stretch[K]) {
	for hop := range v.hops {
		sights, alike := sightsAt(v, hop, look)
		if !alike || len(sights) < least {
			continue
		}
		if n := len(all); n == 0 || all[n-1].key != sights[0].key {
			all = append(all, stretch[K]{key: sights[0].key, first: hop})
		}
		s := &all[len(all)-1]
		s.last = hop
		s.sights = append(s.sights, sights...)
		for _, x := range sights {
			if !slices.Contains(s.routers, x.reply.From) {
				s.routers = append(s.routers, x.reply.From)
			}
		}
	}
	return all
}

// sightsAt are what the replies of a hop show, and whether they show the same.
func sightsAt[K comparable](v *view, hop uint8, look looking[K]) (sights []sight[K], alike bool) {
	for _, a := range v.at[hop] {
		if key, shown := look(a); shown {
			sights = append(sights, sight[K]{a, key})
		}
	}
	for _, x := range sights {
		if x.key != sights[0].key {
			return nil, false
		}
	}
	return sights, len(sights) > 0
}

// turn is a stretch that shows something else than the one before it.
type turn[K comparable] struct {
	stretch[K]
	from, to uint8 // where it came about, as in a Finding
	before   K     // the key of the stretch before
	cause    cause
}

// cause is what a turn comes from, by what the hops behind it show.
type cause uint8

const (
	byPath   cause = iota // from there on several routers show it: the path did it
	byLast                // only the last router that shows anything: the path did it, or that router quotes so
	byRouter              // routers behind it show it as before: those of the stretch quote so
	byEither              // a single router shows it, those around it don't: it quotes so, or it was done and undone
)

// turns are where the hops begin to show something else, the nearest first. What
// is reversible can be undone on the way; else what a farther hop shows as
// it should be was so all the way.
func turns[K comparable](all []stretch[K], reversible bool) (found []turn[K]) {
	var before K
	since := uint8(0)
	for i := range all {
		s := &all[i]
		t := turn[K]{stretch: *s, from: since, to: s.first, before: before}
		switch {
		case s.key == before:
			since = s.last
			continue
		case !reversible && restored(all[i+1:]):
			t.cause, t.from, t.to = byRouter, s.first, s.last
			found = append(found, t)
			continue
		case reversible && s.single() && i+1 < len(all) && all[i+1].key == before:
			t.cause = byEither
			found = append(found, t)
			continue
		case s.single() && i == len(all)-1:
			t.cause = byLast
		}
		found = append(found, t)
		before, since = s.key, s.last
	}
	return found
}

// restored reports whether a stretch shows what should be.
func restored[K comparable](behind []stretch[K]) bool {
	var asItShouldBe K
	return slices.ContainsFunc(behind, func(s stretch[K]) bool { return s.key == asItShouldBe })
}
