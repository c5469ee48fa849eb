package kernelnet

import (
	"fmt"
	"net/netip"
	"testing"
)

// Family numbers a chain in one address family.
type Family struct {
	// Destination is the address on the last router's lo.
	Destination netip.Addr

	subnet string // of link i, counted from 1
}

// The numbering of chains: links 10.77.1.0/24, 10.77.2.0/24, … and
// fd77:1::/64, fd77:2::/64, …
var (
	IPv4 = Family{Destination: netip.MustParseAddr("10.99.0.1"), subnet: "10.77.%d.0/24"}
	IPv6 = Family{Destination: netip.MustParseAddr("fd99::1"), subnet: "fd77:%x::/64"}
)

// ChainOptions changes how a chain is built.
type ChainOptions struct {
	Families []Family      // that all its nodes speak; none means IPv4
	Delays   map[int]Delay // the links that are wires, by the TTL that crosses them last: 1 is host – r1
}

// Chain is a network where host – r1 – r2 – … – rn are joined in a line.
type Chain struct {
	*Network
	Routers []*Node // r1 is Routers[0]
	Links   []*Link // Links[i] has Routers[i] as its end B
}

// NewChain returns a chain of n routers, 1 to 255, the last of which is the
// destination: it has Family.Destination on its lo, and a probe for it is
// answered by the addresses of Hops. Each node reaches all addresses of the
// chain; the last one has no default route. A nil opts means defaults. It
// skips or fails the test as Require does.
func NewChain(t testing.TB, n int, opts *ChainOptions) *Chain {
	t.Helper()
	if opts == nil {
		opts = &ChainOptions{}
	}
	families := opts.Families
	if len(families) == 0 {
		families = []Family{IPv4}
	}
	c := &Chain{Network: New(t)}
	for ttl := 1; ttl <= n; ttl++ {
		c.extend(ttl, families, opts.Delays[ttl])
	}
	for _, f := range families {
		c.Routers[n-1].Address(f.Destination.String())
		c.connect(f)
	}
	return c
}

// Hops are the addresses that answer a probe for f.Destination, by TTL: the
// routers' ends of the links, and last the destination.
func (c *Chain) Hops(f Family) []netip.Addr {
	hops := make([]netip.Addr, len(c.Routers))
	for i := range hops {
		hops[i] = f.far(i + 1)
	}
	hops[len(hops)-1] = f.Destination
	return hops
}

// extend adds the router that a probe of this TTL reaches.
func (c *Chain) extend(ttl int, families []Family, delay Delay) {
	c.t.Helper()
	last := c.host
	if ttl > 1 {
		last = c.Routers[ttl-2]
	}
	next := c.Router(fmt.Sprintf("r%d", ttl))
	subnets := make([]string, len(families))
	for i, f := range families {
		subnets[i] = f.link(ttl).String()
	}
	var link *Link
	if delay == nil {
		link = c.Link(last, next, subnets...)
	} else {
		link = c.Wire(last, next, delay, subnets...)
	}
	c.Routers = append(c.Routers, next)
	c.Links = append(c.Links, link)
}

// connect routes each link's subnet back, and everything else forward.
func (c *Chain) connect(f Family) {
	c.t.Helper()
	c.host.Route("default", f.far(1).String())
	for i, router := range c.Routers {
		ttl := i + 1
		for behind := 1; behind < ttl; behind++ {
			router.Route(f.link(behind).String(), f.near(ttl).String())
		}
		if ttl < len(c.Routers) {
			router.Route("default", f.far(ttl+1).String())
		}
	}
}

func (f Family) link(ttl int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf(f.subnet, ttl))
}

func (f Family) near(ttl int) netip.Addr { return f.link(ttl).Addr().Next() }
func (f Family) far(ttl int) netip.Addr  { return f.near(ttl).Next() }
