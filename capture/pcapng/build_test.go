package pcapng_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// The types of the blocks that the tests build.
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	obsoletePacket = 2
	simplePacket   = 3
	names          = 4
	statistics     = 5
	enhancedPacket = 6
	journal        = 9
	secrets        = 10
	custom         = 0xbad
)

// builder makes blocks in a byte order.
type builder struct{ binary.AppendByteOrder }

var (
	little = builder{binary.LittleEndian}
	big    = builder{binary.BigEndian}
)

// option is an option, or a record of a names block.
type option struct {
	code  uint16
	value any
}

func comment(text string) option { return option{1, text} }

// block makes a block whose body is the parts: numbers, options, and strings
// that are filled up with zeros to a multiple of 4 bytes.
func (b builder) block(kind uint32, parts ...any) []byte {
	body := b.parts(parts...)
	length := uint32(len(body) + 12)
	return b.AppendUint32(slices.Concat(b.AppendUint32(b.AppendUint32(nil, kind), length), body), length)
}

func (b builder) parts(parts ...any) (body []byte) {
	for _, part := range parts {
		switch part := part.(type) {
		case byte:
			body = append(body, part)
		case uint16:
			body = b.AppendUint16(body, part)
		case uint32:
			body = b.AppendUint32(body, part)
		case int:
			body = b.AppendUint32(body, uint32(part))
		case uint64:
			body = b.AppendUint64(body, part)
		case string:
			body = padded(append(body, part...))
		case []any:
			body = append(body, b.parts(part...)...)
		case option:
			value := b.parts(part.value)
			if text, ok := part.value.(string); ok {
				value = []byte(text)
			}
			body = b.AppendUint16(b.AppendUint16(body, part.code), uint16(len(value)))
			body = padded(append(body, value...))
		default:
			panic(fmt.Sprintf("a part of type %T", part))
		}
	}
	return body
}

func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// section is a section header with options.
func (b builder) section(options ...any) []byte {
	return b.block(sectionHeader, 0x1a2b3c4d, uint16(1), uint16(0), uint64(1<<64-1), options)
}

// ethernet describes an interface with options.
func (b builder) ethernet(options ...any) []byte {
	return b.block(interfaceBlock, uint16(1), uint16(0), 0, options)
}

// packet is an enhanced packet block with data captured whole.
func (b builder) packet(number int, ticks uint64, data string, options ...any) []byte {
	return b.block(enhancedPacket, number, uint32(ticks>>32), uint32(ticks), len(data), len(data), data, options)
}

// good is a file of all kinds of blocks.
func (b builder) good() []byte {
	return slices.Concat(
		b.section(comment("section"), option{4, "application"}),
		b.ethernet(option{2, "eth0"}, comment("interface"), option{9, byte(9)}),
		b.packet(0, 1_000_000_001, "frame one", comment("one"), option{2, uint32(2)}),
		b.block(names, option{1, "\x0a\x00\x00\x01router.example\x00"}, 0, comment("names")),
		b.block(journal, "MESSAGE=hello"),
		b.block(simplePacket, 3, "two"),
		b.block(obsoletePacket, uint16(0), uint16(3), 0, 2_000_000_000, 5, 60, "three", comment("three")),
		b.block(custom, 0xdead, "anything"),
		b.block(statistics, 0, 0, 5, option{4, uint64(100)}, option{5, uint64(7)}, comment("statistics")),
	)
}

// all is what a file yields.
type all struct {
	frames []frame.Frame // with the end
	reader *pcapng.Reader
}

// read reads a file to its end, and keeps copies of its frames.
func read(file []byte) (all, error) { return readFrom(bytes.NewReader(file)) }

func readFrom(src io.Reader) (got all, err error) {
	if got.reader, err = pcapng.NewReader(src); err != nil {
		return got, err
	}
	var f frame.Frame
	for {
		switch err := got.reader.Next(&f); {
		case err != nil && err != io.EOF:
			return got, err
		case err == io.EOF:
			f.Comments, f.Gap = slices.Clone(f.Comments), kept(f.Gap)
			got.frames = append(got.frames, f)
			return got, nil
		}
		if cap(f.Data) != len(f.Data) {
			return got, fmt.Errorf("what is appended to a frame would overwrite the next")
		}
		next := f
		next.Data, next.Comments, next.Gap = append([]byte{}, f.Data...), slices.Clone(f.Comments), kept(f.Gap)
		got.frames = append(got.frames, next)
	}
}

// kept is a copy of what is valid until the next frame.
func kept(g *frame.Gap) *frame.Gap {
	if g == nil {
		return nil
	}
	copied := *g
	return &copied
}

// end is how the frames of a file end.
func end(comments ...string) frame.Frame {
	f := frame.End()
	f.Comments = comments
	return f
}
