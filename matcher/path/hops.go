package path

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

// Overshot reports whether a probe went farther than a hop, under which it stands
// though nobody answered it: the path ends at that hop.
func (p *Probe) Overshot(hop uint8) bool { return p.Reply == nil && hop != 0 && p.TTL > hop }

// Hop is a distance from the source, and the probes that stand for it: those
// it answered, and those unanswered that were sent to it. TTL is 0 for replies
// to probes that are not known: a Hop then is who sent them.
type Hop struct {
	TTL    uint8
	Probes []Probe
}

// Hop returns the hop at a distance, with the probes that stand there now.
func (p *Path) Hop(ttl uint8) Hop {
	h, end, n := Hop{TTL: ttl}, p.End(), 0
	for i := range p.Probes {
		if p.Probes[i].stands(end) == ttl {
			n++
		}
	}
	if n == 0 {
		return h
	}
	h.Probes = make([]Probe, 0, n)
	for i := range p.Probes {
		if p.Probes[i].stands(end) == ttl {
			h.Probes = append(h.Probes, p.Probes[i])
		}
	}
	return h
}

// Hops returns the hops from the first probed on to the end of the path, or to
// the farthest probed while that is not known. Every probe stands in one. An
// unanswered probe with a TTL beyond the end stands at the end, which it
// must have reached. After them come those who replied to probes that are not
// known, in the order of arrival.
func (p *Path) Hops() []Hop {
	hops, ok := p.placed()
	if !ok {
		return nil
	}
	return append(hops, p.strangers()...)
}

// EachHop yields what Hops returns, a hop at a time, each of which is valid until the
// next. Of a path with very many responders it takes much less memory.
func (p *Path) EachHop() iter.Seq[Hop] {
	return func(yield func(Hop) bool) {
		hops, ok := p.placed()
		if !ok {
			return
		}
		for _, h := range hops {
			if !yield(h) {
				return
			}
		}
		order, routers := p.byRouter()
		var h Hop
		for _, r := range routers {
			h.Probes = h.Probes[:0]
			for _, at := range order[r.first:r.end] {
				h.Probes = append(h.Probes, p.Probes[at])
			}
			if !yield(h) {
				return
			}
		}
	}
}

// placed are the hops of which it is known how far away they are. It reports whether what
// is known of the trace makes sense: no hop may be before the first.
func (p *Path) placed() (hops []Hop, ok bool) {
	end, last := p.End(), uint8(0)
	for i := range p.Probes {
		last = max(last, p.Probes[i].stands(end))
	}
	if last == 0 {
		return nil, true
	}
	first := p.Parameters.FirstTTL
	for i := range p.Probes {
		if at := p.Probes[i].stands(end); at != 0 {
			first = min(first, at)
		}
	}
	if last < first {
		return nil, false
	}
	hops = make([]Hop, int(last)-int(first)+1)
	for i := range hops {
		hops[i].TTL = first + uint8(i)
	}
	room := make([]int, len(hops)) // by hop: for how many probes
	for i := range p.Probes {
		if at := p.Probes[i].stands(end); at != 0 {
			room[at-first]++
		}
	}
	for i := range p.Probes {
		if at := p.Probes[i].stands(end); at != 0 {
			h := &hops[at-first]
			if h.Probes == nil {
				h.Probes = make([]Probe, 0, room[at-first])
			}
			h.Probes = append(h.Probes, p.Probes[i])
		}
	}
	return hops, true
}

// strangers are the hops of which it is not known how far away they are, one for each
// router, in the order in which their first replies came. There may be as many as probes, so
// they take no more memory than that.
func (p *Path) strangers() []Hop {
	order, routers := p.byRouter()
	hops := make([]Hop, len(routers))
	probes := make([]Probe, len(order))
	for i, r := range routers {
		n := r.end - r.first
		h := &hops[i]
		h.Probes, probes = probes[:n:n], probes[n:]
		for k, at := range order[r.first:r.end] {
			h.Probes[k] = p.Probes[at]
		}
	}
	return hops
}

// part is a part of a slice.
type part struct{ first, end int32 }

// byRouter returns the places of the probes that are known by their replies alone, router
// by router, and for each router which of these are its own.
func (p *Path) byRouter() (order []int32, routers []part) {
	n := 0
	for i := range p.Probes {
		if p.Probes[i].isStranger() {
			n++
		}
	}
	order = make([]int32, 0, n)
	for i := range p.Probes {
		if p.Probes[i].isStranger() {
			order = append(order, int32(i))
		}
	}
	from := func(at int32) netip.Addr { return p.Probes[at].Reply.From }
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(from(a).Compare(from(b)), cmp.Compare(a, b)) })
	for i := range order {
		if i == 0 || from(order[i]) != from(order[i-1]) {
			routers = append(routers, part{first: int32(i)})
		}
		routers[len(routers)-1].end = int32(i + 1)
	}
	slices.SortFunc(routers, func(a, b part) int { return cmp.Compare(order[a.first], order[b.first]) })
	return order, routers
}

// isStranger reports whether a probe is known by its reply alone.
func (p *Probe) isStranger() bool { return p.TTL == 0 && p.Reply != nil }

// stands is the hop under which a probe stands in a path that ends at end.
func (p *Probe) stands(end uint8) uint8 {
	switch {
	case p.Reply != nil:
		return p.Reply.Hop
	case end != 0 && p.TTL > end:
		return end
	}
	return p.TTL
}
