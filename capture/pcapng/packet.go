package pcapng

import (
	"math"
	"math/bits"
	"time"

	"github.com/tracewire/tracewire/capture/frame"
)

// packet is what the packet blocks say before the bytes of the frame.
type packet struct {
	source           uint32
	ticks            uint64
	captured, length uint32
}

// enhanced reads an enhanced packet block (section 4.3): interface, stamp in
// two halves, captured length, length on the wire, the frame and options.
func (r *Reader) enhanced(body []byte, f *frame.Frame) error {
	const fixed = 20
	if len(body) < fixed {
		return r.short()
	}
	return r.packet(body[fixed:], f, packet{
		source:   r.uint32(body),
		ticks:    r.ticks(body[4:]),
		captured: r.uint32(body[12:]),
		length:   r.uint32(body[16:]),
	})
}

// obsolete reads an obsolete packet block (appendix A): like an enhanced one,
// but with 16 bits for the interface and 16 for a drop count, of which 65535
// means that it is not known.
func (r *Reader) obsolete(body []byte, f *frame.Frame) error {
	const fixed = 20
	if len(body) < fixed {
		return r.short()
	}
	p := packet{
		source:   uint32(r.uint16(body)),
		ticks:    r.ticks(body[4:]),
		captured: r.uint32(body[12:]),
		length:   r.uint32(body[16:]),
	}
	if drops := r.uint16(body[2:]); drops != math.MaxUint16 && int(p.source) < len(r.sources)-r.first {
		r.drop(r.first+int(p.source), uint64(drops))
	}
	return r.packet(body[fixed:], f, p)
}

// packet makes f the frame at the front of rest, which options follow.
func (r *Reader) packet(rest []byte, f *frame.Frame, p packet) error {
	sources := r.sources[r.first:]
	if uint64(p.source) >= uint64(len(sources)) {
		return r.unknown(p.source)
	}
	from := &sources[p.source]
	if int64(p.captured) > int64(min(maxCaptured, len(rest))) {
		return r.tooLong(p.captured, rest)
	}
	ns, ok := from.clock.nanoseconds(p.ticks)
	if !ok {
		r.distant.Add(r.frames)
	}
	before := r.last
	if from.began == 0 {
		from.began = ns
	}
	r.last = ns
	r.fill(f, from.link, &p, rest)
	f.Before = len(r.comments)
	if options := rest[padded(int(p.captured)):]; len(options) > 0 {
		if err := r.packetOptions(options, f); err != nil {
			return err
		}
	}
	if from.unsaid > 0 {
		r.missed(from, from.unsaid, before, ns)
	}
	f.Comments, f.Gap = r.said(), r.missing()
	return nil
}

// simple reads a simple packet block (section 4.4): the length on the wire and
// the frame, which came by the section's first interface and was cut to its
// snapshot length.
func (r *Reader) simple(body []byte, f *frame.Frame) error {
	if len(body) < 4 {
		return r.short()
	}
	if r.first == len(r.sources) {
		return r.unknown(0)
	}
	from := &r.sources[r.first]
	p := packet{length: r.uint32(body)}
	p.captured = p.length
	if from.snapLen > 0 {
		p.captured = min(p.captured, from.snapLen)
	}
	if int64(p.captured) > int64(min(maxCaptured, len(body)-4)) {
		return r.tooLong(p.captured, body[4:])
	}
	r.fill(f, from.link, &p, body[4:])
	f.Before = len(r.comments)
	f.Comments, f.Gap = r.said(), r.missing()
	return nil
}

// fill makes f a frame without comments, stamped r.last. (It sets the fields
// one by one because a whole Frame would be built elsewhere and moved.)
func (r *Reader) fill(f *frame.Frame, link frame.LinkType, p *packet, rest []byte) {
	f.Time = time.Unix(0, r.last).UTC()
	f.Read = time.Time{}
	f.Data = rest[:p.captured:p.captured]
	f.Length = int(min(max(p.captured, p.length), math.MaxInt32)) // an int may have 32 bits
	f.Link = link
	f.Direction = frame.Unknown
	f.Interface = r.first + int(p.source)
	f.Comments, f.Before = nil, 0
	f.Step = 0
}

// unknown says that the section has not described an interface so far.
func (r *Reader) unknown(number uint32) error {
	return r.bad("it names interface %d, and %d are described before it", number, len(r.sources)-r.first)
}

// tooLong says why a frame can't have so many captured bytes.
func (r *Reader) tooLong(captured uint32, rest []byte) error {
	if captured > maxCaptured {
		return r.bad("captured length %d is more than %d", captured, maxCaptured)
	}
	return r.bad("captured length %d is more than the %d bytes of its block", captured, len(rest))
}

// packetOptions reads the options of a packet block: comments, direction, and
// how many frames were lost before it.
func (r *Reader) packetOptions(list []byte, f *frame.Frame) error {
	for len(list) >= 4 && r.uint16(list) != optEnd {
		code, value, rest, err := r.option(list)
		if err != nil {
			return err
		}
		switch {
		case code == optComment:
			r.comment(value)
		case code == packetFlags && len(value) == 4:
			f.Direction = direction(r.uint32(value))
		case code == packetDropCount && len(value) == 8 && r.kind == enhancedPacketBlock:
			r.drop(f.Interface, r.uint64(value))
		}
		list = rest
	}
	return nil
}

// direction is what the lowest two bits of epb_flags say (section 4.3.1).
func direction(flags uint32) frame.Direction {
	switch flags & 3 {
	case 1:
		return frame.In
	case 2:
		return frame.Out
	}
	return frame.Unknown
}

// drop counts frames of an interface that were lost before the next one.
func (r *Reader) drop(number int, n uint64) {
	from := &r.sources[number]
	from.lost, from.unsaid = add(from.lost, n), add(from.unsaid, n)
}

// add is a sum that stays at the highest number.
func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// ticks reads a stamp: its upper half comes first in either byte order.
func (r *Reader) ticks(b []byte) uint64 {
	return uint64(r.uint32(b))<<32 | uint64(r.uint32(b[4:]))
}

// short says that the fixed part of a block is not all there.
func (r *Reader) short() error { return r.bad("block length %d is too short for it", r.length) }
