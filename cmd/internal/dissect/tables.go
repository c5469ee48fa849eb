package dissect

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/craft"
)

// spec is a field of a header: where it is, and how it is shown.
type spec struct {
	name      string
	bit, bits int // from the first bit of the header
	show      func(v uint64, b []byte) string
}

// field reads the field from a header that begins at a byte of the frame.
func (s *spec) field(header []byte, at int) Field {
	b := header[s.bit/8 : (s.bit+s.bits+7)/8]
	f := Field{Name: s.name, Bit: 8*at + s.bit, Bits: s.bits, Bytes: b, show: s.show}
	if len(b) <= 8 {
		for _, octet := range b {
			f.Value = f.Value<<8 | uint64(octet)
		}
		f.Value >>= uint(8*len(b) - s.bit%8 - s.bits)
		if s.bits < 64 {
			f.Value &= 1<<s.bits - 1
		}
	}
	return f
}

// The headers: IEEE 802.3 and 802.1Q; RFC 791 and 2474; RFC 8200; RFC 768; RFC 3828;
// RFC 792 and 4443; RFC 9293.
var (
	ethernetFields = []spec{
		{"destination", 0, 48, showMAC}, {"source", 48, 48, showMAC}, {"type", 96, 16, showEtherType},
	}
	vlanFields = []spec{
		{"priority", 0, 3, number}, {"drop eligible", 3, 1, number}, {"VLAN", 4, 12, number}, {"type", 16, 16, showEtherType},
	}
	ipv4Fields = []spec{
		{"version", 0, 4, number}, {"header length", 4, 4, showWords}, {"DSCP", 8, 6, showDSCP}, {"ECN", 14, 2, showECN},
		{"total length", 16, 16, number}, {"ID", 32, 16, showID}, {"flags", 48, 3, showFragmentFlags}, {"fragment offset", 51, 13, number},
		{"TTL", 64, 8, number}, {"protocol", 72, 8, showProtocol}, {"header checksum", 80, 16, hexadecimal},
		{"source", 96, 32, showAddr}, {"destination", 128, 32, showAddr},
	}
	ipv6Fields = []spec{
		{"version", 0, 4, number}, {"DSCP", 4, 6, showDSCP}, {"ECN", 10, 2, showECN}, {"flow label", 12, 20, hexadecimal},
		{"payload length", 32, 16, number}, {"next header", 48, 8, showProtocol}, {"hop limit", 56, 8, number},
		{"source", 64, 128, showAddr}, {"destination", 192, 128, showAddr},
	}
	udpFields = []spec{
		{"source port", 0, 16, number}, {"dest. port", 16, 16, number}, {"length", 32, 16, number}, {"checksum", 48, 16, hexadecimal},
	}
	udpLiteFields = []spec{
		{"source port", 0, 16, number}, {"dest. port", 16, 16, number}, {"coverage", 32, 16, number}, {"checksum", 48, 16, hexadecimal},
	}
	tcpFields = []spec{
		{"source port", 0, 16, number}, {"dest. port", 16, 16, number}, {"sequence", 32, 32, number}, {"acknowledged", 64, 32, number},
		{"data offset", 96, 4, showWords}, {"flags", 104, 8, showTCPFlags}, {"window", 112, 16, number},
		{"checksum", 128, 16, hexadecimal}, {"urgent pointer", 144, 16, number},
	}
	echoFields = []spec{
		{"type", 0, 8, number}, {"code", 8, 8, number}, {"checksum", 16, 16, hexadecimal},
		{"identifier", 32, 16, showID}, {"sequence", 48, 16, number},
	}
	icmpFields = []spec{
		{"type", 0, 8, number}, {"code", 8, 8, number}, {"checksum", 16, 16, hexadecimal}, {"rest of header", 32, 32, showBytes},
	}
	// payloadFields are what package craft puts into a probe's payload.
	payloadFields = []spec{
		{"tuned word", 0, 16, hexadecimal}, {"cookie", 16, 64, hexadecimal},
	}
)

// transport is a protocol behind IP.
type transport struct {
	name       string
	fields     []spec
	length     func(b []byte) int              // of the header
	pseudo     func(*craft.Packet, int) uint64 // the sum of the pseudo-header
	identified bool                            // its payload has the probe's identity
	quotes     bool                            // it is an ICMP error
}

// transportOf is the protocol that is behind p's header, where b, which is not
// empty, begins; nil if it isn't known.
func transportOf(p *craft.Packet, b []byte) *transport {
	switch {
	case p.Fragment:
		return nil
	case p.Protocol == layers.IPProtocolUDP:
		return &transport{name: "UDP", fields: udpFields, length: fixed(8), pseudo: pseudoSum, identified: true}
	case p.Protocol == layers.IPProtocolUDPLite:
		return &transport{name: "UDP-Lite", fields: udpLiteFields, length: fixed(8), pseudo: pseudoSum, identified: true}
	case p.Protocol == layers.IPProtocolTCP:
		return &transport{name: "TCP", fields: tcpFields, length: tcpLength, pseudo: pseudoSum}
	case !isICMP(p):
		return nil
	}
	t := &transport{name: "ICMP", fields: icmpFields, length: fixed(8), pseudo: noPseudo}
	echo, reply, errors := byte(layers.ICMPv4TypeEchoRequest), byte(layers.ICMPv4TypeEchoReply), []byte{3, 4, 5, 11, 12}
	if p.Is6() {
		t.name, t.pseudo = "ICMPv6", pseudoSum
		echo, reply, errors = layers.ICMPv6TypeEchoRequest, layers.ICMPv6TypeEchoReply, []byte{1, 2, 3, 4}
	}
	if b[0] == echo || b[0] == reply {
		t.fields, t.identified = echoFields, true
	}
	t.quotes = strings.IndexByte(string(errors), b[0]) >= 0
	return t
}

