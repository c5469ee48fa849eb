//go:build linux && cgo

package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcap"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/craft"
)

var (
	here4, there4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7")
	here6, there6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:7::7")
)

// ipPacket is an IP packet of either family.
func ipPacket(src, dst netip.Addr, protocol byte, payload ...byte) []byte {
	if src.Is6() {
		b := make([]byte, 40)
		b[0], b[6], b[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
		return append(b, payload...)
	}
	b := make([]byte, 20)
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, payload...)
}

// header is what a transport header begins with.
func header(src, dst uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	return b
}

// icmp is an ICMP message with an identifier.
func icmp(typ byte, identifier uint16) []byte {
	b := make([]byte, 16)
	b[0] = typ
	binary.BigEndian.PutUint16(b[4:], identifier)
	return b
}

// linkHeaders are what stands before an IP packet on a kind of link.
var linkHeaders = map[string]struct {
	link   frame.LinkType
	header []byte
}{
	"Ethernet":   {frame.Ethernet, make([]byte, 14)},
	"VLAN":       {frame.Ethernet, append(append(make([]byte, 12), 0x81, 0, 0, 5), 0, 0)},
	"QinQ":       {frame.Ethernet, append(append(make([]byte, 12), 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6), 0, 0)},
	"raw":        {frame.Raw, nil},
	"cooked PPP": {frame.LinuxSLL, make([]byte, 16)},
}

// endOf is an end of flows of a protocol.
func endOf(protocol layers.IPProtocol, addr netip.Addr, port uint16) End {
	return End{Flow: Flow(craft.ProtocolOf(protocol).Filter(port)), Addr: addr}
}

// A filter lets the trace's own end of flows pass and ICMP errors, of which it can't
// know whose they are; and nobody else's traffic, whatever port it comes from or is
// for.
func TestFilterEndsIsTheLocalEnd(t *testing.T) {
	const port, other = 6379, 40000
	for _, family := range []struct {
		name          string
		here, there   netip.Addr
		icmp          layers.IPProtocol
		request, errs byte
	}{
		{"IPv4", here4, there4, layers.IPProtocolICMPv4, 8, 11},
		{"IPv6", here6, there6, layers.IPProtocolICMPv6, 128, 3},
	} {
		reply := family.request + 1
		if family.here.Is4() {
			reply = 0
		}
		here, there, ip := family.here, family.there, ipPacket
		neighbour := here.Next()
		for _, p := range craft.Protocols() {
			if !p.ReachesOver(here) {
				continue
			}
			end := endOf(p.Number, here, port)
			protocol, wrong := byte(p.Number), byte(layers.IPProtocolUDP)
			if p.Number == layers.IPProtocolUDP {
				wrong = byte(layers.IPProtocolTCP)
			}
			passes := map[string][]byte{
				"a probe":  ip(here, there, protocol, header(port, other)...),
				"a reply":  ip(there, here, protocol, header(other, port)...),
				"an error": ip(there, here, byte(family.icmp), icmp(family.errs, 0)...),
			}
			fails := map[string][]byte{
				"a client here of that port there":  ip(here, there, protocol, header(other, port)...),
				"the answer to it":                  ip(there, here, protocol, header(port, other)...),
				"that port of another address here": ip(neighbour, there, protocol, header(port, other)...),
				"what is for another address here":  ip(there, neighbour, protocol, header(other, port)...),
				"another port":                      ip(here, there, protocol, header(other, other)...),
				"another protocol":                  ip(here, there, wrong, header(port, other)...),
				"a ping":                            ip(here, there, byte(family.icmp), icmp(family.request, port)...),
				"its reply":                         ip(there, here, byte(family.icmp), icmp(reply, port)...),
			}
			if p.Number == family.icmp {
				passes = map[string][]byte{
					"a probe": fails["a ping"], "a reply": fails["its reply"], "an error": passes["an error"],
				}
				fails = map[string][]byte{
					"another's ping":        ip(here, there, byte(family.icmp), icmp(family.request, other)...),
					"its reply":             ip(there, here, byte(family.icmp), icmp(reply, other)...),
					"a ping of this host":   ip(there, here, byte(family.icmp), icmp(family.request, port)...),
					"the answer to it":      ip(here, there, byte(family.icmp), icmp(reply, port)...),
					"a ping by another":     ip(neighbour, there, byte(family.icmp), icmp(family.request, port)...),
					"UDP with these ports":  ip(here, there, 17, header(port, port)...),
					"a router's own notice": ip(there, here, byte(family.icmp), icmp(family.request+6, port)...),
				}
			}
			text := FilterEnds(FilterErrors, end)
			for link := range linkHeaders {
				t.Run(family.name+" "+p.Name+" over "+link, func(t *testing.T) {
					for name, packet := range passes {
						if !matches(t, link, text, packet) {
							t.Errorf("%s does not pass", name)
						}
					}
					for name, packet := range fails {
						if matches(t, link, text, packet) {
							t.Errorf("%s passes", name)
						}
					}
				})
			}
		}
	}
}

// matches reports whether a packet on a link passes a filter.
func matches(t *testing.T, link, filter string, packet []byte) bool {
	t.Helper()
	l := linkHeaders[link]
	head := slices.Clone(l.header)
	if n := len(head); n > 0 {
		binary.BigEndian.PutUint16(head[n-2:], uint16(layers.EthernetTypeIPv4))
		if packet[0]>>4 == 6 {
			binary.BigEndian.PutUint16(head[n-2:], uint16(layers.EthernetTypeIPv6))
		}
	}
	number := layers.LinkType(l.link)
	if l.link == frame.Raw {
		number = 12 // DLT_RAW, as a handle has it
	}
	bpf, err := pcap.NewBPF(number, 2048, filterFor(l.link, filter))
	if err != nil {
		t.Fatal(err)
	}
	data := slices.Concat(head, packet)
	return bpf.Matches(gopacket.CaptureInfo{CaptureLength: len(data), Length: len(data)}, data)
}

// Traces from several addresses and ports share a handle.
func TestFilterEndsTakesManyEnds(t *testing.T) {
	filter := FilterEnds(FilterICMP, endOf(layers.IPProtocolUDP, here4, 1), endOf(layers.IPProtocolUDP, here6, 2), endOf(layers.IPProtocolTCP, netip.Addr{}, 3))
	for _, packet := range [][]byte{
		ipPacket(here4, there4, 17, header(1, 9)...), ipPacket(there6, here6, 17, header(9, 2)...),
		ipPacket(there4, there4, 6, header(3, 9)...), ipPacket(here4, there4, 1, icmp(8, 9)...),
	} {
		if !matches(t, "Ethernet", filter, packet) {
			t.Errorf("%x does not pass", packet)
		}
	}
	if matches(t, "Ethernet", filter, ipPacket(here4, there4, 17, header(2, 9)...)) {
		t.Error("the port of another address passes")
	}
}

func BenchmarkFilterCompiles(b *testing.B) {
	ends := []End{}
	for a, n := here4, 0; n < 16; a, n = a.Next(), n+1 {
		ends = append(ends, endOf(layers.IPProtocolUDP, a, 50000))
	}
	for name, filter := range map[string]string{
		"port": FilterEnds(FilterICMP, endOf(layers.IPProtocolUDP, netip.Addr{}, 50000)),
		"1":    FilterEnds(FilterICMP, ends[:1]...), "16": FilterEnds(FilterICMP, ends...), "restricted": FilterEnds(FilterErrors, ends[:1]...),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := pcap.NewBPF(layers.LinkTypeEthernet, 2048, filterFor(frame.Ethernet, filter)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
