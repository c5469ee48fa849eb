package pcapng

import "bufio"

// window is what is buffered of the input. Its bytes stay where they are until
// need finds fewer than it wants; so small blocks cost no call of the buffer's.
type window struct {
	in    *bufio.Reader
	ahead []byte // what in has buffered and is not done with
	done  int    // how much in has buffered before that
}

// need sees to it that the next n bytes, which are not more than readAhead, are
// ahead. The error says why there are fewer: io.EOF at the end of the input.
func (w *window) need(n int) error {
	if n <= len(w.ahead) {
		return nil
	}
	return w.fill(n)
}

func (w *window) fill(n int) error {
	if _, err := w.in.Discard(w.done); err != nil {
		return err // can't be: so much is buffered
	}
	_, err := w.in.Peek(n)
	w.ahead, _ = w.in.Peek(w.in.Buffered())
	w.done = 0
	return err
}

// drop is done with n bytes that are ahead.
func (w *window) drop(n int) {
	w.ahead = w.ahead[n:]
	w.done += n
}

// skip is done with what follows, buffered or not, and returns how much it was.
func (w *window) skip(n int) (int, error) {
	if n <= len(w.ahead) {
		w.drop(n)
		return n, nil
	}
	if _, err := w.in.Discard(w.done); err != nil {
		return 0, err // can't be: so much is buffered
	}
	w.ahead, w.done = nil, 0
	return w.in.Discard(n)
}
