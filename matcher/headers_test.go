package matcher_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
)

// secret is what the user of another program sends.
const secret = "AUTH hunter2, which nobody else is to read"

// packet6 is an IPv6 packet whose first header after IPv6's is next.
func packet6(next byte, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, next, 60
	set16(b, 4, uint16(len(payload)))
	copy(b[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
	copy(b[24:], netip.MustParseAddr("2001:db8::7").AsSlice())
	return append(b, payload...)
}

// tcp is a TCP header with so many bytes of options.
func tcp(options int) []byte {
	b := make([]byte, 20+options)
	b[12] = byte(20+options) / 4 << 4
	return b
}

func TestHeadersShowNothingOfWhatIsSaid(t *testing.T) {
	say := func(b []byte) []byte { return append(slices.Clip(b), secret...) }
	others := datagram(host, target, 5353, 53, []byte(secret))
	fragment := datagram(host, target, 5353, 53, []byte(secret))
	fragment[7] = 1
	options := append(slices.Concat([]byte{0x46}, others[1:20], []byte{1, 1, 1, 0}), others[20:]...)
	udp6 := others[20:]
	tests := map[string]struct {
		packet []byte
		kept   int
	}{
		"UDP":                    {others, 28},
		"UDP with IP options":    {options, 32},
		"UDP, cut in its header": {others[:25], 25},
		"a later fragment":       {fragment, 20},
		"TCP":                    {packet(target, host, 6, 60, say(tcp(0))), 40},
		"TCP with options":       {packet(target, host, 6, 60, say(tcp(12))), 52},
		"TCP that claims no header, and has one": {
			packet(target, host, 6, 60, append(make([]byte, 20), secret...)), 40},
		"UDP-Lite":                   {packet(target, host, 136, 60, []byte(secret)), 28},
		"another protocol":           {packet(target, host, 47, 60, []byte(secret)), 20},
		"an echo request":            {packet(target, host, 1, 60, say([]byte{8, 0, 0, 0, 1, 2, 3, 4})), 28},
		"an echo reply":              {packet(target, host, 1, 60, say([]byte{0, 0, 0, 0, 1, 2, 3, 4})), 28},
		"a timestamp":                {packet(target, host, 1, 60, say([]byte{13, 0, 0, 0, 1, 2, 3, 4})), 28},
		"an error about UDP":         {icmpError(router, 11, 0, others, 1000), 28 + 28},
		"an error about TCP":         {icmpError(router, 3, 3, packet(host, target, 6, 1, say(tcp(0))), 1000), 28 + 28},
		"an error with IP options":   {icmpError(router, 11, 0, options, 1000), 28 + 32},
		"a redirect":                 {icmpError(router, 5, 1, others, 1000), 28 + 28},
		"an error about a fragment":  {icmpError(router, 11, 1, fragment, 1000), 28 + 20},
		"an error about an error":    {icmpError(router, 3, 1, icmpError(host, 3, 3, others, 1000), 1000), 28 + 28},
		"an error that quotes junk":  {icmpError(router, 11, 0, []byte(secret), 1000), 28},
		"an error that quotes less":  {icmpError(router, 11, 0, others, 24), 28 + 24},
		"IPv6 UDP":                   {packet6(17, udp6), 48},
		"IPv6 UDP behind options":    {packet6(60, slices.Concat([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp6)), 56},
		"IPv6, a later fragment":     {packet6(44, slices.Concat([]byte{17, 0, 1, 0, 0, 0, 0, 1}, udp6)), 48},
		"IPv6, a header that is cut": {packet6(60, []byte{17, 9, 'A', 'U', 'T', 'H'}), 40},
		"ICMPv6 echo":                {packet6(58, say([]byte{128, 0, 0, 0, 1, 2, 3, 4})), 48},
		"ICMPv6 error":               {packet6(58, slices.Concat([]byte{3, 0, 0, 0, 0, 0, 0, 0}, packet6(17, udp6))), 48 + 48},
		"not IP at all":              {[]byte(secret), 0},
	}
	links := map[string]struct {
		link   frame.LinkType
		header []byte
	}{
		"raw":      {frame.Raw, nil},
		"Ethernet": {frame.Ethernet, append(make([]byte, 12), 0x08, 0x00)},
		"VLAN":     {frame.Ethernet, append(make([]byte, 12), 0x81, 0x00, 0, 5, 0x08, 0x00)},
	}
	for name, tt := range tests {
		for over, l := range links {
			t.Run(name+" over "+over, func(t *testing.T) {
				header := slices.Clone(l.header)
				if n := len(header); n > 0 && tt.packet[0]>>4 == 6 {
					header[n-2], header[n-1] = 0x86, 0xdd
				}
				kept := len(header) + tt.kept
				data := slices.Concat(header, tt.packet)
				f := &frame.Frame{Link: l.link, Data: data, Length: len(data)}
				if got := matcher.Headers(f); string(got) != string(data[:kept]) {
					t.Errorf("%d bytes of %d, want %d", len(got), len(data), kept)
				}
			})
		}
	}
}

// A frame may hold anything; its headers are always how it begins.
func FuzzHeaders(f *testing.F) {
	f.Add(uint16(frame.Ethernet), append(append(make([]byte, 12), 0x08, 0x00), icmpError(router, 11, 0, datagram(host, target, 1, 2, []byte(secret)), 1000)...))
	f.Add(uint16(frame.Raw), packet6(60, []byte{17, 0, 1, 4, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		cut := matcher.Headers(&frame.Frame{Link: frame.LinkType(link), Data: data, Length: len(data)})
		if string(cut) != string(data[:len(cut)]) {
			t.Fatal("it is no beginning of the frame")
		}
		if again := matcher.Headers(&frame.Frame{Link: frame.LinkType(link), Data: cut, Length: len(data)}); len(again) > len(cut) {
			t.Errorf("%d bytes are headers, and of these %d", len(cut), len(again))
		}
	})
}
