package report

import (
	"net/netip"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// headers says which fields the headers of a trace's probes have, and which names
// responders have.
type headers struct {
	protocol   string // as documents spell it
	ports      bool
	identifier bool // of ICMP echo; path.Probe has it as source port
	sequence   bool
	ipv4       bool // an ID, and the don't-fragment flag
	names      map[netip.Addr]string
}

// ProtocolName returns a protocol as documents spell it, or "" if no probes are of it.
func ProtocolName(p layers.IPProtocol) string {
	if known := craft.ProtocolOf(p); known != nil {
		return known.Name
	}
	return ""
}

func headersOf(p *path.Path) headers {
	h := headers{ipv4: p.Target.Addr.Is4()}
	if protocol := craft.ProtocolOf(p.Protocol); protocol != nil {
		h.protocol, h.ports, h.identifier, h.sequence = protocol.Name, protocol.HasPorts(), !protocol.HasPorts(), !protocol.Carries(craft.Checksum)
	}
	return h
}

// pointer returns nil for the zero value, else a pointer to it: in JSON, null or the
// value.
func pointer[T comparable](v T) *T { return known(false, v) }

// known returns a pointer to a value, or nil for a zero that may mean "not known".
func known[T comparable](sure bool, v T) *T {
	var zero T
	if !sure && v == zero {
		return nil
	}
	return &v
}

// field is known for a field that headers may lack: then it is nil.
func field[T comparable](has, sure bool, v T) *T {
	if !has {
		return nil
	}
	return known(sure, v)
}

// value returns what pointer got: the zero value for nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
