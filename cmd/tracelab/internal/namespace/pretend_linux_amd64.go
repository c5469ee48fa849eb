package namespace

import "golang.org/x/sys/unix"

// oldIDCalls are those that younger architectures do without.
var oldIDCalls = []uint32{unix.SYS_CHOWN, unix.SYS_LCHOWN}
