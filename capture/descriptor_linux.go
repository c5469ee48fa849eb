//go:build linux && cgo

package capture

import (
	"math/rand/v2"
	"os"
	"strconv"
	"unsafe"

	"github.com/google/gopacket/pcap"
	"golang.org/x/sys/unix"
)

// descriptor finds the packet socket of a handle, which gopacket does not say. It
// sets a filter that no other socket has, and looks for the socket with this
// filter among the files of this process. So it finds the right one whatever
// else the process opens and closes at the same time.
//
// The handle captures nothing until the caller sets another filter. The
// descriptor belongs to the handle, and is valid until it is closed.
func descriptor(h *pcap.Handle) (fd int, ok bool) {
	mark := rand.Uint32()
	drop := []pcap.BPFInstruction{{Code: unix.BPF_LD | unix.BPF_IMM, K: mark}, {Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	if err := h.SetBPFInstructionFilter(drop); err != nil {
		return 0, false
	}
	for _, fd := range openDescriptors() {
		if hasFilter(fd, drop) {
			return fd, true
		}
	}
	return 0, false
}

// openDescriptors returns the open descriptors of this process, or nil if /proc can't be
// read.
func openDescriptors() (all []int) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil {
			all = append(all, fd)
		}
	}
	return all
}

// hasFilter reports whether a descriptor is a socket with a filter of these two
// instructions (SO_GET_FILTER of socket(7)). The kernel takes and returns the
// length in instructions, and refuses to return a longer filter.
func hasFilter(fd int, want []pcap.BPFInstruction) bool {
	var got [2]unix.SockFilter
	length := uint32(len(got))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER,
		uintptr(unsafe.Pointer(&got[0])), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 || int(length) != len(want) {
		return false
	}
	for i, g := range got {
		if g.Code != want[i].Code || g.K != want[i].K {
			return false
		}
	}
	return true
}
