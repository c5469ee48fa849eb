package pcapng

import (
	"bufio"
	"fmt"
	"io"
)

// window is what is buffered of the input. What peek returns stays where it is
// until a later peek finds less than it wants; so small blocks cost no call of
// the buffer's.
type window struct {
	in    *bufio.Reader
	ahead []byte // what in has buffered, from what was there when it was filled
	done  int    // how much of ahead is done with
}

// peek returns the next n bytes, which are not more than readAhead, or what
// there is of them and why there is no more: io.EOF at the end of the input.
func (w *window) peek(n int) ([]byte, error) {
	if n <= len(w.ahead)-w.done {
		return w.ahead[w.done : w.done+n], nil
	}
	return w.fill(n)
}

func (w *window) fill(n int) ([]byte, error) {
	if _, err := w.in.Discard(w.done); err != nil {
		return nil, err // can't be: so much is buffered
	}
	next, err := w.in.Peek(n)
	w.ahead, _ = w.in.Peek(w.in.Buffered())
	w.done = 0
	return next, err
}

// skip drops what follows, buffered or not, and returns how much it dropped.
func (w *window) skip(n int) (int, error) {
	if n <= len(w.ahead)-w.done {
		w.done += n
		return n, nil
	}
	if _, err := w.in.Discard(w.done); err != nil {
		return 0, err // can't be: so much is buffered
	}
	w.ahead, w.done = nil, 0
	return w.in.Discard(n)
}

// cut says why a block could not be read beyond a byte of the file.
func (r *Reader) cut(at int64, err error) error {
	if err == io.EOF {
		return fmt.Errorf("truncated at byte %d in %s: %w", at, r.what("the "), io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading %s at byte %d: %w", r.what("the "), at, err)
}

// bad says what is wrong with the block that was begun.
func (r *Reader) bad(format string, args ...any) error {
	return fmt.Errorf("%s at byte %d: %s", r.what(""), r.offset, fmt.Sprintf(format, args...))
}

// what names the block that was begun.
func (r *Reader) what(article string) string {
	switch r.kind {
	case enhancedPacketBlock, simplePacketBlock, obsoletePacketBlock:
		return fmt.Sprintf("frame %d", r.frames)
	case 0: // not even the type could be read
		return article + "block"
	case sectionHeaderBlock:
		return article + "section header"
	case interfaceBlock:
		return article + "interface block"
	case namesBlock:
		return article + "names block"
	case statisticsBlock:
		return article + "statistics block"
	}
	return fmt.Sprintf("%sblock of type %#x", article, r.kind)
}
