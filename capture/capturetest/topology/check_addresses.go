package topology

import (
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"slices"
)

func hasIPv6(addrs []netip.Addr) bool { return slices.ContainsFunc(addrs, netip.Addr.Is6) }

func hostAddrs(h Host) []netip.Addr {
	addrs := make([]netip.Addr, len(h.Addresses))
	for i, p := range h.Addresses {
		addrs[i] = p.Addr()
	}
	return addrs
}

// hasFamily says whether the host has an address of the other's family.
func (h Host) hasFamily(other netip.Addr) bool {
	return slices.ContainsFunc(h.Addresses, func(p netip.Prefix) bool {
		return p.IsValid() && p.Addr().BitLen() == other.BitLen()
	})
}

// linkOf is the host's prefix that an address is in.
func linkOf(h Host, a netip.Addr) (link netip.Prefix, ok bool) {
	i := slices.IndexFunc(h.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return h.Addresses[i], true
}

func (c *checker) prefixes() {
	for n, p := range c.t.Prefixes {
		i := c.prefix(n)
		if !p.Prefix.IsValid() {
			i.key("prefix").named().fault("it has no prefix")
			continue
		}
		i.key("prefix").named().network("it", p.Prefix)
		if !c.t.Host.hasFamily(p.Prefix.Addr()) {
			i.key("prefix").named().fault("the host has no address of its family")
		}
		i.hops(p)
		i.delay("delay", p.Delay)
		i.service(p.Service)
		i.key("answer").answer(p.Answer)
		if depth, ok := c.graph.depth[p.Behind]; ok {
			i.key("answer").returnHops(p.Answer, depth+p.MinHops+1)
		}
	}
}

// network checks a prefix that is a range of addresses.
func (i item) network(what string, p netip.Prefix) {
	switch {
	case p != p.Masked():
		i.fault("%s has bits set behind its length; the network is %v", what, p.Masked())
	case p.Addr().IsMulticast():
		i.fault("%s is multicast", what)
	case p.Addr().IsLoopback():
		i.fault("%s is loopback", what)
	case p.Addr().Is4In6():
		i.fault("%s is IPv4 written as IPv6", what)
	}
}

// mostHops is how many routers there can be behind a prefix's own: more are out
// of any TTL's reach.
const mostHops = 254

func (i item) hops(p Prefix) {
	i.between("min_hops", p.MinHops, 0, mostHops)
	i.between("max_hops", p.MaxHops, 0, mostHops)
	if p.MaxHops >= 0 && p.MinHops > p.MaxHops {
		i.named().key("min_hops").fault("%d is above max_hops %d", p.MinHops, p.MaxHops)
	}
	if p.MaxHops < 1 {
		return
	}
	i = i.key("routers")
	i.network(p.Routers.String(), p.Routers)
	switch most := big.NewInt(int64(p.MaxHops)); {
	case !p.Routers.IsValid():
		i.fault("is missing")
	case p.Routers.Addr().BitLen() != p.Prefix.Addr().BitLen():
		i.fault("%v is of the other family", p.Routers)
	case size(p.Routers).Cmp(most) < 0:
		i.fault("%v has %v addresses, fewer than max_hops %v", p.Routers, size(p.Routers), most)
	}
}

// size is how many addresses a prefix has.
func size(p netip.Prefix) *big.Int {
	return new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
}

// addresses checks that no address is given away twice.
func (c *checker) addresses() {
	o := owners{single: map[netip.Addr]string{}}
	for n, p := range c.t.Host.Addresses {
		o.take(c.hostItem().key("addresses").elem(n).named(), p.Addr(), "the host")
	}
	o.gateways(c)
	for n, r := range c.t.Routers {
		i := c.router(n)
		o.node(c, i, r.Node)
		if r.NAT != nil {
			o.take(i.key("nat").key("address").named(), r.NAT.Address, i.name)
			o.take(i.key("nat").key("address6").named(), r.NAT.Address6, i.name)
		}
	}
	for n, d := range c.t.Destinations {
		o.node(c, c.destination(n), d.Node)
	}
	for _, p := range c.t.Host.Addresses {
		o.ranges = append(o.ranges, span{p.Masked(), fmt.Sprintf("the host's link %v", p.Masked())})
	}
	for n, p := range c.t.Prefixes {
		i := c.prefix(n)
		o.takeRange(i.key("prefix").named(), "it", span{p.Prefix, i.name})
		routers := fmt.Sprintf("the routers %v of %s", p.Routers, i.name)
		o.takeRange(i.key("routers"), p.Routers.String(), span{p.Routers, routers})
	}
}

// owners are whose the addresses of a topology are.
type owners struct {
	single map[netip.Addr]string
	ranges []span
}

type span struct {
	netip.Prefix
	owner string
}

// gateways takes those gateways that are not the addresses of a first router.
func (o *owners) gateways(c *checker) {
	first := map[netip.Addr]bool{}
	for _, r := range c.t.Routers {
		for _, a := range r.Addresses {
			first[a] = first[a] || c.broken || c.graph.depth[r.Name] == 1
		}
	}
	for n, g := range c.t.Host.Gateways {
		if _, isHost := linkOf(c.t.Host, g); isHost && !first[g] && o.single[g] == "" {
			o.take(c.hostItem().key("gateways").elem(n).named(), g, "the gateway")
		}
	}
}

func (o *owners) node(c *checker, i item, n Node) {
	for m, a := range n.Addresses {
		at := i.key("addresses").elem(m).named()
		o.take(at, a, i.name)
		if link, ok := linkOf(c.t.Host, a); ok && a == broadcast(link) {
			at.fault("address %v is the broadcast address of the host's link", a)
		}
	}
	if n.Answer.As.IsValid() && slices.Contains(hostAddrs(c.t.Host), n.Answer.As) {
		i.key("answer").key("as").named().fault("address %v is that of the host", n.Answer.As)
	}
}

// broadcast is the broadcast address of an IPv4 prefix that has one.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}
	}
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

func (o *owners) take(i item, a netip.Addr, owner string) {
	if !a.IsValid() {
		return
	}
	before := o.single[a]
	if before != "" && before != owner {
		i.fault("address %v is that of %s already", a, before)
		return
	}
	o.single[a] = owner
}

func (o *owners) takeRange(i item, what string, s span) {
	if !s.IsValid() {
		return
	}
	for _, r := range o.ranges {
		if r.Overlaps(s.Prefix) {
			i.fault("%s overlaps %s", what, r.owner)
		}
	}
	inside := slices.SortedFunc(maps.Keys(o.single), netip.Addr.Compare)
	inside = slices.DeleteFunc(inside, func(a netip.Addr) bool { return !s.Contains(a) })
	if len(inside) > 0 && !slices.ContainsFunc(o.ranges, func(r span) bool { return r.Contains(inside[0]) }) {
		i.fault("%s holds the address %v of %s", what, inside[0], o.single[inside[0]])
	}
	o.ranges = append(o.ranges, s)
}
