package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tracewire/tracewire/capture/frame"
)

// Writer writes a pcapng file of one section, in little-endian byte order and
// with stamps in nanoseconds.
//
// Each block goes out in one Write, whole: a program that is killed leaves a
// file that ends in one cut block at most.
//
// Text must be UTF-8 without NUL bytes, and at most 65535 bytes each. Comments
// are not split: one that is longer is refused. All of a block may take
// 524288 bytes, which is what the Reader looks into. What is refused leaves
// the file as it was, and the Writer usable. After an error of the io.Writer
// the file is cut: the Writer then writes no more, and returns that error
// always.
//
// One goroutine may use a Writer.
type Writer struct {
	out    io.Writer
	block  []byte // the one that is built; reused
	length int64  // of the file
	failed error  // of out

	reserved int64 // where names are to go, if there is room
	room     int

	interfaces []Interface
}

var le = binary.LittleEndian

// NewWriter writes a section header, with comments on it.
func NewWriter(w io.Writer, s Section, comments ...string) (*Writer, error) {
	n := &Writer{out: w}
	n.begin(sectionHeaderBlock)
	n.block = le.AppendUint32(n.block, byteOrderMagic)
	n.block = le.AppendUint16(n.block, 1) // version 1.0
	n.block = le.AppendUint16(n.block, 0)
	n.block = le.AppendUint64(n.block, math.MaxUint64) // the length of the section is not known
	err := n.options(comments, text{sectionHardware, s.Hardware}, text{sectionOS, s.OS},
		text{sectionApplication, s.Application})
	if err != nil {
		return nil, err
	}
	return n, n.end()
}

// AddInterface describes an interface, with comments on it, and returns its
// number.
//
// A SnapLen of 0 is written as 262144, the most that there is. All interfaces
// must have the same, or programs that use libpcap would not read the file
// (neither do they read one whose interfaces differ in Link).
func (w *Writer) AddInterface(i Interface, comments ...string) (number int, err error) {
	if i.SnapLen == 0 {
		i.SnapLen = maxCaptured
	}
	if len(w.interfaces) > 0 && i.SnapLen != w.interfaces[0].SnapLen {
		return 0, fmt.Errorf("pcapng: interface %q has snapshot length %d, and the first one has %d",
			i.Name, i.SnapLen, w.interfaces[0].SnapLen)
	}
	if len(i.MAC) != 0 && len(i.MAC) != 6 {
		return 0, fmt.Errorf("pcapng: interface %q has a MAC address of %d bytes", i.Name, len(i.MAC))
	}
	w.begin(interfaceBlock)
	w.block = le.AppendUint16(w.block, uint16(i.Link))
	w.block = le.AppendUint16(w.block, 0)
	w.block = le.AppendUint32(w.block, i.SnapLen)
	w.option(interfaceResolution, 9)
	if len(i.MAC) > 0 {
		w.option(interfaceMAC, i.MAC...)
	}
	if err := w.filter(i.Filter); err != nil {
		return 0, err
	}
	err = w.options(comments, text{interfaceName, i.Name}, text{interfaceDescription, i.Description},
		text{interfaceOS, i.OS}, text{interfaceHardware, i.Hardware})
	if err != nil {
		return 0, err
	}
	if err := w.end(); err != nil {
		return 0, err
	}
	w.interfaces = append(w.interfaces, i)
	return len(w.interfaces) - 1, nil
}

// WriteFrame writes a frame as an enhanced packet block: its Interface, Time,
// Data, Length (at least that of Data), Direction and Comments.
//
// It refuses watermarks, a frame of an interface that was not added or that has
// another Link, one of more bytes than the SnapLen, and one stamped before 1970
// or after 2262. It does not allocate.
func (w *Writer) WriteFrame(f *frame.Frame) error {
	if err := w.check(f); err != nil {
		return err
	}
	w.begin(enhancedPacketBlock)
	w.block = le.AppendUint32(w.block, uint32(f.Interface))
	w.stamp(f.Time)
	w.block = le.AppendUint32(w.block, uint32(len(f.Data)))
	w.block = le.AppendUint32(w.block, uint32(min(max(f.Length, len(f.Data)), math.MaxInt32)))
	w.block = append(w.block, f.Data...)
	w.pad()
	switch f.Direction {
	case frame.In:
		w.option(packetFlags, 1, 0, 0, 0)
	case frame.Out:
		w.option(packetFlags, 2, 0, 0, 0)
	}
	if err := w.options(f.Comments); err != nil {
		return err
	}
	return w.end()
}

