package capture

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/gopacket/layers"
)

// End is this host's end of the flows of probes: what they come from, and what
// their answers go to.
type End struct {
	Protocol layers.IPProtocol // UDP, TCP, or either ICMP
	Addr     netip.Addr        // zero for any address
	Port     uint16            // of ICMP the identifier of echo requests
}

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
		for n < len(ends) && ends[n].Protocol == ends[0].Protocol && ends[n].Port == ends[0].Port {
			n++
		}
		all = append(all, filterEnds(ends[:n]))
		ends = ends[n:]
	}
	return strings.Join(all, " or ")
}

// filterEnds is the Filter for ends that differ only in their addresses.
func filterEnds(ends []End) string {
	from, to := addresses("src", ends), addresses("dst", ends)
	port := ends[0].Port
	switch ends[0].Protocol {
	case layers.IPProtocolICMPv4:
		return fmt.Sprintf("(icmp and icmp[4:2] = %d and ((icmp[0] = %d%s) or (icmp[0] = %d%s)))",
			port, layers.ICMPv4TypeEchoRequest, from, layers.ICMPv4TypeEchoReply, to)
	case layers.IPProtocolICMPv6:
		return fmt.Sprintf("(icmp6 and ip6[44:2] = %d and ((ip6[40] = %d%s) or (ip6[40] = %d%s)))",
			port, layers.ICMPv6TypeEchoRequest, from, layers.ICMPv6TypeEchoReply, to)
	case layers.IPProtocolTCP:
		return fmt.Sprintf("(tcp and ((src port %[1]d%[2]s) or (dst port %[1]d%[3]s)))", port, from, to)
	}
	return fmt.Sprintf("(udp and ((src port %[1]d%[2]s) or (dst port %[1]d%[3]s)))", port, from, to)
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
