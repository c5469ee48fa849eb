//go:build linux && cgo

package capture

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waiter lets the reader of a Live sleep until the kernel has a frame or a notice, or
// until a watermark is due.
//
// It is an epoll instance with the packet socket and the socket of the notices. The Go
// runtime polls the instance in turn, as a file with a read deadline, so no thread waits
// in a system call. For each thread that does, the runtime's monitor wakes up dozens of
// times to see whether it still waits.
//
// Any goroutine may call wake and request. The reader alone calls the other methods.
type waiter struct {
	sockets [2]unix.PollFd // the packet socket, and that of the notices; a descriptor of -1 is none
	fd      int            // of the epoll instance
	file    *os.File       // the same
	conn    syscall.RawConn
	look    func(fd uintptr) bool // is lookAt, made a function once
	events  [2]unix.EpollEvent
	found   ready
	failed  error
	looks   int // since the reader began to sleep
	wakeups atomic.Int64

	idle    time.Duration
	yielded time.Time // when a frame or a watermark was read last
	marked  time.Time // when a watermark was
	told    time.Time // its stamp, or that of a later frame
	lookBy  time.Time // when the next watermark is due in any case; zero if none is

	mu        sync.Mutex // never held while the reader sleeps
	requested time.Time  // a watermark is wanted after this time; zero if none is
	until     time.Time  // when the reader wakes up; zero while it is awake, and then alone uses the four times above
}

// ready is what need not be waited for.
type ready struct{ ring, notices bool }

const (
	// settle is by how much a watermark is older than the moment when the ring was
	// found empty. A frame is stamped by whichever processor receives it, and is put
	// into the ring a little later: within 45 µs, of 250,000 frames on two processors
	// with and without load.
	settle = 2 * time.Millisecond

	// markInterval is how far apart watermarks are at least, if they are requested.
	markInterval = time.Millisecond
)

// newWaiter waits for what a packet socket receives, and for notices. It returns nil if
// the system refuses that, for example because too many files are open.
func newWaiter(ring int, n *notices, idle time.Duration) *waiter {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	w := &waiter{fd: fd, idle: max(idle, settle)}
	w.look = w.lookAt
	w.sockets = [2]unix.PollFd{{Fd: int32(ring), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	err = unix.SetNonblock(fd, true) // the runtime polls no others
	w.file = os.NewFile(uintptr(fd), "epoll")
	if err == nil {
		err = w.watch(unix.EPOLL_CTL_ADD, 0)
	}
	if err == nil && n != nil {
		w.sockets[1].Fd = int32(n.fd)
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, n.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n.fd)})
	}
	if err == nil {
		w.conn, err = w.file.SyscallConn()
	}
	if err == nil {
		err = w.file.SetReadDeadline(time.Time{}) // fails if the runtime doesn't poll it
	}
	if err != nil {
		w.close()
		return nil
	}
	return w
}

// begin is when the reader begins to read.
func (w *waiter) begin(now time.Time) { w.yielded = now }

// now returns what is ready. It doesn't wait.
func (w *waiter) now() (r ready, err error) {
	_, err = unix.Poll(w.sockets[:], 0)
	if err == unix.EINTR {
		return r, nil
	}
	return ready{ring: w.sockets[0].Revents != 0, notices: w.sockets[1].Revents != 0}, err
}

// sleep returns what is ready, or nothing when a watermark is due, and after wake. It
// returns at once if stopped is true, which is to become true before wake is called.
func (w *waiter) sleep(stopped func() bool) (ready, error) {
	w.mu.Lock()
	now := time.Now()
	left := w.left(now)
	if left <= 0 || stopped() {
		w.mu.Unlock()
		return ready{}, nil
	}
	w.until = now.Add(left)
	err := w.file.SetReadDeadline(w.until)
	w.mu.Unlock()
	w.looks = 0
	if err == nil {
		err = w.conn.Read(w.look)
	}
	w.mu.Lock()
	w.until = time.Time{}
	w.mu.Unlock()
	switch {
	case os.IsTimeout(err):
		w.wakeups.Add(1)
		return ready{}, w.watch(unix.EPOLL_CTL_MOD, 0)
	case err != nil:
		return ready{}, err
	}
	return w.found, w.failed
}

// lookAt reports whether something is ready, and notes what. The runtime calls it before
// the reader sleeps, and whenever it wakes up.
func (w *waiter) lookAt(uintptr) bool {
	w.found = ready{}
	if w.looks++; w.looks > 1 {
		w.wakeups.Add(1)
	} else if w.failed = w.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLONESHOT); w.failed != nil {
		return true
	}
	n, err := unix.EpollWait(w.fd, w.events[:], 0)
	if err == unix.EINTR {
		n, err = 0, nil
	}
	for _, e := range w.events[:max(n, 0)] {
		w.found.ring = w.found.ring || e.Fd == w.sockets[0].Fd
		w.found.notices = w.found.notices || e.Fd == w.sockets[1].Fd
	}
	w.failed = err
	return n > 0 || err != nil
}

// watch adds the packet socket to the epoll instance, or modifies for what it is watched.
// It is watched only while the reader sleeps, and until the first frame: the following
// cost no more than their place in the ring.
func (w *waiter) watch(change int, events uint32) error {
	ring := w.sockets[0].Fd
	return unix.EpollCtl(w.fd, change, int(ring), &unix.EpollEvent{Events: events, Fd: ring})
}

// left is how long after now a watermark is due.
func (w *waiter) left(now time.Time) time.Duration {
	left := w.idle - now.Sub(w.yielded)
	if !w.lookBy.IsZero() {
		left = min(left, w.lookBy.Sub(now))
	}
	if !w.requested.IsZero() && !w.told.After(w.requested) {
		// By the clock that stamps frames. Sub is at most the longest Duration.
		if after := w.requested.Sub(now.Round(0)); after < left {
			left = min(left, max(after+settle+1, markInterval-now.Sub(w.marked)))
		}
	}
	return left
}

// isDue reports whether a watermark is due.
func (w *waiter) isDue(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left(now) <= 0
}

// mark returns the watermark that holds if the ring was found empty after now.
func (w *waiter) mark(now time.Time) time.Time {
	w.marked = now
	if !now.Before(w.lookBy) {
		w.lookBy = time.Time{}
	}
	return w.read(now, now.Add(-settle).UTC().Round(0))
}

// read notes when what was read last, and its stamp, which it returns.
func (w *waiter) read(now, stamp time.Time) time.Time {
	w.yielded, w.told = now, stamp
	return stamp
}

// request asks for a watermark after a time.
func (w *waiter) request(after time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requested = after
	if w.until.IsZero() {
		return
	}
	now := time.Now()
	if due := now.Add(w.left(now)); due.Before(w.until) {
		w.until = due
		_ = w.file.SetReadDeadline(due) // fails if it was closed
	}
}

// wake ends a sleep.
func (w *waiter) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.until.IsZero() {
		_ = w.file.SetReadDeadline(time.Unix(1, 0))
	}
}

func (w *waiter) close() { w.file.Close() }
