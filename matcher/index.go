package matcher

import (
	"math/rand/v2"

	"github.com/tracewire/tracewire/craft"
)

// index finds the entries of a Table that are the same in a view. It is a hash
// table for each view, whose chains run through next from the latest entry to
// the earliest.
type index struct {
	heads [craft.Views][]int32 // by the hash: one more than the latest entry; 0 for none
	next  [][craft.Views]int32 // by entry: one more than the entry before it in the same chain
	seed  uint64               // so that nobody can make chains long by choosing the keys
}

// none is no entry.
const none = int32(-1)

// maxChain bounds how many entries are looked at: those of probes that are all
// alike are a chain of their own. What lies farther back is not found.
const maxChain = 4096

// add files the last of entries.
func (x *index) add(entries []entry) {
	n := len(entries) - 1
	x.next = append(x.next, [craft.Views]int32{})
	if len(entries) > len(x.heads[0]) {
		x.grow(entries)
		return
	}
	x.file(n, &entries[n].key)
}

func (x *index) file(n int, key *craft.Key) {
	for v := range craft.View(craft.Views) {
		if v == craft.Cookie && !key.HasCookie || v == craft.PortQuery && key.Query == 0 {
			continue
		}
		head := x.slot(v, key)
		x.next[n][v] = *head
		*head = int32(n + 1)
	}
}

// reset empties the index. It keeps its room.
func (x *index) reset() {
	x.next = x.next[:0]
	for v := range x.heads {
		clear(x.heads[v])
	}
}

// grow files all entries anew, in twice the room.
func (x *index) grow(entries []entry) {
	if x.seed == 0 {
		x.seed = rand.Uint64() | 1
	}
	size := max(16, 2*len(x.heads[0]))
	room := make([]int32, size*craft.Views)
	for v := range x.heads {
		x.heads[v] = room[v*size : (v+1)*size]
	}
	for n := range entries {
		x.file(n, &entries[n].key)
	}
}

func (x *index) slot(v craft.View, key *craft.Key) *int32 {
	heads := x.heads[v]
	return &heads[(key.Hash(v)*x.seed)>>32&uint64(len(heads)-1)]
}

// head returns the latest entry that is the same as key in a view.
func (x *index) head(entries []entry, v craft.View, key *craft.Key) int32 {
	if len(entries) == 0 {
		return none
	}
	return x.same(entries, v, key, *x.slot(v, key))
}

// before returns the entry before i that is the same in a view.
func (x *index) before(entries []entry, v craft.View, i int32) int32 {
	return x.same(entries, v, &entries[i].key, x.next[i][v])
}

// same walks a chain to the first entry that is the same as key in a view.
func (x *index) same(entries []entry, v craft.View, key *craft.Key, link int32) int32 {
	for ; link != 0; link = x.next[link-1][v] {
		if entries[link-1].key.Same(v, key) {
			return link - 1
		}
	}
	return none
}

// filed yields the entries that are the same as key in a view, from the latest
// to the earliest.
func (x *index) filed(entries []entry, v craft.View, key *craft.Key) func(func(int32) bool) {
	return func(yield func(int32) bool) {
		n := 0
		for i := x.head(entries, v, key); i != none && n < maxChain && yield(i); i = x.before(entries, v, i) {
			n++
		}
	}
}
