package craft_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// Every protocol says all that other packages ask.
func TestProtocolsAreComplete(t *testing.T) {
	names, four, six := map[string]bool{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, p := range craft.Protocols() {
		if craft.ProtocolOf(p.Number) != p {
			t.Errorf("%s is not the protocol %d", p.Title, p.Number)
		}
		if p.Name == "" || names[p.Name] || p.Title == "" || !strings.HasSuffix(p.Probe, " probe") {
			t.Errorf("names %q, %q, %q", p.Name, p.Title, p.Probe)
		}
		names[p.Name] = true
		if p.HasPorts() == p.Carries(craft.EchoSequence) {
			t.Errorf("%s has ports: %v", p.Title, p.HasPorts())
		}
		if !p.ReachesOver(four) && !p.ReachesOver(six) || p.ReachesOver(netip.Addr{}) {
			t.Errorf("%s reaches over IPv4: %v, over IPv6: %v", p.Title, p.ReachesOver(four), p.ReachesOver(six))
		}
		f := p.Filter(40123)
		if all := f.Packets + f.From + f.To; f.Packets == "" || f.From == f.To || !strings.Contains(all, "40123") || strings.Contains(all, "PORT") {
			t.Errorf("%s: filter %q", p.Title, f)
		}
	}
	if len(names) < 5 {
		t.Errorf("only %v", names)
	}
	if none := craft.ProtocolOf(layers.IPProtocolSCTP); none != nil || none.HasPorts() || none.Carries(0) || none.ReachesOver(four) {
		t.Errorf("SCTP is %+v", none)
	}
}

func TestNamesOfTokens(t *testing.T) {
	for token, want := range map[craft.Token]string{craft.Checksum: "checksum", craft.EchoSequence: "sequence number", craft.Sequence: "sequence number"} {
		if token.String() != want {
			t.Errorf("%q, want %q", token, want)
		}
	}
}

// UDP-Lite states no length: the IP header says where a quote ends, and what follows it,
// padding or an extension, is no cookie.
func TestKeyOfUDPLiteQuote(t *testing.T) {
	p := with(probe(), over(layers.IPProtocolUDPLite))
	p.Length = 38 // header and identity, no pattern
	data, key := frameOf(t, newBuilder(t, craft.Link{}), p)
	for name, test := range map[string]struct {
		quote  []byte
		cookie bool
	}{
		"whole":           {data, true},
		"padded":          {append(data[:len(data):len(data)], 0xff, 0xff), true},
		"28 bytes":        {data[:28], false},
		"cookie cut off":  {data[:37], false},
		"padded header":   {append(lengthened(data[:28:28], 28), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), false},
		"without a token": {data[:24], false},
	} {
		got, err := craft.KeyOf(test.quote)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := key
		if !test.cookie {
			want.Cookie, want.HasCookie = 0, false
		}
		if len(test.quote) == 24 {
			want.Token, want.Short = 0, true
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// lengthened is an IPv4 packet that states another length.
func lengthened(ip []byte, length byte) []byte {
	b := append([]byte{}, ip...)
	b[2], b[3] = 0, length
	return b
}

// What answers a UDP-Lite probe is a datagram from its port, which may return the
// cookie; a datagram of UDP is none.
func TestAnswerOverUDPLite(t *testing.T) {
	p := with(probe(), over(layers.IPProtocolUDPLite))
	data, key := frameOf(t, newBuilder(t, craft.Link{}), p)
	answer := udp(p, p.DstPort, string(data[28:]))
	for _, protocol := range []layers.IPProtocol{layers.IPProtocolUDPLite, layers.IPProtocolUDP} {
		answer[9] = byte(protocol)
		packet, err := craft.ParsePacket(answer)
		if err != nil {
			t.Fatal(err)
		}
		var of craft.Key
		kind, view, err := packet.Answer(&of)
		if err != nil || kind != craft.Datagram || view != craft.Flow || of.Cookie != key.Cookie || of.Protocol != protocol {
			t.Errorf("%v: %v, %v, %+v, %v", protocol, kind, view, of, err)
		}
		if same := of.Same(craft.Flow, &key) && of.Same(craft.Cookie, &key); same != (protocol == layers.IPProtocolUDPLite) {
			t.Errorf("%v answers a UDP-Lite probe: %v", protocol, same)
		}
	}
}
