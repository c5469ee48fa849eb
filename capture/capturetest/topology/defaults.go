package topology

import (
	"net/netip"
	"slices"
)

// defaultHost are the host's addresses if it is given none.
var defaultHost = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.10/24"),
	netip.MustParsePrefix("2001:db8::10/64"),
}

// WithDefaults returns a copy in which every default that is a value is filled
// in: addresses, gateways, MTUs, weights, bursts, TTLs, Balance and Hook. What
// stays empty (QuoteTTL, QuoteID, ExtensionForm, UDPService) means a behaviour
// that only the empty value has.
func (t *Topology) WithDefaults() Topology {
	d := *t
	d.Host = t.Host.withDefaults()
	d.Routers = slices.Clone(t.Routers)
	for i := range d.Routers {
		d.Routers[i].withDefaults()
	}
	d.Destinations = slices.Clone(t.Destinations)
	for i := range d.Destinations {
		d.Destinations[i].Answer.withDefaults()
	}
	d.Prefixes = slices.Clone(t.Prefixes)
	for i := range d.Prefixes {
		d.Prefixes[i].Answer.withDefaults()
	}
	d.Links = slices.Clone(t.Links)
	for i := range d.Links {
		l := &d.Links[i]
		setDefault(&l.MTU, 1500)
		setDefault(&l.Weight, 1)
	}
	return d
}

func (h Host) withDefaults() Host {
	if len(h.Addresses) == 0 {
		h.Addresses = slices.Clone(defaultHost)
	}
	h.Gateways = slices.Clone(h.Gateways)
	for _, p := range h.Addresses {
		same := func(g netip.Addr) bool { return g.Is4() == p.Addr().Is4() }
		if p.IsValid() && !slices.ContainsFunc(h.Gateways, same) {
			h.Gateways = append(h.Gateways, p.Masked().Addr().Next())
		}
	}
	setDefault(&h.MTU, 1500)
	return h
}

func (r *Router) withDefaults() {
	r.Answer.withDefaults()
	setDefault(&r.Balance, ByFlow)
	if r.Reject != nil {
		reject := *r.Reject
		setDefault(&reject.Hook, Prerouting)
		r.Reject = &reject
	}
}

func (a *Answer) withDefaults() {
	setDefault(&a.TTL, 64)
	if a.Limit.Rate > 0 {
		setDefault(&a.Limit.Burst, 1)
	}
	if a.MPLS != nil {
		mpls := *a.MPLS
		mpls.Labels = slices.Clone(mpls.Labels)
		for i := range mpls.Labels {
			setDefault(&mpls.Labels[i].TTL, 1)
		}
		a.MPLS = &mpls
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
