package topology

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// A checker looks for what is wrong with a topology whose defaults are filled in.
type checker struct {
	t     *Topology
	root  *place
	found *faults

	graph *graph

	// broken: nodes or links are at fault, so that where links lead means little.
	broken bool
	ends   map[[2]string]item // links by the names at their ends
}

func newChecker(t *Topology, root *place, found *faults) *checker {
	d := t.WithDefaults()
	return &checker{
		t: &d, root: root, found: found,
		graph: newGraph(&d), ends: map[[2]string]item{}, broken: len(*found) > 0,
	}
}

func (c *checker) check() {
	c.names()
	c.links()
	c.paths()
	c.host()
	c.routers()
	c.destinations()
	c.prefixes()
	c.addresses()
}

// item is a part of a topology that faults are found in.
type item struct {
	found *faults
	at    *place
	name  string // what faults call it
	path  string // of the keys down to it from what name names
}

func (c *checker) item(at *place, format string, args ...any) item {
	return item{found: c.found, at: at, name: fmt.Sprintf(format, args...)}
}

func (c *checker) router(i int) item {
	return c.item(c.root.key("router").elem(i), "router %q", c.t.Routers[i].Name)
}

func (c *checker) destination(i int) item {
	return c.item(c.root.key("destination").elem(i), "destination %q", c.t.Destinations[i].Name)
}

func (c *checker) prefix(i int) item {
	at, p := c.root.key("prefix").elem(i), c.t.Prefixes[i].Prefix
	if !p.IsValid() {
		return c.item(at, "prefix")
	}
	return c.item(at, "prefix %v", p)
}

func (c *checker) link(i int) item {
	path := c.t.Links[i].Path
	at := c.root.key("link").elem(i)
	if len(path) < 2 {
		return c.item(at, "link")
	}
	return c.item(at, "link %q to %q", path[0], path[len(path)-1])
}

func (c *checker) hostItem() item { return c.item(c.root.key("host"), "host") }

// key is the value of a key in the item's table.
func (i item) key(name string) item {
	path := name
	if i.path != "" {
		path = i.path + "." + name
	}
	return item{i.found, i.at.key(name), i.name, path}
}

// elem is an element of the item's array.
func (i item) elem(n int) item {
	i.at = i.at.elem(n)
	return i
}

// fault reports what is wrong with the item.
func (i item) fault(format string, args ...any) {
	if i.at != nil && i.at.faulty {
		return
	}
	subject := i.name + ":"
	if i.path != "" {
		subject += " " + i.path
	}
	i.found.add(i.at, subject+" "+fmt.Sprintf(format, args...))
}

// named is the item without its keys, for sentences that name them themselves.
func (i item) named() item {
	i.path = ""
	return i
}

func (i item) delay(key string, d Duration) {
	switch i = i.key(key); {
	case d < 0:
		i.fault("%v is negative", d)
	case d > longest:
		i.fault("%v is above %v", d, longest)
	}
}

func (i item) probability(key string, p float64) {
	if !(p >= 0 && p <= 1) {
		i.key(key).fault("%v is outside 0 to 1", p)
	}
}

func (i item) between(key string, v, least, most int) {
	if v < least || v > most {
		i.key(key).fault("%d is outside %d to %d", v, least, most)
	}
}

func (i item) ports(key string, ports []uint16) {
	for n, p := range ports {
		if p == 0 {
			i.key(key).elem(n).fault("0 is not a port")
		}
	}
}

// oneOf checks a value that is empty or one of a few words.
func oneOf[T ~string](i item, key string, v T, good ...T) {
	if v == "" || slices.Contains(good, v) {
		return
	}
	quoted := make([]string, len(good))
	for n, g := range good {
		quoted[n] = fmt.Sprintf("%q", g)
	}
	i.key(key).fault("%q is none of %s", v, strings.Join(quoted, ", "))
}

func (c *checker) host() {
	i, h := c.hostItem(), c.t.Host
	least := 68
	if hasIPv6(hostAddrs(h)) {
		least = 1280
	}
	i.mtu(h.MTU, least)
	c.onePerFamily(i.key("addresses"), hostAddrs(h), "host")
	c.onePerFamily(i.key("gateways"), h.Gateways, "gateway")
	for n, g := range h.Gateways {
		i.key("gateways").elem(n).gateway(g, h)
	}
}

func (i item) gateway(g netip.Addr, h Host) {
	link, ok := linkOf(h, g)
	switch {
	case !ok || link.IsSingleIP():
		i.named().fault("gateway %v is outside the host's link", g)
	case link.Addr() == g:
		i.named().fault("gateway %v is the host itself", g)
	}
}

// mtu checks a transmission unit against the least that its packets need (RFC
// 791 section 3.2, RFC 8200 section 5).
func (i item) mtu(mtu, least int) {
	switch i = i.key("mtu"); {
	case mtu < 68:
		i.fault("%d is below 68", mtu)
	case mtu < least:
		i.fault("%d is below 1280, the least for IPv6", mtu)
	case mtu > math.MaxUint16:
		i.fault("%d is above %d", mtu, math.MaxUint16)
	}
}

