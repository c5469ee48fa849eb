package namespace

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

// idCalls are the calls that change the user and group IDs of processes and
// files. In a namespace with one ID they can only do nothing or fail.
var idCalls = append([]uint32{
	unix.SYS_SETGROUPS, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID,
	unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
	unix.SYS_FCHOWN, unix.SYS_FCHOWNAT,
}, oldIDCalls...)

// pretendIDs makes the calls that change IDs succeed without effect, in this
// process and in all that it starts: a user namespace made without privileges
// forbids setgroups, and has no other ID to change to; but tcpdump, scamper
// and others give up when they cannot drop what privileges they believe to
// have. Where seccomp is not to be had, they cannot be used.
func pretendIDs() {
	arch, known := auditArchitectures[runtime.GOARCH]
	if !known {
		return
	}
	// struct seccomp_data: the call's number at 0, the architecture at 4.
	calls := uint8(len(idCalls))
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jf: calls + 1},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
	}
	for i, call := range idCalls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: calls - uint8(i)})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO}, // errno 0
	)
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, _ = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
}