func fixed(n int) func([]byte) int { return func([]byte) int { return n } }

func tcpLength(b []byte) int {
	if len(b) <= 12 {
		return 20
	}
	return max(20, int(b[12]>>4)*4)
}

func noPseudo(*craft.Packet, int) uint64 { return 0 }

// pseudoSum is the sum of the pseudo-header (RFC 768; RFC 8200, section 8.1).
func pseudoSum(p *craft.Packet, length int) uint64 {
	sum := uint64(p.Protocol) + uint64(length)
	if p.Is6() {
		return sum + onesSum(p.Header[8:40])
	}
	return sum + onesSum(p.Header[12:16]) + onesSum(finalDestination(p.Header))
}

// finalDestination is where an IPv4 packet goes in the end: what its source
// route, if it has one that is not used up, ends with (RFC 791, section 3.1).
func finalDestination(header []byte) []byte {
	const loose, strict, noOperation = 131, 137, 1
	options := header[20:]
	for len(options) > 2 {
		kind, length := options[0], int(options[1])
		switch {
		case kind == noOperation:
			options = options[1:]
			continue
		case kind == 0 || length < 2 || length > len(options):
			return header[16:20]
		case (kind == loose || kind == strict) && length >= 7 && int(options[2]) <= length:
			return options[length-4 : length]
		}
		options = options[length:]
	}
	return header[16:20]
}

func number(v uint64, _ []byte) string { return fmt.Sprint(v) }

// hexadecimal has all digits of the bytes, or of an IPv6 flow label's 20 bits.
func hexadecimal(v uint64, b []byte) string {
	if len(b) == 3 {
		return fmt.Sprintf("0x%05x", v)
	}
	return fmt.Sprintf("0x%0*x", 2*len(b), v)
}

func showID(v uint64, _ []byte) string { return fmt.Sprintf("0x%04x (%d)", v, v) }

func showMAC(_ uint64, b []byte) string { return net.HardwareAddr(b).String() }

func showAddr(_ uint64, b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

// showBytes shows at most 8.
func showBytes(_ uint64, b []byte) string {
	const most = 8
	if len(b) <= most {
		return "0x" + hex.EncodeToString(b)
	}
	return fmt.Sprintf("%d bytes", len(b))
}

func showWords(v uint64, _ []byte) string { return fmt.Sprintf("%d (%d bytes)", v, 4*v) }

func showEtherType(v uint64, _ []byte) string {
	switch v {
	case 0x0800:
		return "0x0800 (IPv4)"
	case 0x86dd:
		return "0x86dd (IPv6)"
	case 0x8100, 0x88a8, 0x9100:
		return fmt.Sprintf("0x%04x (VLAN)", v)
	}
	return fmt.Sprintf("0x%04x", v)
}

func showProtocol(v uint64, _ []byte) string {
	if known := craft.ProtocolOf(layers.IPProtocol(v)); known != nil {
		return fmt.Sprintf("%d (%s)", v, known.Title)
	}
	return fmt.Sprint(v)
}

// The names of code points (RFC 2474, 2597, 3246, 5865, 8622).
var dscpNames = map[uint64]string{
	0: "CS0", 1: "LE", 8: "CS1", 16: "CS2", 24: "CS3", 32: "CS4", 40: "CS5", 48: "CS6", 56: "CS7", 46: "EF", 44: "VOICE-ADMIT",
	10: "AF11", 12: "AF12", 14: "AF13", 18: "AF21", 20: "AF22", 22: "AF23", 26: "AF31", 28: "AF32", 30: "AF33", 34: "AF41", 36: "AF42", 38: "AF43",
}

func showDSCP(v uint64, _ []byte) string {
	if name, known := dscpNames[v]; known {
		return fmt.Sprintf("%d (%s)", v, name)
	}
	return fmt.Sprint(v)
}

// showECN has the names of RFC 3168, section 5.
func showECN(v uint64, _ []byte) string {
	return fmt.Sprintf("%d (%s)", v, [...]string{"not-ECT", "ECT(1)", "ECT(0)", "CE"}[v])
}

func showFragmentFlags(v uint64, _ []byte) string {
	return flagNames(v, []string{"MF", "DF", "reserved"})
}

func showTCPFlags(v uint64, _ []byte) string {
	return flagNames(v, []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"})
}

// flagNames are the names of the bits that are set, the lowest first.
func flagNames(v uint64, names []string) string {
	var set []string
	for i, name := range names {
		if v>>i&1 == 1 {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return "none"
	}
	return strings.Join(set, " ")
}

// ICMPHeader is the length of the header of an ICMP error, before its quote.
const ICMPHeader = 8

// Quoted is what an ICMP error quotes, given the packet that carries it: as much as its
// extension, if it has one at offset bytes, and the quoted packet's own length
// leave of it.
func Quoted(outer *craft.Packet, offset int) []byte {
	if len(outer.Payload) < ICMPHeader {
		return nil
	}
	quote := outer.Payload[ICMPHeader:]
	if offset > 0 && offset < len(quote) {
		quote = quote[:offset]
	}
	return withoutPadding(quote)
}

// withoutPadding cuts what is behind the packet that b begins with.
func withoutPadding(b []byte) []byte {
	length := 0
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		length = int(binary.BigEndian.Uint16(b[2:]))
	case len(b) >= 40 && b[0]>>4 == 6:
		length = 40 + int(binary.BigEndian.Uint16(b[4:]))
	}
	if length >= 28 && length < len(b) {
		return b[:length]
	}
	return b
}
