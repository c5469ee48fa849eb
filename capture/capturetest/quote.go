package capturetest

import (
	"encoding/binary"
	"errors"
)

// Quote is what a node puts into its ICMP errors of the datagram they are
// about. The zero value is what Linux does. The quoted header's checksum is
// right for the header as quoted.
type Quote struct {
	Length QuoteLength
	TTL    QuoteTTL
	ID     QuoteID
	TOS    *uint8 // nil: as received

	// Edit is ICMPError.Edit. It runs with the Network locked: it may not
	// call back into it.
	Edit func(message []byte) []byte
}

// QuoteLength is how much of the datagram an error quotes: one of the
// constants, or a number of bytes from the IP header on (28 or 128, say). A
// datagram shorter than that is quoted whole, never padded.
type QuoteLength int

// The lengths that routers choose by rule.
const (
	// QuoteRFC1812 is as much as fits in an error of 576 bytes (RFC 1812
	// section 4.3.2.3): what Linux does.
	QuoteRFC1812 QuoteLength = 0

	QuoteRFC792 QuoteLength = -1 // the IP header with its options, and 8 bytes
	QuoteFull   QuoteLength = -2 // everything
)

// maxRFC1812 is what 576 bytes leave behind an IP and an ICMP header.
const maxRFC1812 = 576 - ipHeaderLength - icmpHeaderLength

func (l QuoteLength) cut(datagram []byte) []byte {
	n := int(l)
	switch l {
	case QuoteRFC1812:
		n = maxRFC1812
	case QuoteRFC792:
		n = headerLength(datagram) + 8
	case QuoteFull:
		n = len(datagram)
	}
	return datagram[:min(n, len(datagram))]
}

// QuoteTTL is which TTL the quoted header shows.
type QuoteTTL uint8

const (
	// QuoteTTLKernel is the TTL at the moment the node gave up on the
	// datagram: decremented in the Forward hook, as received elsewhere.
	QuoteTTLKernel QuoteTTL = iota

	QuoteTTLReceived    // as received
	QuoteTTLDecremented // one less than received
	QuoteTTLSent        // restored to what the probe was sent with
)

// QuoteID is what becomes of the quoted IP ID.
type QuoteID uint8

// The IP IDs seen in quotes.
const (
	QuoteIDReceived QuoteID = iota
	QuoteIDSwapped          // its two bytes exchanged
	QuoteIDZero
)

func (q *Quote) validate() error {
	if q.Length < QuoteFull || q.TTL > QuoteTTLSent || q.ID > QuoteIDZero {
		return errors.New("no such quote length, TTL or ID")
	}
	return nil
}

// datagram returns p as the node quotes it, at full length.
func (q *Quote) datagram(p *packet) []byte {
	ip := append([]byte{}, p.ip...)
	ip[offsetTTL] = q.TTL.of(p)
	switch q.ID {
	case QuoteIDSwapped:
		ip[offsetID], ip[offsetID+1] = ip[offsetID+1], ip[offsetID]
	case QuoteIDZero:
		ip[offsetID], ip[offsetID+1] = 0, 0
	}
	if q.TOS != nil {
		ip[offsetTOS] = *q.TOS
	}
	fixHeaderChecksum(ip)
	return ip
}

func (t QuoteTTL) of(p *packet) uint8 {
	switch t {
	case QuoteTTLReceived:
		return p.arrived
	case QuoteTTLDecremented:
		return max(p.arrived, 1) - 1
	case QuoteTTLSent:
		return p.sent
	}
	return p.ttl()
}

// WithTTL returns a copy of an IPv4 datagram, header checksum included, as it
// looks with another TTL: a sent probe as it arrives at a later hop. The
// datagram must have a whole header.
func WithTTL(datagram []byte, ttl uint8) []byte {
	ip := append([]byte{}, datagram...)
	ip[offsetTTL] = ttl
	fixHeaderChecksum(ip)
	return ip
}

func fixHeaderChecksum(ip []byte) {
	header := ip[:headerLength(ip)]
	binary.BigEndian.PutUint16(header[offsetChecksum:], 0)
	binary.BigEndian.PutUint16(header[offsetChecksum:], checksum(header))
}
