package frame

import (
	"net/netip"
	"time"
)

// Gap is a time during which a capture lost frames, or could not get any. Nothing
// can be concluded from frames that are missing then.
type Gap struct {
	// From and To are when, by the clock that stamps frames. To is zero while the gap
	// lasts: the same Gap comes again, with its To, when it is over.
	From, To time.Time

	Cause  Cause
	Frames int        // how many frames were lost; 0 if nobody knows
	Addr   netip.Addr // of AddressRemoved: which
}

// Cause is why frames are missing from a capture.
type Cause uint8

// The causes of a Gap.
const (
	Overrun        Cause = iota // frames came faster than they were read
	NoCarrier                   // the link was lost, though the interface is up
	AddressRemoved              // the interface lost an address
)

var causes = [...]string{"overrun", "no-carrier", "address-removed"}

// IsKnown reports whether there is such a cause.
func (c Cause) IsKnown() bool { return int(c) < len(causes) }

// String returns the cause as the JSON output spells it.
func (c Cause) String() string { return causes[c] }

// Equal reports whether two gaps are the same.
func (g Gap) Equal(h Gap) bool {
	return g.From.Equal(h.From) && g.To.Equal(h.To) && g.Cause == h.Cause && g.Frames == h.Frames && g.Addr == h.Addr
}

// Overlaps reports whether a gap has a moment in common with a time.
func (g *Gap) Overlaps(from, to time.Time) bool {
	return !g.From.After(to) && (g.To.IsZero() || !g.To.Before(from))
}
