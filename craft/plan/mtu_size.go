package plan

// plateaus are the sizes to try when a router doesn't tell the MTU of its
// link: RFC 1191, table 7-1.
var plateaus = [...]int{65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, MinMTU4}

// plateauBelow returns the next plateau below a size.
func plateauBelow(length int) int {
	for _, p := range plateaus {
		if p < length {
			return p
		}
	}
	return 0
}

// likely are the MTUs that links have, and those that tunnels leave of them.
var likely = [...]int{
	MinMTU4, 296, 508, 576, 1006, MinMTU6, 1300, 1380, 1400, 1412, 1420, 1428, 1440, 1450, 1454, 1460,
	1464, 1472, 1476, 1480, 1492, 1500, 2002, 4352, 8166, 9000, 17914, 32000, 65535,
}

// between returns the size to try between one that passed and one that is too
// long, which must be more than 1 apart: the middle one of the likely, or the
// one just above a likely size, which mostly fails, or else the middle.
func between(low, high int) int {
	first, after, known := len(likely), len(likely), false
	for i, size := range likely {
		known = known || size == low
		if size > low && i < first {
			first = i
		}
		if size >= high && i < after {
			after = i
		}
	}
	switch {
	case first < after:
		return likely[(first+after)/2]
	case known:
		return low + 1
	}
	return low + (high-low)/2
}

// Size is the longest packet that gets to a hop, and to those behind it up to
// the hop of the next Size.
type Size struct {
	Hop   uint8
	MTU   int // in bytes of the IP packet
	Known SizeBasis
}

// SizeBasis is how a Size is known.
type SizeBasis uint8

// The ways. The zero SizeBasis is none.
const (
	// ByLink: the longest that the first link lets out got there.
	ByLink SizeBasis = iota + 1
	// Stated: a router said so, and a packet of that size got there.
	Stated
	// Searched: a packet of that size got there, one more byte did not.
	Searched
	// AtLeast: a packet of that size got there, a longer one did not, and
	// those between weren't tried.
	AtLeast
)

// String returns the basis as the output spells it.
func (b SizeBasis) String() string {
	return [...]string{"", "link", "stated", "searched", "at-least"}[b]
}

// Found returns the size that gets to the first hop that tells of one, and one
// more for each hop where it gets smaller; the last is the path's MTU. It is
// nil if nothing was answered.
//
// It follows from First, Last, Longest, Shortest, the last End and the
// Outcomes alone, in any order: an MTU that observes those of a recorded trace,
// and was never asked for a Step, finds the same. There is one Outcome for each
// probe, and a Late one for each further reply; a probe that a late reply
// answered had a Silent one too.
func (m *MTU) Found() []Size {
	var found []Size
	for h := range m.hops() {
		if h.low == 0 || h.longest == 0 && h.high > h.limit {
			continue
		}
		size := Size{Hop: h.ttl, MTU: h.low, Known: h.known()}
		last := len(found) - 1
		switch {
		case last < 0 || size.MTU < found[last].MTU:
			found = append(found, size)
		case size.MTU == found[last].MTU && found[last].Known == AtLeast:
			found[last].Known = size.Known
		}
	}
	return found
}

// known is how the hop's size is known.
func (h *hop) known() SizeBasis {
	switch {
	case h.low == h.plan.Longest:
		return ByLink
	case h.stated == h.low:
		return Stated
	case h.high == h.low+1:
		return Searched
	}
	return AtLeast
}
