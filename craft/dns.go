package craft

import "encoding/binary"

// DNSQuery is a Payload for probes to port 53: a query for the name servers of
// the root, which any DNS server answers (RFC 1035, section 4.1). Its ID is set
// for each probe.
const DNSQuery = "\x00\x00" + // the ID
	"\x01\x00" + // a query, recursion desired
	"\x00\x01\x00\x00\x00\x00\x00\x00" + // one question, no records
	"\x00\x00\x02\x00\x01" // the root, NS, IN

const (
	dnsPort   = 53
	dnsHeader = 12
)

// isQuery reports whether a payload is, as far as its header tells, a DNS query:
// standard, with one question, and no records but additional ones (RFC 1035,
// section 4.1.1). It never is where there is a cookie, whose last byte is that
// of a count which is 0 here.
func isQuery(payload []byte) bool {
	const responseAndOpcode = 0xf800
	return len(payload) >= dnsHeader &&
		binary.BigEndian.Uint16(payload[2:])&responseAndOpcode == 0 &&
		binary.BigEndian.Uint16(payload[4:]) == 1 &&
		binary.BigEndian.Uint32(payload[6:]) == 0
}

// isResponse reports whether a payload may be a DNS response.
func isResponse(payload []byte) bool { return len(payload) >= dnsHeader && payload[2]&0x80 != 0 }

// setQuery notes the ID of a DNS query.
func (k *Key) setQuery(payload []byte) {
	if k.DstPort == dnsPort && isQuery(payload) {
		k.Query = binary.BigEndian.Uint16(payload)
	}
}
