// Package window is what the readers of capture files look at a file through.
package window

import "bufio"

// Window is what is buffered of an input. Its bytes stay where they are until
// Need finds fewer than it wants; so small records cost no call of the buffer's.
type Window struct {
	// Ahead is what is buffered and not done with.
	Ahead []byte

	in   *bufio.Reader
	done int // how much in has buffered before Ahead
}

// New returns a Window on what in has not read so far. Nobody else is to read
// from it.
func New(in *bufio.Reader) Window { return Window{in: in} }

// Need sees to it that the next n bytes, which are no more than the buffer
// holds, are ahead. The error says why there are fewer: io.EOF at the end of the
// input.
func (w *Window) Need(n int) error {
	if n <= len(w.Ahead) {
		return nil
	}
	return w.fill(n)
}

func (w *Window) fill(n int) error {
	if _, err := w.in.Discard(w.done); err != nil {
		return err // can't be: so much is buffered
	}
	_, err := w.in.Peek(n)
	w.Ahead, _ = w.in.Peek(w.in.Buffered())
	w.done = 0
	return err
}

// Drop is done with n bytes that are ahead.
func (w *Window) Drop(n int) {
	w.Ahead = w.Ahead[n:]
	w.done += n
}

// Skip is done with what follows, buffered or not, and returns how much it was.
func (w *Window) Skip(n int) (int, error) {
	if n <= len(w.Ahead) {
		w.Drop(n)
		return n, nil
	}
	if _, err := w.in.Discard(w.done); err != nil {
		return 0, err // can't be: so much is buffered
	}
	w.Ahead, w.done = nil, 0
	return w.in.Discard(n)
}
