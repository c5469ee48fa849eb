package pcapng

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// sectionHeader reads a section header block (section 4.1): byte-order magic,
// version, length of the section (which is not relied on), and options. A
// section of another version ends the file: to skip it, as section 3.4 has it,
// would be to keep quiet about its frames.
func (r *Reader) sectionHeader(body []byte) error {
	const fixed = 16
	if len(body) < fixed {
		return r.short()
	}
	// 1.2 is how some wrote 1.0.
	if major, minor := r.uint16(body[4:]), r.uint16(body[6:]); major != 1 || minor != 0 && minor != 2 {
		return r.bad("version %d.%d of pcapng is not read", major, minor)
	}
	r.section, r.first = Section{}, len(r.sources)
	return r.options(body[fixed:], func(code uint16, value []byte) {
		switch code {
		case sectionHardware:
			r.section.Hardware = toText(value)
		case sectionOS:
			r.section.OS = toText(value)
		case sectionApplication:
			r.section.Application = toText(value)
		}
	})
}

// interfaceDescription reads an interface description block (section 4.2):
// link type, two bytes to be ignored, snapshot length, and options.
func (r *Reader) interfaceDescription(body []byte) error {
	const fixed = 8
	if len(body) < fixed {
		return r.short()
	}
	if len(r.sources) == maxInterfaces {
		return r.bad("more than %d interfaces", maxInterfaces)
	}
	i := Interface{Link: frame.LinkType(r.uint16(body)), SnapLen: r.uint32(body[4:])}
	resolution, offset := byte(6), int64(0)
	err := r.options(body[fixed:], func(code uint16, value []byte) {
		switch {
		case code == interfaceResolution && len(value) == 1:
			resolution = value[0]
		case code == interfaceOffset && len(value) == 8:
			offset = int64(r.uint64(value))
		default:
			r.describe(&i, code, value)
		}
	})
	r.interfaces = append(r.interfaces, i)
	r.sources = append(r.sources, source{clock: newClock(resolution, offset), snapLen: i.SnapLen, link: i.Link})
	return err
}

// describe takes an option of an interface that is to be shown.
func (r *Reader) describe(i *Interface, code uint16, value []byte) {
	switch code {
	case interfaceName:
		i.Name = r.keep(value)
	case interfaceDescription:
		i.Description = r.keep(value)
	case interfaceMAC:
		if len(value) == 6 {
			i.MAC = net.HardwareAddr(bytes.Clone(value))
		}
	case interfaceFilter:
		if len(value) > 0 && value[0] == 0 { // as text, not as a program
			i.Filter = r.keep(value[1:])
		}
	case interfaceOS:
		i.OS = r.keep(value)
	case interfaceHardware:
		i.Hardware = r.keep(value)
	}
}

// nameResolution reads a name resolution block (section 4.5): records of type,
// length and value, padded, up to an end record; and options.
func (r *Reader) nameResolution(body []byte) error {
	for len(body) >= 4 {
		kind, length := r.uint16(body), int(r.uint16(body[2:]))
		body = body[4:]
		if kind == nameEnd {
			break
		}
		if padded(length) > len(body) {
			if r.hidden > 0 {
				return nil
			}
			return r.bad("a record of %d bytes, and %d are left", length, len(body))
		}
		r.name(kind, body[:length])
		body = body[padded(length):]
	}
	return r.options(body, func(uint16, []byte) {})
}

// name keeps the first name of a record: an address, and names that end in a
// NUL each.
func (r *Reader) name(kind uint16, value []byte) {
	var size int
	switch kind {
	case nameIPv4:
		size = 4
	case nameIPv6:
		size = 16
	default:
		return
	}
	if len(value) < size {
		return
	}
	addr, _ := netip.AddrFromSlice(value[:size])
	name, _, _ := bytes.Cut(value[size:], []byte{0})
	if len(name) == 0 || len(name) > maxName || r.names[addr] == string(name) {
		return
	}
	kept := r.keep(name)
	if kept == "" {
		return
	}
	if r.names == nil {
		r.names = map[netip.Addr]string{}
	}
	r.names[addr] = kept
}

// interfaceStatistics reads an interface statistics block (section 4.6):
// interface, stamp in two halves, and options. Of an interface that there is
// not only the comments are taken.
func (r *Reader) interfaceStatistics(body []byte) error {
	const fixed = 12
	if len(body) < fixed {
		return r.short()
	}
	of := &source{}
	if sources := r.sources[r.first:]; uint64(r.uint32(body)) < uint64(len(sources)) {
		of = &sources[r.uint32(body)]
	}
	var s Statistics
	err := r.options(body[fixed:], func(code uint16, value []byte) {
		if len(value) != 8 {
			return
		}
		switch code {
		case statisticsStart:
			s.Start = r.moment(of, value)
		case statisticsEnd:
			s.End = r.moment(of, value)
		case statisticsReceived:
			s.Received = r.uint64(value)
		case statisticsDropped, statisticsOSDropped:
			s.Dropped = add(s.Dropped, r.uint64(value))
		}
	})
	of.statistics, of.hasStatistics = s, true
	if s.Dropped > of.said {
		r.missed(of, s.Dropped-of.said, of.began, r.last)
		of.began = r.last
	}
	return err
}

// moment is a stamp of an option, or the zero time for one out of range.
func (r *Reader) moment(of *source, value []byte) time.Time {
	ns, ok := of.clock.nanoseconds(r.ticks(value))
	if !ok {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// secrets reads the comments of a decryption secrets block (section 4.7): type
// and length of the secrets, the secrets, and options.
func (r *Reader) secrets(body []byte) error {
	const fixed = 8
	if len(body) < fixed {
		return r.short()
	}
	length := r.uint32(body[4:])
	if body = body[fixed:]; int64(length) > int64(len(body)) {
		if r.hidden > 0 {
			return nil
		}
		return r.bad("secrets of %d bytes, and %d are left", length, len(body))
	}
	return r.options(body[padded(int(length)):], func(uint16, []byte) {})
}

// options keeps the comments of a list of options and hands the others to
// take.
func (r *Reader) options(list []byte, take func(code uint16, value []byte)) error {
	for len(list) > 0 {
		code, value, rest, err := r.option(list)
		if err != nil {
			return err
		}
		switch code {
		case optEnd:
		case optComment:
			r.comment(value)
		default:
			take(code, value)
		}
		list = rest
	}
	return nil
}