func (c *checker) routers() {
	for n, r := range c.t.Routers {
		i := c.router(n)
		c.node(i, r.Node)
		if len(r.Addresses) == 0 && !r.Answer.Silent && !r.Answer.AsDestination && !r.Answer.As.IsValid() {
			i.key("addresses").named().fault("it has no address to answer from; give it one, or answer.silent")
		}
		oneOf(i, "balance", r.Balance, ByFlow, ByPacket, ByDestination)
		if r.Reject != nil {
			i.key("reject").reject(r.Reject)
		}
		if r.SetDSCP != nil {
			i.between("set_dscp", int(*r.SetDSCP), 0, 63)
		}
		if r.SetECN != nil {
			i.between("set_ecn", int(*r.SetECN), 0, 3)
		}
		if r.NAT != nil {
			i.key("nat").nat(r.NAT)
		}
	}
}

func (i item) reject(r *Reject) {
	i.between("code", int(r.Code), 0, 15) // RFC 1812 section 5.2.7.1
	oneOf(i, "hook", r.Hook, Prerouting, Forward)
	i.ports("allow_tcp", r.AllowTCP)
}

func (i item) nat(n *NAT) {
	if !n.Address.IsValid() && !n.Address6.IsValid() {
		i.key("address").named().fault("nat has no address")
	}
	switch i := i.key("address"); {
	case !n.Address.IsValid():
	case !n.Address.Is4():
		i.fault("%v is not IPv4", n.Address)
	default:
		i.named().unicast("nat.address", n.Address)
	}
	switch i := i.key("address6"); {
	case !n.Address6.IsValid():
	case n.Address6.Is4():
		i.fault("%v is not IPv6", n.Address6)
	default:
		i.named().unicast("nat.address6", n.Address6)
	}
	oneOf(i, "ports", n.Ports, EndpointIndependent, AddressAndPortDependent)
	oneOf(i, "id", n.ID, NATIDOrdered, NATIDRandom)
	oneOf(i, "quoted_ttl", n.QuotedTTL, TTLReceived, TTLValue)
	if n.QuotedTTLValue != 0 && n.QuotedTTL != TTLValue {
		i.key("quoted_ttl_value").fault("%d wants nat.quoted_ttl = %q", n.QuotedTTLValue, TTLValue)
	}
}

func (c *checker) destinations() {
	for n, d := range c.t.Destinations {
		i := c.destination(n)
		c.node(i, d.Node)
		i.service(d.Service)
		if len(d.Addresses) == 0 {
			i.key("addresses").named().fault("it has no address")
		} else if !slices.ContainsFunc(d.Addresses, c.t.Host.hasFamily) {
			i.key("addresses").named().fault("the host has no address of its family")
		}
		for n, a := range d.Addresses {
			if a.Is6() && a.IsLinkLocalUnicast() {
				i.key("addresses").elem(n).named().fault("address %v is link-local: nothing routes to it", a)
			}
		}
	}
}

func (i item) service(s Service) {
	oneOf(i, "udp", s.UDP, UDPEcho, UDPDNS, UDPNothing)
	i.ports("tcp_open", s.Open)
}

// node checks what routers and destinations have in common.
func (c *checker) node(i item, n Node) {
	c.onePerFamily(i.key("addresses"), n.Addresses, "node")
	i.key("answer").answer(n.Answer)
	depth, ok := c.graph.depth[n.Name]
	if ok {
		i.key("answer").returnHops(n.Answer, depth)
	}
}

// onePerFamily checks a list of addresses by itself.
func (c *checker) onePerFamily(i item, addrs []netip.Addr, of string) {
	var had [2]bool
	for n, a := range addrs {
		i := i.elem(n).named()
		i.unicast("address", a)
		if !a.IsValid() {
			continue
		}
		family, f := "IPv6", 1
		if a.Is4() {
			family, f = "IPv4", 0
		}
		if had[f] {
			i.fault("%v is a second %s address; a %s has at most one", a, family, of)
		}
		had[f] = true
	}
}

// unicast checks that an address can be a host's.
func (i item) unicast(what string, a netip.Addr) {
	kind := ""
	switch {
	case !a.IsValid():
		i.fault("%s is empty", what)
		return
	case a.Zone() != "":
		kind = "an address with a zone"
	case a.Is4In6():
		kind = "an IPv4 address written as IPv6"
	case a.IsMulticast():
		kind = "a multicast address"
	case a.IsUnspecified():
		kind = "the unspecified address"
	case a.IsLoopback():
		kind = "a loopback address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		kind = "the broadcast address"
	default:
		return
	}
	i.fault("%s %v is %s", what, a, kind)
}
