package explain

import (
	"cmp"
	"slices"

	"github.com/tracewire/tracewire/capture/frame"
)

// frames are the frames that are kept of a capture. There may be very many, so they
// take little more room than their bytes.
type frames struct {
	kept []kept // by number
	room []byte // for the bytes of more
}

type kept struct {
	number    int
	data      []byte
	length    int
	link      frame.LinkType
	direction frame.Direction
}

// keep keeps a frame that comes later in the capture than those before.
func (all *frames) keep(f *frame.Frame) {
	const block = 64 << 10
	if len(f.Data) > len(all.room) {
		all.room = make([]byte, max(block, len(f.Data)))
	}
	n := copy(all.room, f.Data)
	all.kept = append(all.kept, kept{f.Number, all.room[:n:n], f.Length, f.Link, f.Direction})
	all.room = all.room[n:]
}

// frame is the frame with a number, as far as it is kept.
func (all *frames) frame(number int) (frame.Frame, bool) {
	at, ok := slices.BinarySearchFunc(all.kept, number, func(k kept, number int) int { return cmp.Compare(k.number, number) })
	if !ok {
		return frame.Frame{Number: number}, false
	}
	k := &all.kept[at]
	return frame.Frame{Number: number, Data: k.data, Length: k.length, Link: k.link, Direction: k.direction}, true
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
