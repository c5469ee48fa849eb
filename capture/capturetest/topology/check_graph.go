package topology

import (
	"fmt"
	"strings"
)

// names checks that nodes can be told apart, by name and by host name.
func (c *checker) names() {
	had, hadDNS := map[string]string{}, map[string]string{}
	for n, r := range c.t.Routers {
		c.nodeNames(c.router(n), r.Node, had, hadDNS)
	}
	for n, d := range c.t.Destinations {
		c.nodeNames(c.destination(n), d.Node, had, hadDNS)
	}
	for n, r := range c.t.Routers {
		c.hostName(c.router(n), r.Node, had)
	}
	for n, d := range c.t.Destinations {
		c.hostName(c.destination(n), d.Node, had)
	}
}

// hostName checks that a node's host name is not what links call another node:
// both are looked up.
func (c *checker) hostName(i item, n Node, had map[string]string) {
	kind := had[n.DNS]
	switch {
	case n.DNS == HostName:
		i.key("dns").fault("%q is what links call the host", n.DNS)
	case kind != "" && n.DNS != n.Name:
		i.key("dns").fault("%q is the name by which links call a %s", n.DNS, kind)
	}
}

func (c *checker) nodeNames(i item, n Node, had, hadDNS map[string]string) {
	name := i.key("name").named()
	switch before := had[n.Name]; {
	case n.Name == "":
		c.breaks(name, "it has no name")
	case n.Name == HostName:
		c.breaks(name, "%q is what links call the host", HostName)
	case before != "":
		c.breaks(name, "the name is a %s's already", before)
	}
	had[n.Name], _, _ = strings.Cut(i.name, " ")
	if n.DNS == "" {
		return
	}
	dns := i.key("dns")
	folded := strings.ToLower(n.DNS)
	switch before := hadDNS[folded]; {
	case !isHostName(n.DNS):
		dns.fault("%q is not a host name", n.DNS)
	case before != "":
		dns.fault("%q is the name of %s already", n.DNS, before)
	default:
		hadDNS[folded] = i.name
	}
}

// isHostName says whether a name is one by RFC 1123 section 2.1, or has
// underscores, as some routers' do.
func isHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.IndexFunc(label, notOfHostName) >= 0 {
			return false
		}
	}
	return true
}

func notOfHostName(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

func (c *checker) links() {
	ipv6 := c.ipv6Ways()
	for n, l := range c.t.Links {
		i := c.link(n)
		i.delay("delay", l.Delay)
		i.delay("jitter", l.Jitter)
		i.probability("loss", l.Loss)
		i.probability("reorder", l.Reorder)
		i.probability("duplicate", l.Duplicate)
		i.between("weight", l.Weight, 1, 1<<16-1)
		least := 68
		if len(l.Path) > 1 && ipv6[l.Path[1]] {
			least = 1280
		}
		i.mtu(l.MTU, least)
		c.path(i.key("path").named(), l.Path)
	}
}

// ipv6Ways are the nodes that IPv6 packets from the host may come to.
func (c *checker) ipv6Ways() map[string]bool {
	if !hasIPv6(hostAddrs(c.t.Host)) {
		return nil
	}
	var targets []string
	for _, d := range c.t.Destinations {
		if hasIPv6(d.Addresses) {
			targets = append(targets, d.Name)
		}
	}
	for _, p := range c.t.Prefixes {
		if p.Prefix.Addr().Is6() {
			targets = append(targets, p.Behind)
		}
	}
	return c.graph.before(targets...)
}

func (c *checker) path(i item, path []string) {
	if len(path) < 2 {
		c.breaks(i, "path has fewer than 2 names")
		return
	}
	for n, name := range path {
		i := i.elem(n)
		switch k := c.graph.kinds[name]; {
		case k == 0:
			c.breaks(i, "no node %q%s", name, meant(name, c.graph.names()))
		case k == aHost && n > 0:
			c.breaks(i, "path leads into the host")
		case k == aDestination && n < len(path)-1:
			c.breaks(i, "path leads on from destination %q", name)
		}
		if n > 0 {
			c.end(i, path[n-1], name)
		}
	}
}

// end notes where a link ends.
func (c *checker) end(i item, from, to string) {
	ends := [2]string{from, to}
	if _, had := c.ends[ends]; had {
		c.breaks(i, "there is a link from %q to %q already", from, to)
		return
	}
	c.ends[ends] = i
}

// breaks reports a fault that keeps links from leading where they should.
func (c *checker) breaks(i item, format string, args ...any) {
	c.broken = true
	i.fault(format, args...)
}

// meant names the nearest of what is known, and what is known.
func meant(name string, known []string) string {
	const most = 20
	said := "; known are " + strings.Join(known[:min(most, len(known))], ", ")
	if more := len(known) - most; more > 0 {
		said += fmt.Sprintf(" and %d more", more)
	}
	if near := nearest(name, known); near != "" {
		said = fmt.Sprintf("; did you mean %q?", near) + said
	}
	return said
}

// paths checks that the links lead from the host to every target, by way of all
// routers. It says nothing of that while the links themselves are at fault, as
// that follows from them.
func (c *checker) paths() {
	for _, loop := range c.graph.loops() {
		last := len(loop) - 2
		c.breaks(c.ends[[2]string{loop[last], loop[0]}], "loop: %s", strings.Join(loop, " → "))
	}
	c.behind()
	if c.broken {
		return
	}
	if len(c.t.Destinations)+len(c.t.Prefixes) == 0 {
		c.breaks(c.item(c.root, "topology"), "there is no destination and no prefix")
	}
	for n, d := range c.t.Destinations {
		if _, ok := c.graph.depth[d.Name]; !ok {
			c.breaks(c.destination(n), "no path leads to it from the host")
		}
	}
	for n, p := range c.t.Prefixes {
		if _, ok := c.graph.depth[p.Behind]; !ok {
			c.breaks(c.prefix(n).key("behind").named(), "no path leads to router %q from the host", p.Behind)
		}
	}
	if !c.broken {
		c.idle()
	}
}

// behind checks what prefixes say they are behind.
func (c *checker) behind() {
	for n, p := range c.t.Prefixes {
		i := c.prefix(n).key("behind").named()
		switch {
		case p.Behind == "":
			c.breaks(i, "behind names no router")
		case c.graph.kinds[p.Behind] == aHost:
			c.breaks(i, "behind names the host, want a router%s", meant(p.Behind, c.graph.routers()))
		case c.graph.kinds[p.Behind] == aDestination:
			c.breaks(i, "behind names destination %q, want a router%s", p.Behind, meant(p.Behind, c.graph.routers()))
		case c.graph.kinds[p.Behind] != aRouter:
			c.breaks(i, "no router %q%s", p.Behind, meant(p.Behind, c.graph.routers()))
		}
	}
}

// idle reports routers that no path from the host to a target goes through.
func (c *checker) idle() {
	var targets []string
	for _, d := range c.t.Destinations {
		targets = append(targets, d.Name)
	}
	for _, p := range c.t.Prefixes {
		targets = append(targets, p.Behind)
	}
	ahead := c.graph.before(targets...)
	for n, r := range c.t.Routers {
		if _, reached := c.graph.depth[r.Name]; !reached || !ahead[r.Name] {
			c.router(n).fault("no path from the host to a destination goes through it")
		}
	}
}
