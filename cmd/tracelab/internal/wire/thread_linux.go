package wire

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// thread is the one that serves, which calls all of its functions.
type thread struct {
	stat *os.File // or nil
	buf  [64]byte
}

// takeThread makes the calling thread's sleeps as exact as the kernel can.
func takeThread() *thread {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	stat, err := os.Open("/proc/thread-self/schedstat")
	if err != nil {
		return &thread{}
	}
	return &thread{stat: stat}
}

// waited is for how long the thread was ready to run so far and had no
// processor. It is always 0 where the kernel does not tell.
func (t *thread) waited() time.Duration {
	if t.stat == nil {
		return 0
	}
	n, _ := t.stat.ReadAt(t.buf[:], 0) // less than there is room for: io.EOF
	// How long it ran, how long it waited, and how often it ran.
	_, rest, _ := bytes.Cut(t.buf[:n], []byte(" "))
	waited, _, _ := bytes.Cut(rest, []byte(" "))
	ns, err := strconv.ParseInt(string(waited), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ns)
}

func (t *thread) release() {
	if t.stat != nil {
		t.stat.Close()
	}
}
