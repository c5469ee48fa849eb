package craft_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// transportAt is where the transport header begins in a frame over Ethernet.
func transportAt(p craft.Probe) int {
	if p.Dst.Is6() {
		return 14 + 40
	}
	return 14 + 20
}

func TestEchoesHaveOneChecksumAndCount(t *testing.T) {
	for _, protocol := range []layers.IPProtocol{layers.IPProtocolICMPv4, layers.IPProtocolICMPv6} {
		p := with(probe(), over(protocol))
		if protocol == layers.IPProtocolICMPv6 {
			p = probe6(protocol)
		}
		b, at := newBuilder(t, link), transportAt(p)
		first, firstKey := frameOf(t, b, p)
		seen := map[uint64]bool{}
		for i := range 1 << 16 {
			p.ID, p.TTL = 0xbeef+uint16(i), uint8(i)
			data, key := frameOf(t, b, p)
			if got := binary.BigEndian.Uint16(data[at+2:]); got != binary.BigEndian.Uint16(first[at+2:]) || got == 0 || got == 0xffff {
				t.Fatalf("%v, probe %d: checksum %#x", protocol, i, got)
			}
			if uint16(key.Token) != uint16(firstKey.Token)+uint16(i) || seen[key.Cookie] {
				t.Fatalf("%v, probe %d: key %+v after %+v", protocol, i, key, firstKey)
			}
			seen[key.Cookie] = true
		}
	}
}

func TestEchoChecksumAndSequenceAreKeyed(t *testing.T) {
	p := probe6(layers.IPProtocolICMPv6)
	seen := map[[2]uint16]bool{}
	for i := range uint64(100) {
		data, key := frameOf(t, newKeyed(t, i), p)
		seen[[2]uint16{binary.BigEndian.Uint16(data[transportAt(p)+2:]), uint16(key.Token)}] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d pairs of checksum and sequence number under 100 secrets", len(seen))
	}
}

// udp is an IPv4 datagram from the probe's destination that answers it.
func udp(of craft.Probe, srcPort uint16, payload string) []byte {
	b := []byte{0x45, 0, 0, byte(28 + len(payload)), 0, 0, 0, 0, 64, 17, 0, 0}
	b = append(append(b, of.Dst.AsSlice()...), of.Src.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, srcPort)
	b = binary.BigEndian.AppendUint16(b, of.SrcPort)
	return append(append(b, 0, byte(8+len(payload)), 0, 0), payload...)
}

// A DNS server repeats the ID of the query: that is how its answer finds the
// probe.
func TestAnswerOfDNSServer(t *testing.T) {
	p := with(probe(), asDNS)
	data, key := frameOf(t, newBuilder(t, link), p)
	query := string(data[14+28 : 14+28+len(craft.DNSQuery)])
	response := query[:2] + "\x81\x80" + query[4:]
	tests := []struct {
		name  string
		ip    []byte
		view  craft.View
		finds bool
	}{
		{"the response", udp(p, 53, response), craft.PortQuery, true},
		{"of another query", udp(p, 53, "\x00\x01"+response[2:]), craft.PortQuery, false},
		{"with ID 0", udp(p, 53, "\x00\x00"+response[2:]), craft.Flow, true},
		{"cut in its header", udp(p, 53, response[:11]), craft.Flow, true},
		{"cut behind its header", udp(p, 53, response[:12]), craft.PortQuery, true},
		{"without a payload", udp(p, 53, ""), craft.Flow, true},
		{"the query, echoed", udp(p, 53, query), craft.Flow, true},
		{"from another port", udp(p, 54, response), craft.Flow, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			packet, err := craft.ParsePacket(test.ip)
			if err != nil {
				t.Fatal(err)
			}
			var of craft.Key
			a, has, err := packet.Answer(&of)
			if a != craft.Datagram || err != nil || has != test.view || key.Same(has, &of) != test.finds {
				t.Errorf("answer %v, of %+v in view %v, error %v; the probe is %+v", a, of, has, err, key)
			}
			if test.finds && key.Hash(has) != of.Hash(has) {
				t.Error("the same key in a view, with another hash")
			}
		})
	}
}

// Echoes of flows that follow each other have checksums that do, but 0 and 0xffff.
func TestEchoChecksumsOfFlows(t *testing.T) {
	p := with(probe(), over(layers.IPProtocolICMPv4))
	b := newBuilder(t, link)
	checksum := func(flow uint16) int {
		p.Flow = flow
		data, _ := frameOf(t, b, p)
		return int(binary.BigEndian.Uint16(data[transportAt(p)+2:]))
	}
	first := checksum(0)
	for _, flow := range []uint16{1, 2, 3, 1000, 0xfffd} {
		if got, want := checksum(flow), (first-1+int(flow))%0xfffe+1; got != want {
			t.Errorf("flow %d has the checksum %#04x, flow 0 %#04x", flow, got, first)
		}
	}
}

