package namespace

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// terminal is a terminal and the process group in its foreground.
type terminal struct {
	fd    int
	group int32
}

// foregroundOf tells which process group is in the foreground of the terminal
// that a file is. It is nil where the file is none.
func foregroundOf(f *os.File) *terminal {
	fd := int(f.Fd())
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return nil
	}
	return &terminal{fd: fd, group: int32(group)}
}

// restore puts the group back into the foreground. A shell inside takes it,
// and cannot give it back to a group that it cannot name from its namespace.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	if now, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err != nil || int32(now) == t.group {
		return
	}
	// Who sets it from the background is stopped by SIGTTOU.
	signal.Ignore(unix.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, int(t.group))
}
