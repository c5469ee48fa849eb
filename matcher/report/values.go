package report

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// reading checks the values of a document. The first that is wrong is its err; what is
// read after that does not matter.
type reading struct{ err error }

func (r *reading) fail(kind error, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
	}
}

// require reports a value that breaks a rule.
func (r *reading) require(rule bool, what string) {
	if !rule {
		r.fail(ErrMalformed, "%s", what)
	}
}

// number is a number within bounds.
func number[T int | int64 | uint32 | uint64 | float64 | uint8](r *reading, name string, v, least, most T) T {
	if !(v >= least && v <= most) {
		r.fail(ErrMalformed, "%s is %v, want %v to %v", name, v, least, most)
	}
	return v
}

// positive is the number that pointer got: it is null rather than 0.
func positive[T int | int64 | uint32 | uint64 | uint8](r *reading, name string, p *T, most T) T {
	if p == nil {
		return 0
	}
	return number(r, name, *p, 1, most)
}

// text is the string that pointer got: it is null rather than empty.
func (r *reading) text(name string, p *string) string {
	r.require(p == nil || *p != "", name+" is empty")
	return value(p)
}

// named is the value, from first to last, whose String is s.
func named[T interface {
	~uint8
	fmt.Stringer
}](r *reading, name, s string, first, last T) T {
	r.require(s != "", name+" is missing")
	for v := first; v <= last; v++ {
		if v.String() == s {
			return v
		}
	}
	r.fail(ErrUnknownValue, "%s %.40q", name, s)
	return first
}

// addr is an address without a zone. Null where it may be is the zero Addr.
func (r *reading) addr(name string, a netip.Addr) netip.Addr {
	if !a.IsValid() || a.Zone() != "" {
		r.fail(ErrMalformed, "%s is no IP address", name)
	}
	return a
}

func (r *reading) optionalAddr(name string, a *netip.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	return r.addr(name, *a)
}

// mac is a MAC address as documents spell it.
func (r *reading) mac(name string, s *string) net.HardwareAddr {
	if s == nil {
		return nil
	}
	mac, err := net.ParseMAC(*s)
	if err != nil || len(mac) != 6 || mac.String() != *s {
		r.fail(ErrMalformed, "%s is no MAC address", name)
	}
	return mac
}

// bytes are in hexadecimal as documents spell it.
func (r *reading) bytes(name string, s *string) []byte {
	if s == nil {
		return nil
	}
	b, err := hex.DecodeString(*s)
	if err != nil || hex.EncodeToString(b) != *s {
		r.fail(ErrMalformed, "%s is not in hexadecimal", name)
	}
	return b
}

// known is a time that must be known.
func (r *reading) known(name string, s Stamp) Stamp {
	r.require(s != Stamp{}, name+" is null")
	return s
}

// unique is a list that is null rather than empty, and has nothing twice.
func (r *reading) unique(name string, all []string) []string {
	sorted := slices.Sorted(slices.Values(all))
	r.require(all == nil || len(all) > 0 && !slices.Contains(all, "") && len(slices.Compact(sorted)) == len(all), name+" is empty, or has something twice")
	return all
}
