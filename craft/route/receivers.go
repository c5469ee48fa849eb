package route

import (
	"cmp"
	"net/netip"
	"slices"
)

// maxReceivers bounds how many interfaces Receivers names: each has a ring of
// memory while a trace runs.
const maxReceivers = 16

// device is what Receivers knows of an interface.
type device struct {
	index    int
	name     string
	usable   bool // it is up, has a carrier, and leads to other hosts
	master   int  // the index of the bridge, bond or team that it is a port of; or 0
	parent   int  // the index of the interface whose frames it has a share of (VLAN, macvlan); or 0
	prefixes []netip.Prefix

	// leadsOn says that it has a route to more than its own subnets, so that
	// somebody behind it may have one back.
	leadsOn bool
}

// has reports whether an address is one of the interface's.
func (d *device) has(a netip.Addr) bool {
	return slices.ContainsFunc(d.prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}

// reaches reports whether an address is in a subnet of the interface.
func (d *device) reaches(a netip.Addr) bool {
	return slices.ContainsFunc(d.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// isKin reports whether one of two interfaces sees frames of the other.
func (d *device) isKin(e *device) bool {
	return d.master == e.index || d.parent == e.index || e.master == d.index || e.parent == d.index
}

// receivers are the names of the devices, besides the outgoing one, that replies to a
// source can arrive by.
func receivers(all []device, outgoing int, source netip.Addr) (names []string) {
	at := slices.IndexFunc(all, func(d device) bool { return d.index == outgoing })
	if at < 0 {
		return nil
	}
	out := &all[at]
	own := out.has(source) || slices.ContainsFunc(all, func(d device) bool { return d.index == out.master && d.has(source) })
	canBe := func(d *device) bool {
		return d != out && d.usable && !d.isKin(out) && (out.master == 0 || d.master != out.master)
	}
	var chosen []*device
	for i := range all {
		d := &all[i]
		if !canBe(d) || !(d.leadsOn || d.reaches(source) || !own && len(d.prefixes) > 0) {
			continue
		}
		chosen = append(chosen, d)
		// What it is upon sees more: its neighbours may take one for the other.
		at := slices.IndexFunc(all, func(e device) bool { return e.index == d.parent })
		if at >= 0 && canBe(&all[at]) {
			chosen = append(chosen, &all[at])
		}
	}
	slices.SortStableFunc(chosen, func(a, b *device) int {
		return cmp.Or(-cmp.Compare(rank(a, source), rank(b, source)), cmp.Compare(a.index, b.index))
	})
	for _, d := range chosen {
		if !isSeenBy(d, chosen) && !slices.Contains(names, d.name) && len(names) < maxReceivers {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return names
}

// rank is how likely it is that replies to a source arrive by an interface.
func rank(d *device, source netip.Addr) int {
	switch {
	case d.has(source):
		return 2
	case d.leadsOn:
		return 1
	}
	return 0
}

// isSeenBy reports whether another of these interfaces sees all frames of d.
func isSeenBy(d *device, all []*device) bool {
	return slices.ContainsFunc(all, func(e *device) bool { return d.parent == e.index || d.master == e.index })
}
