package capture

import (
	"fmt"
	"net/netip"
	"strings"
)

// End is this host's end of a flow: the address and port that probes come from and
// answers go to. The zero End stands for no flow.
type End struct {
	Flow Flow
	Addr netip.Addr // zero for any address
}

// Flow tells the packets of flows that have one local port, of a protocol. Its parts
// are parts of a Filter: Packets holds for all of the packets, From for those that
// leave the port, and To for those that reach it. See craft.Protocol.
type Flow struct{ Packets, From, To string }

// FilterErrors is a Filter for ICMP messages about packets: those that quote one.
// What may hide behind extension headers of IPv6 passes too, as with FilterICMP.
const FilterErrors = "(icmp and (icmp[0] = 3 or icmp[0] = 4 or icmp[0] = 5 or icmp[0] = 11 or icmp[0] = 12))" +
	" or (icmp6 and ip6[40] < 128) or " + filterHidden

// FilterEnds is a Filter for the packets that leave or reach these ends of flows, in
// addition to another Filter. It is compiled faster if ends that differ only in
// their addresses are one after the other.
func FilterEnds(filter string, ends ...End) string {
	all := []string{filter}
	for len(ends) > 0 {
		n := 1
		for n < len(ends) && ends[n].Flow == ends[0].Flow {
			n++
		}
		all = append(all, filterEnds(ends[:n]))
		ends = ends[n:]
	}
	return strings.Join(all, " or ")
}

// filterEnds is the Filter for ends that differ only in their addresses.
func filterEnds(ends []End) string {
	f := ends[0].Flow
	return fmt.Sprintf("(%s and ((%s%s) or (%s%s)))", f.Packets, f.From, addresses("src", ends), f.To, addresses("dst", ends))
}

// addresses is the part of a Filter that asks for one of the ends' addresses: " and
// (src host 192.0.2.1 or src host …)", or nothing if one of them is any address.
func addresses(direction string, ends []End) string {
	all := make([]string, len(ends))
	for i, end := range ends {
		if !end.Addr.IsValid() {
			return ""
		}
		all[i] = fmt.Sprintf("%s host %v", direction, end.Addr.WithZone(""))
	}
	return " and (" + strings.Join(all, " or ") + ")"
}