func (w *Writer) check(f *frame.Frame) error {
	if f.IsWatermark() {
		return errors.New("pcapng: a watermark is no frame to write")
	}
	if f.Interface < 0 || f.Interface >= len(w.interfaces) {
		return fmt.Errorf("pcapng: a frame of interface %d of %d", f.Interface, len(w.interfaces))
	}
	i := &w.interfaces[f.Interface]
	if f.Link != i.Link {
		return fmt.Errorf("pcapng: a frame of link type %d on interface %q of link type %d", f.Link, i.Name, i.Link)
	}
	if most := min(i.SnapLen, maxCaptured); uint64(len(f.Data)) > uint64(most) {
		return fmt.Errorf("pcapng: a frame of %d bytes, above the snapshot length of %d", len(f.Data), most)
	}
	if !storable(f.Time) {
		return fmt.Errorf("pcapng: a frame stamped %v", f.Time)
	}
	return nil
}

// ReserveNames leaves room for names where the file is now, for WriteNames to fill
// later: programs that read a file once show the names of what comes behind
// them. It does nothing if the io.Writer is not an io.WriterAt, or bytes is less
// than a block takes.
//
// The Writer must have begun at the start of the file.
func (w *Writer) ReserveNames(bytes int) error {
	bytes &^= 3
	if _, can := w.out.(io.WriterAt); !can || bytes < blockOverhead {
		return nil
	}
	at := w.length
	w.filler(bytes)
	if err := w.end(); err != nil {
		return err
	}
	w.reserved, w.room = at, bytes
	return nil
}

// filler begins a block of a type that everybody skips, and that is as long as
// asked for (section 10.1: types with the highest bit set are for local use).
func (w *Writer) filler(bytes int) {
	const localUse = 1 << 31
	w.begin(localUse)
	w.block = append(w.block, make([]byte, bytes-blockOverhead)...)
}

// fill puts the block that was built where room was reserved, if it fits. What it
// leaves of the room is reserved still.
func (w *Writer) fill() (done bool, err error) {
	length := len(w.block) + 4
	rest := w.room - length
	if w.failed != nil || rest != 0 && rest < blockOverhead {
		return false, w.failed
	}
	le.PutUint32(w.block[4:], uint32(length))
	block := slices.Clone(le.AppendUint32(w.block, uint32(length)))
	if rest > 0 {
		w.filler(rest)
		le.PutUint32(w.block[4:], uint32(rest))
		block = le.AppendUint32(append(block, w.block...), uint32(rest))
	}
	if _, err := w.out.(io.WriterAt).WriteAt(block, w.reserved); err != nil {
		w.failed = fmt.Errorf("pcapng: %w", err)
		return false, w.failed
	}
	w.reserved, w.room = w.reserved+int64(length), rest
	return true, nil
}

// WriteNames writes name resolution blocks, into the room that ReserveNames left
// or, if they don't fit there, at the end: the name of each address, with
// comments on the first block. IPv6 zones are left out. A name is 1 to 255
// bytes long. (tshark shows names with the frames that follow them.)
func (w *Writer) WriteNames(names map[netip.Addr]string, comments ...string) error {
	for addr, name := range names {
		if err := checkText(name); err != nil || name == "" || len(name) > maxName || !addr.IsValid() {
			return fmt.Errorf("pcapng: %.*q can't be written as the name of %v", maxName, name, addr)
		}
	}
	const most = 1024 // in a block
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(names), netip.Addr.Compare), most) {
		if err := w.someNames(some, names, comments); err != nil {
			return err
		}
		comments = nil
	}
	if len(comments) > 0 {
		return w.someNames(nil, nil, comments)
	}
	return nil
}

func (w *Writer) someNames(some []netip.Addr, names map[netip.Addr]string, comments []string) error {
	w.begin(namesBlock)
	for _, addr := range some {
		kind, bytes := nameIPv6, addr.AsSlice()
		if addr.Is4() {
			kind = nameIPv4
		}
		w.block = le.AppendUint16(w.block, uint16(kind))
		w.block = le.AppendUint16(w.block, uint16(len(bytes)+len(names[addr])+1))
		w.block = append(append(append(w.block, bytes...), names[addr]...), 0)
		w.pad()
	}
	w.block = append(w.block, nameEnd, 0, 0, 0)
	if err := w.options(comments); err != nil {
		return err
	}
	if done, err := w.fill(); done || err != nil {
		return err
	}
	return w.end()
}

