package topology

import (
	"sort"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where in a file a value stands, and the places of the values in it.
// The nil place is that of a value built in Go.
type place struct {
	offset int
	keys   map[string]*place // of a table
	elems  []*place          // of an array

	// faulty: it has been reported already that this could not be read. What
	// the checks find to be missing here is a consequence.
	faulty bool
}

// key is where the value of a key stands, or its table where it is not written.
func (p *place) key(names ...string) *place {
	for _, name := range names {
		if p == nil || p.keys[name] == nil {
			return p
		}
		p = p.keys[name]
	}
	return p
}

// elem is where the element i of an array stands, or the array where elements
// have no place of their own.
func (p *place) elem(i int) *place {
	if p == nil || i >= len(p.elems) {
		return p
	}
	return p.elems[i]
}

func (p *place) child(name string, offset int) *place {
	c := p.keys[name]
	if c == nil {
		if p.keys == nil {
			p.keys = map[string]*place{}
		}
		c = &place{offset: offset}
		p.keys[name] = c
	}
	return c
}

// add appends an element to an array.
func (p *place) add(offset int) *place {
	e := &place{offset: offset}
	p.elems = append(p.elems, e)
	return e
}

// last is the element that a header below an array of tables refers to.
func (p *place) last() *place {
	if n := len(p.elems); n > 0 {
		return p.elems[n-1]
	}
	return p
}

// placesOf finds where the values of a document stand. The document has been
// read as TOML before, without errors.
func placesOf(document []byte) *place {
	root := &place{}
	table := root
	var p unstable.Parser
	p.Reset(document)
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			table = header(root, e)
		case unstable.ArrayTable:
			array := header(root, e)
			table = array.add(keyOffset(e))
		case unstable.KeyValue:
			keyValue(table, e)
		}
	}
	return root
}

// header is the place that the key of a table's header names, which for an
// array of tables is the array.
func header(root *place, e *unstable.Node) *place {
	p := root
	for it := e.Key(); it.Next(); {
		k := it.Node()
		p = p.last().child(string(k.Data), int(k.Raw.Offset))
	}
	if e.Kind == unstable.Table {
		return p.last()
	}
	return p
}

func keyValue(table *place, e *unstable.Node) {
	p := table
	for it := e.Key(); it.Next(); {
		k := it.Node()
		p = p.child(string(k.Data), int(k.Raw.Offset))
	}
	value(p, e.Value())
}

func value(p *place, v *unstable.Node) {
	switch v.Kind {
	case unstable.Array:
		for it := v.Children(); it.Next(); {
			offset := p.offset
			if e := it.Node(); e.Raw.Length > 0 {
				offset = int(e.Raw.Offset)
			}
			value(p.add(offset), it.Node())
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			keyValue(p, it.Node())
		}
	}
}

func keyOffset(e *unstable.Node) int {
	it := e.Key()
	it.Next()
	return int(it.Node().Raw.Offset)
}

// lines are the offsets at which the lines of a document begin.
type lines []int

func linesOf(document []byte) lines {
	starts := lines{0}
	for i, c := range document {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// position is the line and the column, in bytes, of an offset. Both count from 1.
func (l lines) position(offset int) (line, column int) {
	line = sort.SearchInts(l, offset+1)
	return line, offset - l[line-1] + 1
}