// A query is one only on port 53, and a cookie is none.
func TestQueryIsOfDNSAlone(t *testing.T) {
	b := newBuilder(t, link)
	p := with(probe(), asDNS)
	data, key := frameOf(t, b, p)
	if key.Query == 0 || key.HasCookie {
		t.Errorf("a query has the key %+v", key)
	}
	for left, want := range map[int]uint16{12: key.Query, 11: 0} {
		if quoted, err := craft.KeyOf(data[14 : 14+28+left]); err != nil || quoted.Query != want {
			t.Errorf("a query of which %d bytes are quoted has the key %+v, %v", left, quoted, err)
		}
	}
	p.DstPort = 5353
	if _, key := frameOf(t, b, p); key.Query != 0 {
		t.Errorf("a query to port 5353 has the key %+v", key)
	}
	p = with(probe(), func(p *craft.Probe) { p.DstPort = 53 })
	if _, key := frameOf(t, b, p); key.Query != 0 || !key.HasCookie {
		t.Errorf("a pattern to port 53 has the key %+v", key)
	}
}

// tcpAnswer is an IPv4 segment that answers a probe.
func tcpAnswer(of craft.Probe, flags byte, seq, ack uint32) []byte {
	b := []byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0}
	b = append(append(b, of.Dst.AsSlice()...), of.Src.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, of.DstPort)
	b = binary.BigEndian.AppendUint16(b, of.SrcPort)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	return append(b, 0x50, flags, 0, 0, 0, 0, 0, 0)
}

// What RFC 9293 (sections 3.5.2 and 3.10.7) makes a host answer finds the probe.
func TestTCPAnswersFindTheirProbes(t *testing.T) {
	const fin, syn, rst, ack = 1, 2, 4, 16
	tests := []struct {
		name   string
		flags  craft.TCPFlags
		answer func(p craft.Probe, sent, acked uint32) []byte
		want   craft.Answer
	}{
		{"an open port, to a SYN", 0, func(p craft.Probe, sent, _ uint32) []byte {
			return tcpAnswer(p, syn|ack, 99, sent+1)
		}, craft.SYNACK},
		{"a closed port, to a SYN", 0, func(p craft.Probe, sent, _ uint32) []byte {
			return tcpAnswer(p, rst|ack, 0, sent+1)
		}, craft.RST},
		{"a closed port, to a FIN", craft.FlagFIN, func(p craft.Probe, sent, _ uint32) []byte {
			return tcpAnswer(p, rst|ack, 0, sent+1)
		}, craft.RST},
		{"any port, to an ACK", craft.FlagACK, func(p craft.Probe, _, acked uint32) []byte {
			return tcpAnswer(p, rst, acked, 0)
		}, craft.RST},
		{"any port, to a SYN-ACK", craft.FlagSYN | craft.FlagACK, func(p craft.Probe, _, acked uint32) []byte {
			return tcpAnswer(p, rst, acked, 0)
		}, craft.RST},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := with(probe(), over(layers.IPProtocolTCP), shortest)
			p.TCP.Flags = test.flags
			data, key := frameOf(t, newBuilder(t, link), p)
			h := data[transportAt(p):]
			packet, err := craft.ParsePacket(test.answer(p, binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:])))
			if err != nil {
				t.Fatal(err)
			}
			var of craft.Key
			a, has, err := packet.Answer(&of)
			if a != test.want || has != craft.PortToken || err != nil || !key.Same(has, &of) {
				t.Errorf("answer %v, of %+v in view %v, error %v; the probe is %+v", a, of, has, err, key)
			}
		})
	}
}

// A UDP checksum of 0 means none, and one of 0xffff may be meant as 0 (RFC 768).
// Payloads that begin with the bits 10 are taken for RTCP's (RFC 3550).
func TestUDPChecksumIsNeitherZeroNorMakesRTCP(t *testing.T) {
	const payload = 14 + 40 + 8 // behind the headers
	b, p := newBuilder(t, link), probe6(0)
	for i := range 1 << 18 {
		p.ID, p.TTL = uint16(i), uint8(i>>16)
		frame, key, err := b.Frame(&p)
		if err != nil || key.Token == 0 || key.Token >= 0xffff {
			t.Fatalf("probe %d: checksum %#x, error %v", i, key.Token, err)
		}
		if frame[payload]>>6 == 2 {
			t.Fatalf("probe %d: payload % x", i, frame[payload:])
		}
	}
}
