package matcher

import (
	"math/rand/v2"

	"github.com/tracewire/tracewire/craft"
)

// index finds the entries of a Run that are the same in a view. Most probes
// are only ever sought in one of them, so entries are filed in a view when that
// is first looked at.
type index struct {
	views [craft.Views]chains
	seed  uint64 // so that nobody can make chains long by choosing the keys
}

// chains are the hash table of a view. Its chains lead from the latest entry to
// the earliest.
type chains struct {
	heads []int32 // by the hash: one more than the latest entry; 0 for none
	next  []int32 // by entry, of those that are filed: one more than the entry before it in the same chain
}

// none is no entry.
const none = int32(-1)

// maxChain bounds how many entries are looked at: those of probes that are all
// alike are a chain of their own. What lies farther back is not found.
const maxChain = 4096

// reset empties the index. It keeps its room.
func (x *index) reset() {
	for v := range x.views {
		if c := &x.views[v]; len(c.next) > 0 {
			c.next = c.next[:0]
			clear(c.heads)
		}
	}
}

// in returns the chains of a view, in which all entries are filed.
func (x *index) in(entries []entry, v craft.View) *chains {
	c := &x.views[v]
	if len(c.next) < len(entries) {
		x.file(entries, v)
	}
	return c
}

// file files the entries that are new to a view, or all of them in twice the
// room.
func (x *index) file(entries []entry, v craft.View) {
	if x.seed == 0 {
		x.seed = rand.Uint64() | 1
	}
	c := &x.views[v]
	if size := max(16, len(c.heads)); len(entries) > len(c.heads) {
		for size < 2*len(entries) {
			size *= 2
		}
		c.heads, c.next = make([]int32, size), c.next[:0]
	}
	for n := len(c.next); n < len(entries); n++ {
		key, link := &entries[n].key, int32(0)
		if (v != craft.Cookie || key.HasCookie) && (v != craft.PortQuery || key.Query != 0) {
			head := x.slot(v, key)
			link, *head = *head, int32(n+1)
		}
		c.next = append(c.next, link)
	}
}

func (x *index) slot(v craft.View, key *craft.Key) *int32 {
	heads := x.views[v].heads
	return &heads[(key.Hash(v)*x.seed)>>32&uint64(len(heads)-1)]
}

// head returns the latest entry that is the same as key in a view.
func (x *index) head(entries []entry, v craft.View, key *craft.Key) int32 {
	if len(entries) == 0 {
		return none
	}
	c := x.in(entries, v)
	return c.same(entries, v, key, *x.slot(v, key))
}

// before returns the entry before i that is the same in a view.
func (x *index) before(entries []entry, v craft.View, i int32) int32 {
	c := x.in(entries, v)
	return c.same(entries, v, &entries[i].key, c.next[i])
}

// same walks a chain to the first entry that is the same as key in a view.
func (c *chains) same(entries []entry, v craft.View, key *craft.Key, link int32) int32 {
	for ; link != 0; link = c.next[link-1] {
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
