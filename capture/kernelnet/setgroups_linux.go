package kernelnet

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// auditArchitectures are the values of seccomp_data.arch (linux/audit.h).
var auditArchitectures = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// pretendSetgroups makes setgroups succeed without effect, in this process and
// in all that it starts. A user namespace made without privileges forbids the
// call, and tcpdump -Z root gives up when it fails. Where seccomp is not to be
// had, tcpdump cannot be used.
func pretendSetgroups() {
	arch, known := auditArchitectures[runtime.GOARCH]
	if !known {
		return
	}
	// struct seccomp_data: the call's number at 0, the architecture at 4.
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SETGROUPS, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO}, // errno 0
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, _ = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
}
