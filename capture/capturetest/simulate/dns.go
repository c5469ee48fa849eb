package simulate

import "encoding/binary"

// Of a DNS header (RFC 1035 section 4.1.1).
const (
	dnsHeader = 12

	dnsResponse  = 1 << 15
	dnsOpcode    = 0xf << 11
	dnsRecursion = 1 << 8 // desired
	dnsAvailable = 1 << 7 // recursion

	dnsFormatError    = 1
	dnsNoSuchName     = 3
	dnsNotImplemented = 4
)

// appendDNS appends the answer to a query (RFC 1035 section 4): there is no such
// name. Of what is no query nothing is appended.
func appendDNS(to, query []byte) []byte {
	if len(query) < dnsHeader {
		return to
	}
	flags := binary.BigEndian.Uint16(query[2:])
	if flags&dnsResponse != 0 {
		return to
	}
	question := dnsQuestion(query)
	code, count := uint16(dnsNoSuchName), uint16(1)
	switch {
	case flags&dnsOpcode != 0:
		code, count, question = dnsNotImplemented, 0, nil
	case question == nil:
		code, count = dnsFormatError, 0
	}
	to = append(to, query[:2]...)
	to = binary.BigEndian.AppendUint16(to, dnsResponse|flags&(dnsOpcode|dnsRecursion)|dnsAvailable|code)
	to = binary.BigEndian.AppendUint16(to, count)
	to = append(to, 0, 0, 0, 0, 0, 0)
	return append(to, question...)
}

// dnsQuestion is the one question of a query (RFC 1035 section 4.1.2): nil if
// there is another number of them, or it is cut.
func dnsQuestion(query []byte) []byte {
	if binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	rest := query[dnsHeader:]
	at := 0
	for at < len(rest) && rest[at] != 0 && rest[at] < 64 {
		at += 1 + int(rest[at])
	}
	end := at + 1 + 4
	if end > len(rest) || rest[at] != 0 {
		return nil
	}
	return rest[:end]
}
