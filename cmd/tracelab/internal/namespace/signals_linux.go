package namespace

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// ownSignals are those that a process handles itself, and does not pass on.
var ownSignals = map[unix.Signal]bool{
	// The terminal and the shell send these to the command too.
	unix.SIGCONT: true, unix.SIGTSTP: true, unix.SIGTTIN: true, unix.SIGTTOU: true, unix.SIGWINCH: true,
	// These come of what the process itself does, and SIGURG of Go's scheduler.
	unix.SIGCHLD: true, unix.SIGPIPE: true, unix.SIGURG: true,
	unix.SIGILL: true, unix.SIGTRAP: true, unix.SIGBUS: true, unix.SIGFPE: true, unix.SIGSEGV: true, unix.SIGSYS: true,
	// Nobody can catch these.
	unix.SIGKILL: true, unix.SIGSTOP: true,
}

// Threads libraries and Go keep the first of the real-time signals to
// themselves.
const (
	lastReserved = 34
	lastSignal   = 64
)

// passedOn tells whether a signal is passed on to the command.
func passedOn(s unix.Signal) bool {
	reserved := s > unix.SIGSYS && s <= lastReserved
	return !ownSignals[s] && !reserved
}

// catch has the signals to pass on sent to a channel, but for those that are
// ignored.
func catch() chan os.Signal {
	signals := make(chan os.Signal, 8)
	for s := unix.Signal(1); s <= lastSignal; s++ {
		if passedOn(s) && !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals
}
