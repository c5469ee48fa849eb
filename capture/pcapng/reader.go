package pcapng

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/internal/oddity"
	"github.com/tracewire/tracewire/capture/internal/window"
)

// Reader reads the frames of a pcapng file, in the order of the file: of any
// number of sections in either byte order, and of enhanced, simple and
// obsolete packet blocks. Comments, interfaces, names and statistics are kept;
// all other blocks and options are skipped.
//
// Its memory is bounded: it looks into the first 512 KiB of a block, and keeps
// up to 16384 comments and 1 MiB of them for a frame, 65536 interfaces, and
// 8 MiB of names and texts of interfaces. Text is cut at its first NUL byte,
// and what is not UTF-8 in it is replaced by U+FFFD.
//
// Errors say where in the file they are, but not in which. One goroutine may
// use a Reader.
type Reader struct {
	in      window.Window
	swapped bool // the section is big-endian

	kind   uint32 // of the block that was begun
	offset int64  // where in the file it begins
	length int    // of it in all
	body   []byte // what is looked at of it, a multiple of 4 bytes
	hidden int    // how much at its end is beyond what was looked into
	frames int    // how many packet blocks were begun

	section    Section
	first      int      // the number of the section's first interface
	sources    []source // by number
	interfaces []Interface
	names      map[netip.Addr]string
	text       int // what is left of maxText

	last        int64        // the stamp of the frame before, in nanoseconds since 1970
	distant     oddity.Count // stamps out of range
	comments    []string     // of the frame that comes next
	commentText int          // how much text they are

	gap, shown frame.Gap // before the frame that comes next, if it has Frames; of the latest
}

// source is what of an interface is needed for each of its frames.
type source struct {
	clock   clock
	snapLen uint32
	link    frame.LinkType

	statistics    Statistics
	hasStatistics bool
	lost          uint64 // the sum of the drop counts of its frames
	unsaid        uint64 // how much of it was in no gap so far
	said          uint64 // how many lost frames were in gaps
	began         int64  // the stamp of its first frame, and then of its latest statistics
}

// NewReader reads the first section header. The Reader reads ahead of what it
// returns.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{
		in:   window.New(bufio.NewReaderSize(src, readAhead)),
		text: maxText,
	}
	if err := r.begin(); err == io.EOF {
		return nil, errors.New("empty file")
	} else if err != nil {
		return nil, err
	}
	if r.kind != sectionHeaderBlock {
		return nil, errors.New("not a pcapng file")
	}
	if err := r.sectionHeader(r.body); err != nil {
		return nil, err
	}
	return r, nil
}

// Next reads up to the next frame and makes f that frame. At the end of the
// file it makes f frame.End(), with the comments that no frame followed, and
// returns io.EOF.
//
// The Data and the Comments of f are valid until the next call. A frame whose
// length on the wire is said to be shorter than what was captured of it has
// the Length of what was captured. A simple packet block has no stamp: it has
// that of the frame before it, or 1970 if it is the first. A stamp that is more
// than 2^63 nanoseconds away from 1970 is read as the nearest that is not.
//
// Any other error is final, and means that f is not to be used:
//
//   - a cut in the middle of a block; it wraps io.ErrUnexpectedEOF;
//   - a block of more than 16 MiB, or whose lengths, or those of what is in it,
//     contradict each other;
//   - a section of another version than 1.0 (and 1.2, which is the same);
//   - a frame of more than 262144 captured bytes, or of an interface that
//     the section has not described so far; or more than 65536 interfaces.
func (r *Reader) Next(f *frame.Frame) error {
	for {
		if err := r.finish(); err != nil {
			return err
		}
		if err := r.begin(); err == io.EOF {
			*f = frame.End()
			f.Comments, f.Gap = r.said(), r.missing()
			return io.EOF
		} else if err != nil {
			return err
		}
		switch r.kind {
		case enhancedPacketBlock:
			return r.enhanced(r.body, f)
		case obsoletePacketBlock:
			return r.obsolete(r.body, f)
		case simplePacketBlock:
			return r.simple(r.body, f)
		}
		if err := r.other(r.body); err != nil {
			return err
		}
	}
}

// Section is what the latest section header said.
func (r *Reader) Section() Section { return r.section }

// Interfaces are those described so far, numbered as in frame.Frame. They are
// not to be changed, and valid until the next call of Next.
func (r *Reader) Interfaces() []Interface { return r.interfaces }

// Names are what the names blocks said so far; where they named an address
// twice, what they said last. The map is not to be changed, and Next changes
// it. It is nil when there are none.
func (r *Reader) Names() map[netip.Addr]string { return r.names }

// Oddities are what breaks the format in the frames so far and was read all the
// same, one line each.
func (r *Reader) Oddities() []string {
	return r.distant.Describe(nil, "the stamp is more than 2^63 nanoseconds away from 1970; it is read as the nearest that is not")
}

// Statistics are the latest counts of an interface, by its number. An interface
// without a statistics block has only Dropped, the sum of the drop counts of
// its frames.
func (r *Reader) Statistics(n int) Statistics {
	s := &r.sources[n]
	if s.hasStatistics {
		return s.statistics
	}
	return Statistics{Dropped: s.lost}
}

