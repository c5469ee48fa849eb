package privilege

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// atSecure is the key of AT_SECURE in the auxiliary vector (getauxval(3)).
const atSecure = 23

// Borrowed reports whether this process has rights that its user lacks: those of
// its program's file. Root, also that of a user namespace, borrows none, and
// neither does anybody whose capabilities were there before the program was
// started. It fails with ErrSetID.
//
// The kernel says so itself (AT_SECURE): that a process has a capability doesn't
// tell where it is from.
func Borrowed() (bool, error) {
	secure := isSecure()
	switch {
	case os.Getuid() != os.Geteuid(), os.Getgid() != os.Getegid():
		return true, ErrSetID
	case os.Getuid() == 0:
		return false, nil
	}
	return secure, nil
}

// isSecure is AT_SECURE of this process; true if that isn't known. Its file in
// /proc is not for the user of such a process.
func isSecure() bool {
	vector, err := unix.Auxv()
	if err != nil {
		return true
	}
	for _, entry := range vector {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return true
}

// Drop takes all capabilities from all threads of this process, and from all that
// it starts, for good. What is open stays open.
func Drop() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, failed := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if failed == 0 {
		_, _, failed = psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	}
	if failed != 0 {
		return fmt.Errorf("%w: %w", ErrKept, failed)
	}
	return nil
}
