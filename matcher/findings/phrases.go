package findings

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher"
)

// The parts of sentences that are made from several values.

// routers says by how many the ways differ.
func routers(s *stretch[wayBack]) string {
	least, most := 255, 0
	for _, x := range s.sights {
		excess := max(excessOf(x.reply), -excessOf(x.reply))
		least, most = min(least, excess), max(most, excess)
	}
	if least == most {
		return fmt.Sprintf("%d routers", least)
	}
	return fmt.Sprintf("%d to %d routers", least, most)
}

// who names the routers of a stretch and what they do, up to the object.
func who[K comparable](s *stretch[K]) string {
	if s.single() {
		return fmt.Sprintf("%v quotes", s.routers[0])
	}
	return fmt.Sprintf("Hops %d to %d quote", s.first, s.last)
}

// tried is what the probes of a trace were, in words.
func (v *view) tried() string {
	port := v.path.Parameters.DstPort
	switch protocol := craft.ProtocolOf(v.path.Protocol); {
	case protocol == nil:
		return "probes"
	case !protocol.HasPorts():
		return protocol.Probe + "s"
	case protocol.Carries(craft.Checksum) && v.varies():
		return fmt.Sprintf("%ss to ports from %d on", protocol.Probe, port)
	default:
		return fmt.Sprintf("%ss to port %d", protocol.Probe, port)
	}
}

// tryNext is what may get farther than the probes of a trace did: it is a sentence.
func (v *view) tryNext() string {
	switch {
	case v.path.Protocol == layers.IPProtocolTCP && v.path.Parameters.DstPort == 443:
		return "Try -I."
	case v.path.Protocol == layers.IPProtocolTCP:
		return "Try -T -p 443, or -I."
	}
	return "Try -T -p 443."
}

func stackName(stack []matcher.Label) string {
	names := make([]string, len(stack))
	for i, l := range stack {
		names[i] = fmt.Sprint(l.Label)
	}
	return strings.Join(names, "/")
}

// listed names addresses, the last one behind an "and".
func listed(all []netip.Addr) string {
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.String()
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func inMS(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}