// WriteStatistics writes the counts of an interface, with comments on them.
// Start and End are left out where they are zero; the block is stamped with
// the End, or the Start.
func (w *Writer) WriteStatistics(number int, s Statistics, comments ...string) error {
	if number < 0 || number >= len(w.interfaces) {
		return fmt.Errorf("pcapng: statistics of interface %d of %d", number, len(w.interfaces))
	}
	at := time.Unix(0, 0)
	for _, t := range []time.Time{s.Start, s.End} {
		if t.IsZero() {
			continue
		}
		if !storable(t) {
			return fmt.Errorf("pcapng: statistics stamped %v", t)
		}
		at = t
	}
	w.begin(statisticsBlock)
	w.block = le.AppendUint32(w.block, uint32(number))
	w.stamp(at)
	if !s.Start.IsZero() {
		w.optionHead(statisticsStart, 8)
		w.stamp(s.Start)
	}
	if !s.End.IsZero() {
		w.optionHead(statisticsEnd, 8)
		w.stamp(s.End)
	}
	w.optionHead(statisticsReceived, 8)
	w.block = le.AppendUint64(w.block, s.Received)
	w.optionHead(statisticsDropped, 8)
	w.block = le.AppendUint64(w.block, s.Dropped)
	if err := w.options(comments); err != nil {
		return err
	}
	return w.end()
}

// begin begins to build a block, in place of the one before.
func (w *Writer) begin(kind uint32) {
	w.block = le.AppendUint32(w.block[:0], kind)
	w.block = append(w.block, 0, 0, 0, 0) // the length, when it is known
}

// end writes the block that was built.
func (w *Writer) end() error {
	if w.failed != nil {
		return w.failed
	}
	length := len(w.block) + 4
	if length > readAhead {
		return fmt.Errorf("pcapng: a block of %d bytes, above %d", length, readAhead)
	}
	le.PutUint32(w.block[4:], uint32(length))
	w.block = le.AppendUint32(w.block, uint32(length))
	n, err := w.out.Write(w.block)
	w.length += int64(n)
	if err != nil {
		w.failed = fmt.Errorf("pcapng: %w", err)
	}
	return w.failed
}

// text is an option that is text.
type text struct {
	code  uint16
	value string
}

// options appends the texts that are not empty, the comments, and the end of
// the block's options.
func (w *Writer) options(comments []string, texts ...text) error {
	for _, t := range texts {
		if t.value == "" {
			continue
		}
		if err := w.text(t); err != nil {
			return err
		}
	}
	for _, comment := range comments {
		if err := w.text(text{optComment, comment}); err != nil {
			return err
		}
	}
	w.block = append(w.block, optEnd, 0, 0, 0)
	return nil
}

func (w *Writer) text(t text) error {
	if err := checkText(t.value); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	w.optionHead(t.code, len(t.value))
	w.block = append(w.block, t.value...)
	w.pad()
	return nil
}

// filter appends a capture filter, if it is not empty, after a byte that says
// that it is text (section 4.2, if_filter).
func (w *Writer) filter(f string) error {
	if f == "" {
		return nil
	}
	if err := checkText(f); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	if len(f) == maxOption {
		return fmt.Errorf("pcapng: a filter of %d bytes", len(f))
	}
	w.optionHead(interfaceFilter, 1+len(f))
	w.block = append(append(w.block, 0), f...)
	w.pad()
	return nil
}

// option appends an option.
func (w *Writer) option(code uint16, value ...byte) {
	w.optionHead(code, len(value))
	w.block = append(w.block, value...)
	w.pad()
}

func (w *Writer) optionHead(code uint16, length int) {
	w.block = le.AppendUint16(w.block, code)
	w.block = le.AppendUint16(w.block, uint16(length))
}

// pad fills the block up to a multiple of 4 bytes.
func (w *Writer) pad() {
	for len(w.block)%4 != 0 {
		w.block = append(w.block, 0)
	}
}

// stamp appends a storable time: its upper half first.
func (w *Writer) stamp(t time.Time) {
	ns := uint64(t.UnixNano())
	w.block = le.AppendUint32(w.block, uint32(ns>>32))
	w.block = le.AppendUint32(w.block, uint32(ns))
}

// storable reports whether a time is from 1970 on and has as many nanoseconds
// as an int64 holds.
func storable(t time.Time) bool {
	return t.Unix() >= 0 && !t.After(frame.End().Time)
}

// checkText refuses what would not come back as it was.
func checkText(s string) error {
	switch {
	case len(s) > maxOption:
		return fmt.Errorf("%d bytes of text, above %d", len(s), maxOption)
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("a NUL byte in a text")
	case !utf8.ValidString(s):
		return errors.New("a text that is not UTF-8")
	}
	return nil
}
