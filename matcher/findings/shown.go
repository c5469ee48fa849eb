package findings

import (
	"fmt"
	"net/netip"
)

// The keys of what quotes show, and their words. The zero value of each is what
// should be quoted; a finding's sentence has no words for it.

// addressChange says which addresses are quoted as others.
type addressChange struct{ src, dst readdressed }

// readdressed is an address that is quoted as another, if it is.
type readdressed struct {
	is           bool
	sent, quoted netip.Addr
}

func (r readdressed) String() string { return fmt.Sprintf("%v as %v", r.sent, r.quoted) }

// String says which addresses are quoted as what.
func (c addressChange) String() string {
	switch {
	case c.src.is && c.dst.is:
		return fmt.Sprintf("source %v and destination %v", c.src, c.dst)
	case c.src.is:
		return fmt.Sprintf("source %v", c.src)
	}
	return fmt.Sprintf("destination %v", c.dst)
}

// portChange says which port, or echo identifier, is quoted as another.
type portChange struct {
	what         portSort
	isID         bool   // the source port is an identifier
	sent, quoted uint16 // of sourcePortTo
}

type portSort uint8

const (
	portsAsSent     portSort = iota
	sourcePortTo             // a known source port is quoted as a known one
	sourcePort               // probes have several source ports, which are quoted as others
	destinationPort          // destination ports are
)

// String says which port is quoted as what.
func (c portChange) String() string {
	name := "port"
	if c.isID {
		name = "identifier"
	}
	switch c.what {
	case sourcePortTo:
		return fmt.Sprintf("source %s %d as %d", name, c.sent, c.quoted)
	case sourcePort:
		return fmt.Sprintf("the source %s as another", name)
	}
	return "the destination port as another"
}

// checksumChange says by how much quoted checksums differ from those sent.
type checksumChange struct {
	differs bool
	isAlike bool   // all by the same amount
	by      uint16 // in ones' complement, if isAlike
}

// String says how the checksums differ.
func (c checksumChange) String() string {
	if c.isAlike {
		return fmt.Sprintf("a checksum that differs by %#04x", c.by)
	}
	return "a checksum that differs from the one sent"
}

// swapped is how some routers quote numbers.
const swapped = "with its bytes swapped"

// idChange says how IPv4 IDs are quoted.
type idChange uint8

const (
	idAsSent idChange = iota
	idSwapped
	idZero
	idOther
)

// String says how IDs are quoted.
func (c idChange) String() string {
	return [...]string{idAsSent: "", idSwapped: swapped, idZero: "as zero", idOther: "as something else"}[c]
}

// lengthChange says how lengths are quoted.
type lengthChange struct {
	by            int  // so much longer than sent; 0 if that differs between probes
	sent          int  // the length of all probes; 0 if they have several
	isSwapped     bool // the bytes are in the other order
	mayBeFragment bool // the quote may be one of a fragment
}

// String says how lengths are quoted.
func (c lengthChange) String() string {
	words := ""
	switch {
	case c.isSwapped && c.sent != 0:
		return fmt.Sprintf("as %d, which is %d %s", c.sent+c.by, c.sent, swapped)
	case c.isSwapped:
		return swapped
	case c.sent != 0:
		words = fmt.Sprintf("as %d instead of %d", c.sent+c.by, c.sent)
	case c.by < 0:
		words = fmt.Sprintf("as %d less than sent", -c.by)
	default:
		words = fmt.Sprintf("as %d more than sent", c.by)
	}
	if c.mayBeFragment {
		words += " (fragments, if the path has such a link)"
	}
	return words
}

// dfChange says how the don't-fragment flag is quoted.
type dfChange uint8

const (
	dfAsSent dfChange = iota
	dfSet
	dfCleared
)

// String says how the flag is quoted.
func (c dfChange) String() string {
	return [...]string{dfAsSent: "", dfSet: "as set, which it was not", dfCleared: "as cleared, though it was set"}[c]
}

// ttlSort is a sort of quoted TTL.
type ttlSort uint8

const (
	normalTTL   ttlSort = iota // 1
	usedUpTTL                  // 0: decremented before it was quoted, or forwarded so
	restoredTTL                // as it was sent: by something that rewrites quotes
	aboveTTL                   // above that: no way to come by
	raisedTTL                  // between: a tunnel's, if it rises from hop to hop
)

// String says what is quoted.
func (s ttlSort) String() string {
	return [...]string{
		normalTTL:   "",
		usedUpTTL:   "TTL 0, where 1 should be left",
		restoredTTL: "the TTL as it was sent",
		aboveTTL:    "a TTL higher than the one sent",
		raisedTTL:   "a TTL that is neither 1 nor the one sent",
	}[s]
}
