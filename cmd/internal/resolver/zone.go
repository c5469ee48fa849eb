// Package resolver knows the names of a topology: those of its nodes and of
// their addresses, and the autonomous systems that the addresses are in, as Team
// Cymru's service reports them. Nothing else exists. A Server answers DNS queries,
// and Names answers calls.
package resolver

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// zone is all there is to know, by lower-case name without the last dot.
type zone struct {
	addrs map[string][]netip.Addr
	names map[netip.Addr]string
	asns  map[netip.Addr]uint32
	as    map[uint32]bool
}

func newZone(t *topology.Topology) *zone {
	z := &zone{
		addrs: map[string][]netip.Addr{}, names: map[netip.Addr]string{},
		asns: map[netip.Addr]uint32{}, as: map[uint32]bool{},
	}
	var nodes []*topology.Node
	for i := range t.Routers {
		nodes = append(nodes, &t.Routers[i].Node)
	}
	for i := range t.Destinations {
		nodes = append(nodes, &t.Destinations[i].Node)
	}
	for _, n := range nodes {
		z.add(n)
	}
	// A node that answers from another address has its name there too, unless
	// that address is another's.
	for _, n := range nodes {
		if n.Answer.As.IsValid() {
			z.own(n.Answer.As, n)
		}
	}
	return z
}

func (z *zone) add(n *topology.Node) {
	// What a topology calls a node is a name of it as well, a shorter one.
	for _, name := range []string{n.DNS, n.Name} {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name == "" || len(z.addrs[name]) > 0 {
			continue
		}
		z.addrs[name] = n.Addresses
	}
	for _, a := range n.Addresses {
		z.own(a, n)
	}
}

func (z *zone) own(a netip.Addr, n *topology.Node) {
	if _, taken := z.names[a]; taken {
		return
	}
	z.names[a] = strings.ToLower(strings.TrimSuffix(n.DNS, "."))
	if n.ASN != 0 {
		z.asns[a] = n.ASN
		z.as[n.ASN] = true
	}
}

// lookup returns the answers to a question, and whether its name exists.
func (z *zone) lookup(q dnsmessage.Question) (answers []dnsmessage.ResourceBody, exists bool) {
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	if p, ok := reversed(name, "in-addr.arpa", "ip6.arpa"); ok && p.IsSingleIP() {
		return z.pointer(p.Addr(), q.Type)
	}
	if text, ok := z.cymru(name); ok {
		return only(q.Type, dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: []string{text}}), true
	}
	addrs, exists := z.addrs[name]
	for _, a := range addrs {
		if a.Is4() {
			answers = append(answers, only(q.Type, dnsmessage.TypeA, &dnsmessage.AResource{A: a.As4()})...)
		} else {
			answers = append(answers, only(q.Type, dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: a.As16()})...)
		}
	}
	return answers, exists
}

// only is the resource, if its type is the one that is asked for.
func only(asked, has dnsmessage.Type, r dnsmessage.ResourceBody) []dnsmessage.ResourceBody {
	if asked != has && asked != dnsmessage.TypeALL {
		return nil
	}
	return []dnsmessage.ResourceBody{r}
}

func (z *zone) pointer(addr netip.Addr, asked dnsmessage.Type) ([]dnsmessage.ResourceBody, bool) {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	name := z.names[addr]
	if addr == loopback || addr == netip.IPv6Loopback() {
		name = "localhost"
	}
	if name == "" {
		return nil, false
	}
	full, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, false
	}
	return only(asked, dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: full}), true
}

// cymru is the text that Team Cymru's service has for a name
// (https://www.team-cymru.com/ip-asn-mapping).
func (z *zone) cymru(name string) (text string, ok bool) {
	if p, ok := reversed(name, "origin.asn.cymru.com", "origin6.asn.cymru.com"); ok {
		return z.origin(p)
	}
	number, ok := strings.CutSuffix(name, ".asn.cymru.com")
	if !ok {
		return "", false
	}
	number, ok = strings.CutPrefix(number, "as")
	asn, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || !z.as[uint32(asn)] {
		return "", false
	}
	return fmt.Sprintf("%d | ZZ | other | 2026-01-01 | TRACELAB-%d, ZZ", asn, asn), true
}

// origin tells of the autonomous system of an address, or of the lowest one
// that is known of a prefix: mtr asks for the first half of IPv6 addresses.
func (z *zone) origin(of netip.Prefix) (text string, ok bool) {
	var found netip.Addr
	for a := range z.asns {
		if of.Contains(a) && (!found.IsValid() || a.Less(found)) {
			found = a
		}
	}
	bits := 24
	if found.Is6() {
		bits = 48
	}
	announced, err := found.Prefix(bits)
	if err != nil || !found.IsValid() {
		return "", false
	}
	return fmt.Sprintf("%d | %s | ZZ | other | 2026-01-01", z.asns[found], announced), true
}

// reversed is the prefix that a name spells from its end: an IPv4 address by its
// bytes, an IPv6 address, or what it begins with, by its nibbles.
func reversed(name, suffix4, suffix6 string) (netip.Prefix, bool) {
	if labels, ok := strings.CutSuffix(name, "."+suffix4); ok {
		parts := strings.Split(labels, ".")
		if len(parts) != 4 {
			return netip.Prefix{}, false
		}
		addr, err := netip.ParseAddr(strings.Join([]string{parts[3], parts[2], parts[1], parts[0]}, "."))
		return netip.PrefixFrom(addr, 32), err == nil
	}
	labels, ok := strings.CutSuffix(name, "."+suffix6)
	if !ok {
		return netip.Prefix{}, false
	}
	nibbles := strings.Split(labels, ".")
	var b [16]byte
	if len(nibbles) > 2*len(b) {
		return netip.Prefix{}, false
	}
	for i, n := range nibbles {
		v, err := strconv.ParseUint(n, 16, 4)
		if err != nil || len(n) != 1 {
			return netip.Prefix{}, false
		}
		at := len(nibbles) - 1 - i
		b[at/2] |= byte(v) << (4 * (1 - at%2))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 4*len(nibbles)), true
}
