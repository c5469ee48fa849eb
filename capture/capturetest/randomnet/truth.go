package randomnet

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// Truth is who may answer from which hop on the ways to a target, and what the
// network does to the evidence.
type Truth struct {
	target netip.Addr
	ways   []way

	// Hides says that the network hides from which hop a reply is that is no
	// time-exceeded: a NAT rewrites the TTLs in quotes, or, on one of several ways, a
	// router refuses in the target's name.
	Hides bool

	// Misquotes says that the target quotes another TTL than it received.
	Misquotes bool

	// Rewrites is what quotes show otherwise than it was sent.
	Rewrites Rewrites
}

// Rewrites is what NATs rewrite of the packets to a target and do not restore in
// quotes. The checksum is that of UDP and TCP, and of ICMPv6.
type Rewrites struct{ Port, ID, Checksum bool }

// way is one of the ways there: who may answer from each hop. The first hop is 1,
// and the target's is at most end. Every packet gets as far as last: what is refused
// gets no farther, and nothing needs to.
type way struct {
	hops      map[int]face
	end, last int
	behind    behind
}

// face is who a hop is to those who trace. It has several addresses where several
// nodes answer from one hop.
type face struct {
	addrs  map[netip.Addr]bool
	silent bool

	// Contested: what answers from here answers from other hops too, and not as
	// often as it is asked.
	contested bool
}

// behind is the routers of a prefix, if the target is in one: the first is at hop
// from, or at late hops before it.
type behind struct {
	*topology.Prefix
	from, late int
}

// Right reports whether an answer from an address, that goes on about a probe to the
// target, can be from a hop.
func (t *Truth) Right(hop int, from netip.Addr) bool {
	return slices.ContainsFunc(t.ways, func(w way) bool {
		return w.hops[hop].addrs[from] || w.behind.has(hop, from)
	})
}

// Comparable reports whether two traces, each for itself, must find a hop equally
// well: whether somebody answers from there does not depend on the way that a packet
// takes, nor on which of two packets comes first.
func (t *Truth) Comparable(hop int) bool {
	several := len(t.ways) > 1
	return !slices.ContainsFunc(t.ways, func(w way) bool {
		h, known := w.hops[hop]
		return h.contested || several && (hop > w.last || known && h.silent)
	})
}

// Certain reports whether somebody answers from a hop whatever is sent there, unless
// it gets lost: there is one way, and no silence, no refusal and no contest on it up
// to there. The target's hop is none of these.
func (t *Truth) Certain(hop int) bool {
	if len(t.ways) != 1 {
		return false
	}
	w := &t.ways[0]
	h, known := w.hops[hop]
	return known && !h.silent && !h.contested && hop < w.end && hop <= w.last && !h.addrs[t.target]
}

// Last returns the hop that the target is at at most.
func (t *Truth) Last() (hop int) {
	for _, w := range t.ways {
		hop = max(hop, w.end)
	}
	return hop
}

// has reports whether an address is that of the prefix's router at a hop: the
// routers of a prefix tell by their addresses how deep behind it they are.
func (b behind) has(hop int, a netip.Addr) bool {
	if b.Prefix == nil || !b.Routers.Contains(a) {
		return false
	}
	at := binary.BigEndian.Uint32(a.AsSlice()) - binary.BigEndian.Uint32(b.Routers.Addr().Next().AsSlice())
	depth := int(at)%b.MaxHops + 1
	return hop == b.from+depth-1 || depth == 1 && hop < b.from && hop >= b.from-b.late
}

// TruthOf returns what is true of the ways from the host to a target, an address
// of a destination or of a prefix.
func TruthOf(t *topology.Topology, target netip.Addr) *Truth {
	f := finder{
		Truth: &Truth{target: target}, routers: map[string]*topology.Router{}, next: map[string][]string{}, limited: map[netip.Addr]bool{},
	}
	for i := range t.Routers {
		f.routers[t.Routers[i].Name] = &t.Routers[i]
	}
	for _, l := range t.Links {
		for i, to := range l.Path[1:] {
			f.next[l.Path[i]] = append(f.next[l.Path[i]], to)
		}
	}
	for i := range t.Destinations {
		for _, a := range t.Destinations[i].Addresses {
			if d := &t.Destinations[i]; a == target {
				f.end, f.answer = d.Name, &d.Answer
			}
		}
	}
	for i := range t.Prefixes {
		if p := &t.Prefixes[i]; p.Prefix.Contains(target) {
			f.end, f.answer, f.prefix = p.Behind, &p.Answer, p
		}
	}
	f.find(topology.HostName, nil)
	for _, r := range t.Routers {
		f.Hides = f.Hides || r.Reject != nil && r.Answer.AsDestination && len(f.ways) > 1
		if r.NAT != nil {
			f.translated(r.NAT)
		}
	}
	f.contest()
	f.Misquotes = f.answer.Quote.TTL != "" && f.answer.Quote.TTL != topology.TTLReceived
	return f.Truth
}

