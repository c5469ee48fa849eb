package device

import (
	"iter"
	"net"
	"net/netip"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/craft/route"
)

// Options say by what way probes go to a target, and what is captured of it.
type Options struct {
	Namespace  string           // the network namespace to probe from: a name in /run/netns, or a path; default this process's
	Interface  string           // to leave by; default the route's
	Source     netip.Addr       // address to probe from; default the route's
	Mark       uint32           // that the kernel's routing rules may ask for
	Gateway    netip.Addr       // the first gateway of a source route, if there is one
	NextHopMAC net.HardwareAddr // default as the kernel resolves it

	// Protocol is that of the probes to a target. Ports are the source ports
	// that may be tried, in this order, of ICMP the identifiers; only the first is, if
	// it is Fixed. Flow is what the route to a target depends on besides, from a port.
	Protocol func(dst netip.Addr) *craft.Protocol
	Ports    iter.Seq[uint16]
	Fixed    bool
	Flow     func(dst netip.Addr, port uint16) route.Flow

	// Accept refuses a route by its error; nil accepts all.
	Accept func(*route.Route) error

	// Restricted captures only what leaves or reaches the probes' own address and port,
	// and ICMP errors.
	Restricted bool

	// Exclusive says that an interface is captured on by one Device at a time only.
	Exclusive bool
}

// route is the way to a target, of probes from a port.
func (o *Options) route(dst netip.Addr, port uint16) (route.Route, error) {
	to := dst
	if o.Gateway.IsValid() {
		to = o.Gateway
	}
	r, err := route.Lookup(to, route.Options{Source: o.Source, Interface: o.Interface, Mark: o.Mark, Flow: o.Flow(dst, port)})
	if err == nil && o.Accept != nil {
		err = o.Accept(&r)
	}
	return r, err
}

// end is this host's end of the flow to a target, by a route; zero if it is
// captured anyway, as all ICMP is unless the Options are restricted.
func (o *Options) end(dst netip.Addr, r *route.Route, port uint16) capture.End {
	protocol := o.Protocol(dst)
	if !protocol.HasPorts() && !o.Restricted {
		return capture.End{}
	}
	return capture.End{Flow: capture.Flow(protocol.Filter(port)), Addr: r.Source}
}

// maxAddresses is how many addresses of this host a filter names: with more it takes
// milliseconds to compile.
const maxAddresses = 8

// ends are what a Device for an end captures: unless the Options are restricted, also
// the same end at this host's other addresses, from which another trace may run
// before this one is over; except those that hardly any trace runs from.
func (o *Options) ends(end capture.End) []capture.End {
	if end == (capture.End{}) {
		return nil
	}
	ends := []capture.End{end}
	if o.Restricted {
		return ends
	}
	addresses, _ := net.InterfaceAddrs() // none if it fails
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || prefix.Addr() == end.Addr || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		ends = append(ends, capture.End{Flow: end.Flow, Addr: prefix.Addr()})
	}
	if len(ends) > maxAddresses {
		return []capture.End{{Flow: end.Flow}}
	}
	return ends
}
