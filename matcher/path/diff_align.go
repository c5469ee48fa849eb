package path

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// station is a hop, and what it told of itself.
type station struct {
	ttl     uint8
	path    *Path
	asked   int     // probes of which it is known whether they were answered
	answers []Probe // those that were
	addrs   []netip.Addr
}

// stations are the hops of a path up to the last that answered.
func stations(p *Path) []station {
	hops := p.Hops()
	all := make([]station, len(hops))
	last := 0
	for i := range hops {
		if all[i] = newStation(p, &hops[i]); len(all[i].answers) > 0 {
			last = i + 1
		}
	}
	return all[:last]
}

func newStation(p *Path, h *Hop) station {
	s := station{ttl: h.TTL, path: p}
	for _, probe := range h.Probes {
		if probe.Reply != nil {
			s.answers = append(s.answers, probe)
			s.addrs = append(s.addrs, probe.Reply.From)
		}
		// A probe that is outstanding may yet be answered: the trace was
		// interrupted, or had no need of it any more.
		if probe.Reply != nil || probe.Status == Timeout {
			s.asked++
		}
	}
	slices.SortFunc(s.addrs, netip.Addr.Compare)
	s.addrs = slices.Compact(s.addrs)
	return s
}

func (s *station) silent() bool { return s.asked > 0 && len(s.answers) == 0 }

// responders names who answered.
func (s *station) responders() string {
	if len(s.addrs) == 0 {
		return "*"
	}
	return list(s.addrs)
}

func list(addrs []netip.Addr) string {
	names := make([]string, len(addrs))
	for i, a := range addrs {
		names[i] = a.String()
	}
	return strings.Join(names, ", ")
}

// count is how many answers an address gave.
func (s *station) count(addrs []netip.Addr) (n int) {
	for i := range s.answers {
		if slices.Contains(addrs, s.answers[i].Reply.From) {
			n++
		}
	}
	return n
}

// shared are the addresses that answered at both.
func shared(a, b *station) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a.addrs), func(x netip.Addr) bool { return !slices.Contains(b.addrs, x) })
}

// lacking are the addresses that answered at a and not at b.
func lacking(a, b *station) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a.addrs), func(x netip.Addr) bool { return slices.Contains(b.addrs, x) })
}

// pair is a hop in two traces; nil where one of them has none such.
type pair struct {
	a, b  *station
	moved bool // its neighbours are others
}

// both reports whether both traces have the hop, at the same place, and somebody
// answered in both.
func (p *pair) both() bool {
	return p.a != nil && p.b != nil && !p.moved && len(p.a.answers) > 0 && len(p.b.answers) > 0
}

// align finds which hop of one path is which of the other, in order.
func align(a, b *Path) []pair {
	x, y := stations(a), stations(b)
	if len(x) > 0 && len(y) > 0 {
		// What one of them didn't probe can't be compared.
		from := max(x[0].ttl, y[0].ttl)
		below := func(s station) bool { return s.ttl < from }
		x, y = slices.DeleteFunc(x, below), slices.DeleteFunc(y, below)
	}
	// Of alignments equally good one is chosen, and a and b must not matter.
	turned := slices.CompareFunc(x, y, compareStations) > 0
	if turned {
		a, b, x, y = b, a, y, x
	}
	pairs := joinMoved(cheapest(x, y))
	pairs = tail(pairs, b, func(p *pair) (**station, **station) { return &p.a, &p.b })
	pairs = tail(pairs, a, func(p *pair) (**station, **station) { return &p.b, &p.a })
	if turned {
		for i := range pairs {
			pairs[i].a, pairs[i].b = pairs[i].b, pairs[i].a
		}
	}
	return putMoved(pairs)
}

func compareStations(a, b station) int {
	return cmp.Or(
		cmp.Compare(a.ttl, b.ttl),
		slices.CompareFunc(a.addrs, b.addrs, netip.Addr.Compare),
		cmp.Compare(min(a.asked, 1), min(b.asked, 1)),
	)
}

