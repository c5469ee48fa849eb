package simulate_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
)

// reply is what most tests want to know of an answer, as gopacket decodes it.
type reply struct {
	From string
	What string // "11/0" for ICMP, "udp", "SYN ACK" or the like for TCP
	TTL  uint8
}

// decoded is an answer whose lengths and checksums have been found to be right.
type decoded struct {
	reply
	at      time.Duration
	to      string
	tos     uint8
	id      uint16
	icmp    []byte // the message
	payload []byte // of UDP
	tcp     *layers.TCP
}

// decode checks the lengths and checksums of an answer, and takes it apart.
func decode(t testing.TB, a simulate.Arrival) decoded {
	t.Helper()
	first := gopacket.LayerType(layers.LayerTypeIPv4)
	if a.IP[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(a.IP, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	if p.NetworkLayer() == nil {
		t.Fatalf("%x: %v", a.IP, p.ErrorLayer())
	}
	d := decoded{at: a.At}
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
		if got := ones(a.IP[:20]); got != 0xffff {
			t.Errorf("the outer header sums to %#x", got)
		}
		if int(ip.Length) != len(a.IP) {
			t.Errorf("outer length %d of %d bytes", ip.Length, len(a.IP))
		}
		d.From, d.to, d.TTL, d.tos, d.id = ip.SrcIP.String(), ip.DstIP.String(), ip.TTL, ip.TOS, ip.Id
		d.upper(t, p, ip.Protocol, ip.Payload, nil)
	} else {
		ip := p.NetworkLayer().(*layers.IPv6)
		if int(ip.Length) != len(a.IP)-40 {
			t.Errorf("outer length %d of %d bytes", ip.Length, len(a.IP))
		}
		d.From, d.to, d.TTL, d.tos = ip.SrcIP.String(), ip.DstIP.String(), ip.HopLimit, ip.TrafficClass
		d.upper(t, p, ip.NextHeader, ip.Payload, a.IP[8:40])
	}
	return d
}

func (d *decoded) upper(t testing.TB, p gopacket.Packet, proto layers.IPProtocol, data, addrs []byte) {
	t.Helper()
	pseudo := addrs
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok && proto != layers.IPProtocolICMPv4 {
		pseudo = append(append([]byte{}, ip.SrcIP.To4()...), ip.DstIP.To4()...)
	}
	if pseudo != nil {
		pseudo = append(append([]byte{}, pseudo...), 0, byte(proto), byte(len(data)>>8), byte(len(data)))
	}
	if got := ones(append(pseudo, data...)); got != 0xffff {
		t.Errorf("%v sums to %#x", proto, got)
	}
	switch proto {
	case layers.IPProtocolICMPv4, layers.IPProtocolICMPv6:
		d.icmp, d.What = data, fmt.Sprintf("%d/%d", data[0], data[1])
	case layers.IPProtocolUDP:
		d.What, d.payload = "udp", data[8:]
		if got := int(binary.BigEndian.Uint16(data[4:])); got != len(data) || binary.BigEndian.Uint16(data[6:]) == 0 {
			t.Errorf("UDP header %x of %d bytes", data[:8], len(data))
		}
	case layers.IPProtocolTCP:
		d.tcp = p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		for flag, set := range map[string]bool{"SYN": d.tcp.SYN, "RST": d.tcp.RST, "FIN": d.tcp.FIN} {
			if set {
				d.What = flag
			}
		}
		if d.tcp.ACK {
			d.What += " ACK"
		}
	}
}

// quote is what an ICMP error holds behind its first 8 bytes.
func (d decoded) quote(t testing.TB) []byte {
	t.Helper()
	if len(d.icmp) < 8 {
		t.Fatalf("%+v quotes nothing", d)
	}
	return d.icmp[8:]
}

func quotedTTL(quote []byte) uint8 {
	if quote[0]>>4 == 6 {
		return quote[7]
	}
	return quote[8]
}

// carry sends probes at time 0 and decodes what comes back.
func carry(t testing.TB, n *simulate.Network, probes ...probe) []decoded {
	t.Helper()
	var back []decoded
	for _, p := range probes {
		for _, a := range n.Carry(0, p.bytes(t), nil) {
			back = append(back, decode(t, a))
		}
	}
	return back
}

// one is carry for a probe that draws one answer.
func one(t testing.TB, n *simulate.Network, p probe) decoded {
	t.Helper()
	back := carry(t, n, p)
	if len(back) != 1 {
		t.Fatalf("%+v draws %d answers", p, len(back))
	}
	return back[0]
}

// replies are what most tests want to know.
func replies(all []decoded) (some []reply) {
	for _, d := range all {
		some = append(some, d.reply)
	}
	return some
}

// families runs a test for either.
func families(t *testing.T, f func(t *testing.T, v6 bool)) {
	t.Run("IPv4", func(t *testing.T) { f(t, false) })
	t.Run("IPv6", func(t *testing.T) { f(t, true) })
}

// pick is for what differs between the families.
func pick[T any](v6 bool, four, six T) T {
	if v6 {
		return six
	}
	return four
}