// translated notes what a NAT does to packets to the target.
func (f *finder) translated(n *topology.NAT) {
	if f.target.Is4() && !n.Address.IsValid() || f.target.Is6() && !n.Address6.IsValid() {
		return
	}
	f.Hides = f.Hides || n.QuotedTTL != ""
	portKept := n.Ports != "" && n.KeepQuotedPort
	f.Rewrites.Port = f.Rewrites.Port || portKept
	f.Rewrites.Checksum = f.Rewrites.Checksum || portKept || n.KeepQuotedChecksum
	f.Rewrites.ID = f.Rewrites.ID || n.ID != "" && f.target.Is4()
}

// contest finds the hops of those who answer from several, and are limited.
func (f *finder) contest() {
	at := map[netip.Addr]map[int]bool{}
	for _, w := range f.ways {
		for hop, h := range w.hops {
			for a := range h.addrs {
				if at[a] == nil {
					at[a] = map[int]bool{}
				}
				at[a][hop] = true
			}
		}
	}
	for _, w := range f.ways {
		for hop, h := range w.hops {
			for a := range h.addrs {
				h.contested = h.contested || f.limited[a] && len(at[a]) > 1
			}
			w.hops[hop] = h
		}
	}
}

// finder finds the ways.
type finder struct {
	*Truth
	routers map[string]*topology.Router
	next    map[string][]string
	end     string // the destination, or the router before the prefix
	answer  *topology.Answer
	prefix  *topology.Prefix // if the target is in it
	limited map[netip.Addr]bool
}

// find follows the links from a node. Behind are the routers so far.
func (f *finder) find(at string, behind []*topology.Router) {
	if r := f.routers[at]; r != nil {
		behind = append(behind[:len(behind):len(behind)], r)
	}
	if at == f.end {
		f.add(behind)
		return
	}
	for _, to := range f.next[at] {
		f.find(to, behind)
	}
}

// add adds the way through routers. A router that does not count down the TTL
// answers, if it does, from the next one's hop. The one behind a router that passes
// on what has run out answers for it, too. One that refuses in the target's name looks
// like a target right behind it that a NAT hides.
func (f *finder) add(routers []*topology.Router) {
	w := way{hops: map[int]face{}, end: 1, last: 256}
	late := 0 // routers just before that never answer for what runs out there
	for _, r := range routers {
		w.face(w.end-late, w.end, f.of(r), r.KeepTTL || r.ZeroTTL || isSilent(&r.Answer))
		switch {
		case r.Reject != nil && r.KeepTTL: // its hop is the next router's
			w.last = min(w.last, w.end-late-1)
		case r.Reject != nil:
			w.last = min(w.last, w.end-late)
		}
		if r.Reject != nil && r.Answer.AsDestination {
			w.face(w.end+1, w.end+1, []netip.Addr{f.target}, true)
		}
		switch {
		case r.KeepTTL:
			continue
		case r.ZeroTTL:
			late++
		default:
			late = 0
		}
		w.end++
	}
	first, addrs := w.end-late, f.faces(f.answer, f.target)
	if p := f.prefix; p != nil && p.MaxHops > 0 {
		w.behind = behind{p, w.end, late}
		if p.MinHops > 0 {
			first = w.end + p.MinHops
		}
		w.last = min(w.last, w.end+p.MinHops)
		w.end += p.MaxHops
	}
	w.face(first, w.end, addrs, isSilent(f.answer))
	w.last = min(w.last, w.end)
	f.ways = append(f.ways, w)
}

// isSilent reports whether no error of a node can be matched: it sends none, or
// they quote less than IPv4 allows.
func isSilent(a *topology.Answer) bool {
	return a.Silent || a.Quote.Length > 0 && a.Quote.Length < leastQuote
}

// leastQuote is an IPv4 header and 8 bytes (RFC 792).
const leastQuote = 28

// face adds who answers from hops.
func (w *way) face(first, last int, addrs []netip.Addr, silent bool) {
	for hop := first; hop <= last; hop++ {
		h := w.hops[hop]
		if h.addrs == nil {
			h = face{addrs: map[netip.Addr]bool{}, silent: true}
		}
		for _, a := range addrs {
			h.addrs[a] = true
		}
		h.silent = h.silent && (silent || len(addrs) == 0)
		w.hops[hop] = h
	}
}

// of is whom a router answers as.
func (f *finder) of(r *topology.Router) []netip.Addr {
	for _, a := range r.Addresses {
		if a.Is4() == f.target.Is4() {
			return f.faces(&r.Answer, a)
		}
	}
	return f.faces(&r.Answer, netip.Addr{})
}

// faces is whom a node with an address answers as.
func (f *finder) faces(a *topology.Answer, own netip.Addr) []netip.Addr {
	all := f.names(a, own)
	for _, name := range all {
		f.limited[name] = f.limited[name] || a.Limit != topology.Limit{}
	}
	return all
}

func (f *finder) names(a *topology.Answer, own netip.Addr) []netip.Addr {
	switch {
	case a.AsDestination:
		return []netip.Addr{f.target}
	case a.As.IsValid() && a.As.Is4() == f.target.Is4() && own == f.target:
		return []netip.Addr{a.As, own} // errors, and direct answers
	case a.As.IsValid() && a.As.Is4() == f.target.Is4():
		return []netip.Addr{a.As}
	case own.IsValid():
		return []netip.Addr{own}
	}
	return nil
}
