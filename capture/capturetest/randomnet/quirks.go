package randomnet

import (
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
)

// quirks gives nodes what makes them differ from a Linux router.
func (g *generator) quirks() {
	var nats int
	for i := range g.t.Routers {
		r := &g.t.Routers[i]
		if g.in(2) {
			r.Answer = g.answer(g.depth[r.Name], r.Addresses[0])
		}
		r.Answer.Silent = g.in(12)
		if nat := i == 0 && g.in(3) || g.in(16); nat {
			nats++
			r.NAT = g.nat(byte(nats))
		}
		g.forwarding(r)
	}
	for i := range g.t.Destinations {
		if d := &g.t.Destinations[i]; g.in(3) {
			d.Answer = g.answer(g.depth[d.Name], d.Addresses[0])
		}
	}
	if g.in(3) {
		g.short()
	}
}

// short has every node that quotes as much as is asked for quote the least that
// IPv4 allows: no payload is seen then.
func (g *generator) short() {
	var all []*topology.Quote
	for i := range g.t.Routers {
		all = append(all, &g.t.Routers[i].Answer.Quote)
	}
	for i := range g.t.Destinations {
		all = append(all, &g.t.Destinations[i].Answer.Quote)
	}
	for _, q := range all {
		if q.Length == 0 {
			q.Length = 28
		}
	}
}

// forwarding is what a router does to what it forwards.
func (g *generator) forwarding(r *topology.Router) {
	if g.in(10) {
		v := uint8(g.IntN(64))
		r.SetDSCP = &v
	}
	if g.in(16) {
		v := uint8(g.IntN(4))
		r.SetECN = &v
	}
	r.ZeroTTL, r.KeepTTL = g.in(24), g.in(24)
	if g.in(24) {
		r.Reject = &topology.Reject{Code: uint8(g.IntN(16)), Hook: pick(g, "", topology.Prerouting, topology.Forward)}
		if g.in(2) {
			r.Reject.AllowTCP = []uint16{80}
		}
	}
}

func (g *generator) nat(number byte) *topology.NAT {
	v6 := netip.MustParseAddr("2001:db8:f::1").As16()
	v6[15] = number
	n := &topology.NAT{Address: netip.AddrFrom4([4]byte{203, 0, 113, number}), Address6: netip.AddrFrom16(v6)}
	if g.in(4) {
		n.Address6 = netip.Addr{}
	}
	n.KeepQuotedChecksum = g.in(2)
	if g.in(2) {
		n.ID = pick(g, topology.NATIDOrdered, topology.NATIDRandom)
	}
	if g.in(3) {
		n.Ports = pick(g, topology.EndpointIndependent, topology.AddressAndPortDependent)
		n.KeepQuotedPort = g.in(3)
	}
	if g.in(5) {
		n.QuotedTTL = pick(g, topology.TTLReceived, topology.TTLValue)
		if n.QuotedTTL == topology.TTLValue {
			n.QuotedTTLValue = 1 + uint8(g.IntN(3))
		}
	}
	return n
}

// answer is one of a node that has so many routers before it, and an address. It
// has few quirks at the same time: two in one node are rare.
func (g *generator) answer(depth int, of netip.Addr) (a topology.Answer) {
	for range 1 + g.IntN(2) {
		g.quirk(&a, depth, of)
	}
	return a
}

func (g *generator) quirk(a *topology.Answer, depth int, of netip.Addr) {
	switch g.IntN(12) {
	case 0:
		a.Delay = g.between(time.Millisecond, 4*time.Millisecond)
	case 1, 2, 3:
		a.Limit = g.limit()
	case 4:
		a.TTL = pick[uint8](g, 64, 128, 255)
	case 5:
		a.ReturnHops = g.IntN(depth+13) - depth
	case 6:
		g.name(a, of)
	case 7, 8, 9:
		g.quote(&a.Quote)
	case 10:
		a.WrongLength = true
	case 11:
		g.extension(a)
	}
}

func (g *generator) limit() topology.Limit {
	switch g.IntN(3) {
	case 0:
		return topology.Limit{Rate: pick(g, 1.0, 10, 100)}
	case 1:
		return topology.Limit{Burst: 1 + g.IntN(4)}
	}
	return topology.Limit{Rate: pick(g, 1.0, 10, 100), Burst: 1 + g.IntN(6)}
}

// name has a node answer in the name of another.
func (g *generator) name(a *topology.Answer, of netip.Addr) {
	if a.AsDestination = g.in(3); a.AsDestination {
		a.As = netip.Addr{}
		return
	}
	as := of.As4()
	as[3] = 254
	a.As = netip.AddrFrom4(as)
}

func (g *generator) quote(q *topology.Quote) {
	switch g.IntN(5) {
	case 0, 1:
		q.Length = pick(g, 28, 28, 28, 36, 60, 128, -1, 24)
	case 2, 3:
		q.TTLValue, q.TTL = 0, pick(g, topology.TTLReceived, topology.TTLDecremented, topology.TTLSent, topology.TTLValue)
		if q.TTL == topology.TTLValue {
			q.TTLValue = uint8(g.IntN(5))
		}
	default:
		q.ID = pick(g, topology.IDSwapped, topology.IDZero)
	}
}

func (g *generator) extension(a *topology.Answer) {
	if g.in(2) {
		a.Interface = &topology.Interface{
			Index: 1 + g.Uint32N(9), Name: pick(g, "eth0", "xe-0/0/1.100"), Address: netip.AddrFrom4([4]byte{10, 255, 0, byte(g.IntN(256))}), MTU: 1500,
		}
	}
	if a.Interface != nil && g.in(2) {
		return
	}
	a.MPLS = &topology.MPLS{Form: pick(g, "", topology.Length17At128, topology.Length0At128, topology.LengthGarbageAt128)}
	for range 1 + g.IntN(3) {
		a.MPLS.Labels = append(a.MPLS.Labels, topology.Label{Label: g.Uint32N(1 << 20), TC: uint8(g.IntN(8)), TTL: uint8(g.IntN(4))})
	}
}
