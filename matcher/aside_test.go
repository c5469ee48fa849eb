package matcher_test

import (
	"encoding/binary"
	"testing"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
)

// aside is an ICMP message of a router's about a UDP packet from port 50000 to 33434.
func aside(typ, code uint8) []byte {
	packet := func(protocol byte, src, dst byte, payload []byte) []byte {
		b := make([]byte, 20)
		b[0], b[8], b[9], b[15], b[19] = 0x45, 64, protocol, src, dst
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		return append(b, payload...)
	}
	udp := []byte{0xc3, 0x50, 0x82, 0x9a, 0, 8, 0, 1}
	return packet(1, 9, 1, append([]byte{typ, code, 0, 0, 0, 0, 0, 0}, packet(17, 1, 2, udp)...))
}

// An ICMP message that quotes a packet and is no reply is told from one that is, and
// from one that quotes nothing.
func TestReadAside(t *testing.T) {
	for name, test := range map[string]struct {
		typ, code uint8
		want      bool
	}{
		"a time-exceeded":           {11, 0, false},
		"a time-exceeded of code 1": {11, 1, true},
		"a source quench":           {4, 0, true},
		"a redirect":                {5, 1, true},
		"an unreachable":            {3, 3, false},
		"an echo request":           {8, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			data := aside(test.typ, test.code)
			f := frame.Frame{Number: 7, Data: data, Length: len(data), Link: frame.Raw, Direction: frame.In}
			var m matcher.Message
			if got := m.ReadAside(&f); got != test.want {
				t.Fatal(got)
			}
			if test.want && (m.Of.SrcPort != 50000 || m.Of.DstPort != 33434 || m.Reply.ICMPType != test.typ || m.Reply.Frame != 7 || m.IsReply) {
				t.Errorf("%+v of %+v", m.Reply, m.Of)
			}
		})
	}
	short := aside(11, 1)[:40]
	var m matcher.Message
	if m.ReadAside(&frame.Frame{Data: short, Length: len(short), Link: frame.Raw}) {
		t.Error("a quote that is cut short of its ports is no packet's")
	}
}
