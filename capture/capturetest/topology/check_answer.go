package topology

import "math"

// most bounds what a packet has to hold.
const (
	mostLabels = 16
	mostQuoted = 1<<16 - 1
)

func (i item) answer(a Answer) {
	i.delay("delay", a.Delay)
	i.key("limit").limit(a.Limit)
	if a.TTL != 64 && a.TTL != 128 && a.TTL != 255 {
		i.key("ttl").fault("%d is none of 64, 128, 255", a.TTL)
	}
	if a.As.IsValid() {
		i.key("as").named().unicast("answer.as", a.As)
		if a.AsDestination {
			i.key("as").named().fault("answer.as and answer.as_destination exclude each other")
		}
	}
	i.key("quote").quote(a.Quote)
	if a.MPLS != nil {
		i.key("mpls").mpls(a.MPLS)
	}
	if a.Interface != nil {
		i.key("interface").interfaceInfo(a.Interface)
	}
}

func (i item) limit(l Limit) {
	if !(l.Rate >= 0 && l.Rate <= math.MaxInt32) {
		i.key("rate").fault("%v is outside 0 to %d", l.Rate, math.MaxInt32)
	}
	i.between("burst", l.Burst, 0, math.MaxInt32)
}

func (i item) quote(q Quote) {
	if q.Length != -1 && q.Length != 0 && (q.Length < 8 || q.Length > mostQuoted) {
		i.key("length").fault("%d is neither -1, 0 nor within 8 to %d", q.Length, mostQuoted)
	}
	oneOf(i, "ttl", q.TTL, TTLReceived, TTLDecremented, TTLSent, TTLValue)
	if q.TTLValue != 0 && q.TTL != TTLValue {
		i.key("ttl_value").fault("%d wants quote.ttl = %q", q.TTLValue, TTLValue)
	}
	oneOf(i, "id", q.ID, IDSwapped, IDZero)
}

func (i item) mpls(m *MPLS) {
	oneOf(i, "form", m.Form, Length17At128, Length0At128, LengthGarbageAt128)
	labels := i.key("labels")
	switch n := len(m.Labels); {
	case n == 0:
		labels.named().fault("answer.mpls has no labels")
	case n > mostLabels:
		labels.named().fault("answer.mpls has %d labels, more than %d", n, mostLabels)
	}
	for n, l := range m.Labels {
		labels.elem(n).between("label", int(l.Label), 0, 1<<20-1)
		labels.elem(n).between("tc", int(l.TC), 0, 7)
	}
}

// mostName is the longest interface name that RFC 5837 section 4.3 has room
// for.
const mostName = 62

func (i item) interfaceInfo(f *Interface) {
	if n := len(f.Name); n > mostName {
		i.key("name").fault("has %d bytes, more than %d", n, mostName)
	}
	if f.Address.IsValid() {
		i.key("address").named().unicast("answer.interface.address", f.Address)
	}
	if *f == (Interface{}) {
		i.named().fault("answer.interface tells nothing")
	}
}

// returnHops checks that an answer from depth links away arrives: that its way
// back is not shorter than none, and no longer than its TTL lasts.
func (i item) returnHops(a Answer, depth int) {
	if a.ReturnHops == 0 {
		return
	}
	i = i.key("return_hops")
	there := depth - 1
	switch back := there + a.ReturnHops; {
	case a.ReturnHops < -255 || a.ReturnHops > 255:
		i.fault("%d is outside -255 to 255", a.ReturnHops)
	case back < 0:
		i.fault("%d is below %d: the way there has no more routers", a.ReturnHops, -there)
	case back >= int(a.TTL):
		i.fault("%d lets no answer arrive: the way back has %d routers, its TTL is %d", a.ReturnHops, back, a.TTL)
	}
}
