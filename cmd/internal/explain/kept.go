package explain

import (
	"cmp"
	"slices"

	"github.com/tracewire/tracewire/capture/frame"
)

// frames are the frames that are kept of a capture. There may be very many, so they
// take little more room than their bytes.
type frames struct {
	kept   []kept   // by number
	blocks [][]byte // of their bytes, the last of which has room
}

// kept is a frame. Numbers of frames, and their lengths, fit in 32 bits, as they do in
// the formats of captures.
type kept struct {
	number, length uint32
	block, at, n   uint32 // where its bytes are, and how many
	link           frame.LinkType
	direction      frame.Direction
}

// keep keeps a frame that comes later in the capture than those before.
func (all *frames) keep(f *frame.Frame) {
	const size = 64 << 10
	last := len(all.blocks) - 1
	if last < 0 || cap(all.blocks[last])-len(all.blocks[last]) < len(f.Data) {
		all.blocks = append(all.blocks, make([]byte, 0, max(size, len(f.Data))))
		last++
	}
	block := &all.blocks[last]
	all.kept = append(all.kept, kept{
		number: uint32(f.Number), length: uint32(f.Length), link: f.Link, direction: f.Direction,
		block: uint32(last), at: uint32(len(*block)), n: uint32(len(f.Data)),
	})
	*block = append(*block, f.Data...)
}

// frame is the frame with a number, as far as it is kept.
func (all *frames) frame(number int) (frame.Frame, bool) {
	at, ok := slices.BinarySearchFunc(all.kept, number, func(k kept, number int) int { return cmp.Compare(int(k.number), number) })
	if !ok {
		return frame.Frame{Number: number}, false
	}
	k := &all.kept[at]
	data := all.blocks[k.block][k.at : k.at+k.n : k.at+k.n]
	return frame.Frame{Number: number, Data: data, Length: int(k.length), Link: k.link, Direction: k.direction}, true
}

// wanted is a frame that a path names: of a probe, or of a reply.
type wanted struct {
	number int
	probe  int // -1: of a reply
}

// sortWanted sorts what is wanted by number. If a path names a frame as a probe and as
// a reply, the probe comes first.
func sortWanted(all []wanted) {
	slices.SortFunc(all, func(a, b wanted) int {
		return cmp.Or(cmp.Compare(a.number, b.number), -cmp.Compare(a.probe, b.probe))
	})
}

// find is what is wanted with a number.
func find(all []wanted, number int) (wanted, bool) {
	at, ok := slices.BinarySearchFunc(all, number, func(w wanted, number int) int { return cmp.Compare(w.number, number) })
	if !ok {
		return wanted{}, false
	}
	return all[at], true
}
