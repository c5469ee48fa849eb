package craft

import "fmt"

// maxLength is the longest IP packet without a jumbo payload, in bytes.
const maxLength = 65535

// MTUError says that a probe is longer than the interface can send.
type MTUError struct {
	Length, MTU int    // in bytes of the IP packet
	Interface   string // its name; "" if it has none
}

// Error names the lengths.
func (e *MTUError) Error() string {
	return fmt.Sprintf("tracewire: a packet of %d bytes does not fit %s, whose MTU is %d", e.Length, e.Interface, e.MTU)
}

// Fit gives the probes their length, if Probe.Length is 0: the default one, or if longest
// is true the longest that the link's MTU allows. The MTU is in bytes, and 0 if there is
// no limit. It fails if the probes can't have their length, with an *MTUError if that is
// longer than the MTU.
func (s *Series) Fit(mtu int, longest bool) error {
	p := &s.Probe
	switch {
	case p.Length == 0 && longest && mtu != 0:
		p.Length = min(mtu, maxLength)
	case p.Length == 0 && longest:
		p.Length = maxLength
	case p.Length == 0:
		p.Length = p.DefaultLength()
	}
	switch least := p.MinLength(); {
	case p.Length < least:
		return fmt.Errorf("packet length %d is less than %d, which such probes to %v need", p.Length, least, p.Dst)
	case p.Payload != "" && p.Length != least:
		return fmt.Errorf("packet length %d is not %d, which the given payload to %v makes", p.Length, least, p.Dst)
	case mtu != 0 && p.Length > mtu:
		return &MTUError{Length: p.Length, MTU: mtu}
	}
	return nil
}