// begin reads the next block, as far as it is looked into. The error is io.EOF
// at the end of the file.
func (r *Reader) begin() error {
	r.kind, r.length, r.hidden = 0, 0, 0
	err := r.in.Need(8)
	head := r.in.Ahead
	if len(head) == 0 && err == io.EOF {
		return io.EOF
	}
	if len(head) >= 4 {
		r.kind = r.uint32(head)
	}
	switch r.kind {
	case enhancedPacketBlock, simplePacketBlock, obsoletePacketBlock:
		r.frames++
	case sectionHeaderBlock:
		err = r.in.Need(12)
	}
	if err != nil {
		return r.cut(len(r.in.Ahead), err)
	}
	if r.kind == sectionHeaderBlock {
		if err := r.byteOrder(r.in.Ahead[8:]); err != nil {
			return err
		}
	}
	return r.look()
}

// look reads the block whose type and length are ahead.
func (r *Reader) look() error {
	length := r.uint32(r.in.Ahead[4:])
	if length < blockOverhead || length > maxBlock || length%4 != 0 {
		return r.bad("block length %d is not a multiple of 4 from %d to %d", length, blockOverhead, maxBlock)
	}
	hidden := max(0, int(length)-readAhead)
	if err := r.in.Need(int(length) - hidden); err != nil {
		return r.cut(len(r.in.Ahead), err)
	}
	r.length, r.hidden = int(length), hidden
	if hidden > 0 {
		r.body = r.in.Ahead[8:readAhead:readAhead]
		return nil
	}
	r.body = r.in.Ahead[8 : length-4 : length-4]
	if end := r.uint32(r.in.Ahead[length-4:]); end != length {
		return r.differs(end)
	}
	return nil
}

// byteOrder takes the byte order of a section from the magic number in its
// header (section 4.1).
func (r *Reader) byteOrder(b []byte) error {
	switch magic := binary.LittleEndian.Uint32(b); magic {
	case byteOrderMagic:
		r.swapped = false
	case swappedByteOrderMagic:
		r.swapped = true
	default:
		return r.bad("%#x is not the byte-order magic", magic)
	}
	return nil
}

// differs says that the length at the end of a block is not that at its front.
func (r *Reader) differs(end uint32) error {
	return r.bad("block length %d at its front, %d at its end", r.length, end)
}

// finish skips the block that was begun.
func (r *Reader) finish() error {
	if r.hidden > 0 {
		return r.skipHidden()
	}
	r.in.Drop(r.length)
	r.offset += int64(r.length)
	r.length = 0
	return nil
}

func (r *Reader) skipHidden() error {
	skipped, err := r.in.Skip(r.length - 4)
	if err != nil {
		return r.cut(skipped, err)
	}
	if err := r.in.Need(4); err != nil {
		return r.cut(skipped+len(r.in.Ahead), err)
	}
	if end := r.uint32(r.in.Ahead); end != uint32(r.length) {
		return r.differs(end)
	}
	r.in.Drop(4)
	r.offset += int64(r.length)
	r.length, r.hidden = 0, 0
	return nil
}

// other reads a block that is not a frame.
func (r *Reader) other(body []byte) error {
	switch r.kind {
	case sectionHeaderBlock:
		return r.sectionHeader(body)
	case interfaceBlock:
		return r.interfaceDescription(body)
	case namesBlock:
		return r.nameResolution(body)
	case statisticsBlock:
		return r.interfaceStatistics(body)
	case secretsBlock:
		return r.secrets(body)
	}
	return nil
}

// option takes an option off the front of a list of them (section 3.5). Where
// there is none, the code is optEnd.
func (r *Reader) option(list []byte) (code uint16, value, rest []byte, err error) {
	if len(list) < 4 {
		return optEnd, nil, nil, nil
	}
	code, length := r.uint16(list), int(r.uint16(list[2:]))
	if code == optEnd {
		return optEnd, nil, nil, nil
	}
	list = list[4:]
	if padded(length) > len(list) {
		if r.hidden > 0 {
			return optEnd, nil, nil, nil
		}
		return optEnd, nil, nil, r.bad("an option of %d bytes, and %d are left", length, len(list))
	}
	return code, list[:length], list[padded(length):], nil
}

// padded is a length filled up to a multiple of 4.
func padded(n int) int { return (n + 3) &^ 3 }

// comment keeps a comment for the next frame.
func (r *Reader) comment(value []byte) {
	text := toText(value)
	if len(r.comments) < maxComments && r.commentText+len(text) <= maxCommentText {
		r.comments = append(r.comments, text)
		r.commentText += len(text)
	}
}

// said are the comments of a frame. Those of the next one take their place.
func (r *Reader) said() []string {
	said := r.comments
	if len(said) == 0 {
		return nil
	}
	r.comments, r.commentText = said[:0], 0
	return said[:len(said):len(said)]
}

// toText makes a string of what an option holds (section 3.6.3: a NUL ends it).
func toText(value []byte) string {
	value, _, _ = bytes.Cut(value, []byte{0})
	return strings.ToValidUTF8(string(value), "\ufffd")
}

// keep is toText for what is kept as long as the Reader.
func (r *Reader) keep(value []byte) string {
	text := toText(value)
	const overhead = 64 // of a string in a table, about
	if len(text)+overhead > r.text {
		return ""
	}
	r.text -= len(text) + overhead
	return text
}

func (r *Reader) uint32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if r.swapped {
		return bits.ReverseBytes32(v)
	}
	return v
}

func (r *Reader) uint16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if r.swapped {
		return bits.ReverseBytes16(v)
	}
	return v
}

func (r *Reader) uint64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if r.swapped {
		return bits.ReverseBytes64(v)
	}
	return v
}