// What it costs to say that two hops correspond, or that one has no counterpart.
// The least sum wins. A router that was replaced is likelier than one that went
// and one that came; but not two of them if a router before and behind
// them stays the same. The lower digits only decide between sums that are equal
// otherwise.
const (
	costAlone    = 2_000_000
	costReplaced = 3_000_000
	costSilence  = 1_000_000
	costUnshared = 300
	costTTL      = 1
)

func costOf(a, b *station) int {
	cost := costTTL * max(int(a.ttl)-int(b.ttl), int(b.ttl)-int(a.ttl))
	switch {
	case len(a.addrs) > 0 && len(b.addrs) > 0:
		if len(shared(a, b)) == 0 {
			return cost + costReplaced
		}
		return cost + costUnshared*(len(lacking(a, b))+len(lacking(b, a)))
	case a.silent() && len(b.addrs) > 0, b.silent() && len(a.addrs) > 0:
		return cost + costSilence
	}
	return cost
}

// cheapest aligns hops so that the costs come to the least: the edit distance.
func cheapest(a, b []station) []pair {
	// least[i][j] is what it costs to align a[i:] with b[j:].
	least := make([][]int, len(a)+1)
	for i := len(a); i >= 0; i-- {
		least[i] = make([]int, len(b)+1)
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a):
				least[i][j] = costAlone * (len(b) - j)
			case j == len(b):
				least[i][j] = costAlone * (len(a) - i)
			default:
				least[i][j] = min(least[i+1][j+1]+costOf(&a[i], &b[j]), least[i+1][j]+costAlone, least[i][j+1]+costAlone)
			}
		}
	}
	var pairs []pair
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && least[i][j] == least[i+1][j+1]+costOf(&a[i], &b[j]):
			pairs = append(pairs, pair{a: &a[i], b: &b[j]})
			i++
			j++
		case i < len(a) && least[i][j] == least[i+1][j]+costAlone:
			pairs = append(pairs, pair{a: &a[i]})
			i++
		default:
			pairs = append(pairs, pair{b: &b[j]})
			j++
		}
	}
	return pairs
}

// joinMoved makes one pair of a hop that went at one place and came at another.
func joinMoved(pairs []pair) []pair {
	for i := range pairs {
		if pairs[i].a == nil || pairs[i].b != nil {
			continue
		}
		for j := range pairs {
			if pairs[j].a == nil && pairs[j].b != nil && len(shared(pairs[i].a, pairs[j].b)) > 0 {
				pairs[j].a, pairs[j].moved = pairs[i].a, true
				pairs[i].a = nil
				break
			}
		}
	}
	return slices.DeleteFunc(pairs, func(p pair) bool { return p.a == nil && p.b == nil })
}

// putMoved puts each hop that moved where it is in the second path.
func putMoved(pairs []pair) []pair {
	var moved []pair
	rest := slices.DeleteFunc(pairs, func(p pair) bool {
		if p.moved {
			moved = append(moved, p)
		}
		return p.moved
	})
	for _, m := range moved {
		i := slices.IndexFunc(rest, func(p pair) bool { return p.b != nil && p.b.ttl > m.b.ttl })
		if i < 0 {
			i = len(rest)
		}
		rest = slices.Insert(rest, i, m)
	}
	return rest
}

// tail looks again at the hops behind the last that answered in the other
// path. Unless that path reached its target they haven't gone: they are
// silent there, or it is not known whether they are.
func tail(pairs []pair, other *Path, sides func(*pair) (this, other **station)) []pair {
	if other.Reached() {
		return pairs
	}
	last, shift := 0, 0
	for i := range pairs {
		if this, that := sides(&pairs[i]); *that != nil {
			last = i + 1
			if *this != nil && !pairs[i].moved {
				shift = int((*that).ttl) - int((*this).ttl)
			}
		}
	}
	kept := pairs[:last]
	for i := last; i < len(pairs); i++ {
		this, that := sides(&pairs[i])
		ttl := int((*this).ttl) + shift
		if ttl < 1 || ttl > 255 {
			continue
		}
		h := other.Hop(uint8(ttl))
		if s := newStation(other, &h); s.silent() {
			*that = &s
			kept = append(kept, pairs[i])
		}
	}
	return kept
}
