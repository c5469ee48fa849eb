package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrForbidden is that the system does not let this user make the namespaces,
// or do inside what takes root of them.
var ErrForbidden = errors.New("the system does not let this user make a network of their own")

// stageVariable is set for process 1, to which mapping it runs under.
const stageVariable = "TRACELAB_STAGE"

// The mappings of user IDs.
const (
	mappedOne = "one" // only the user, as root; they cannot change their IDs
	mappedAll = "all" // every ID as itself
)

// Launch runs this program again with the same arguments and files as process
// 1 of new namespaces, and returns its exit code: 128 and the signal's number
// if it was killed. It passes on the signals that it is sent, unless they are
// ignored or its own to handle. Process 1 does not outlive this one.
//
// The new user namespace maps every ID to itself where the user is root, and
// else only the user, to root. The error is ErrForbidden where the system
// refuses.
func Launch(stdin, stdout, stderr *os.File) (int, error) {
	// The death of the thread that started process 1 would kill it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	told, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer told.Close()
	terminal := foregroundOf(stdin)
	defer terminal.restore()
	defer forward(tell)()

	var child *exec.Cmd
	for _, m := range mappings() {
		child = again(m, told)
		child.Stdin, child.Stdout, child.Stderr = stdin, stdout, stderr
		if err = child.Start(); err == nil {
			return exitCode(child.Wait(), child.ProcessState)
		}
	}
	return 0, refused(err)
}

// mapping is how user and group IDs inside stand for those outside.
type mapping struct {
	name       string
	uids, gids []syscall.SysProcIDMap
	setgroups  bool
}

// mappings are those to try, the most capable first.
func mappings() []mapping {
	one := mapping{
		name: mappedOne,
		uids: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		gids: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if os.Geteuid() != 0 {
		return []mapping{one}
	}
	uids, errU := identity("/proc/self/uid_map")
	gids, errG := identity("/proc/self/gid_map")
	if errors.Join(errU, errG) != nil {
		return []mapping{one}
	}
	return []mapping{{name: mappedAll, uids: uids, gids: gids, setgroups: true}, one}
}

// identity maps each ID of this process's own map to itself.
func identity(file string) ([]syscall.SysProcIDMap, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var ids []syscall.SysProcIDMap
	for line := range strings.Lines(string(text)) {
		var inside, outside, size int
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		ids = append(ids, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return ids, nil
}

// again is this program as process 1.
func again(m mapping, told *os.File) *exec.Cmd {
	child := exec.Command("/proc/self/exe")
	child.Args = os.Args
	child.Env = append(os.Environ(), stageVariable+"="+m.name)
	child.ExtraFiles = []*os.File{told}
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings:                m.uids,
		GidMappings:                m.gids,
		GidMappingsEnableSetgroups: m.setgroups,
		Pdeathsig:                  unix.SIGKILL,
	}
	return child
}

// forward writes the signals that this process gets to the pipe, a byte each,
// until the function that it returns is called, which closes the pipe.
func forward(pipe *os.File) (stop func()) {
	signals := catch()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range signals {
			// It fails when process 1 has ended, and with it the command.
			_, _ = pipe.Write([]byte{byte(s.(syscall.Signal))})
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
		pipe.Close()
	}
}

// exitCode is what a shell would say of a process that was waited for.
func exitCode(waited error, state *os.ProcessState) (int, error) {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return 128 + int(status.Signal()), nil
	case ok && status.Exited():
		return status.ExitStatus(), nil
	}
	return 0, waited
}

// refused wraps ErrForbidden if that is why namespaces could not be made.
func refused(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fmt.Errorf("%w: no more namespaces are allowed", ErrForbidden)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel lacks namespaces", ErrForbidden)
	}
	return denied(err)
}

// denied wraps ErrForbidden if the error is the lack of a permission, which is
// also how a security module takes back what it has let a user make.
func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

// Remedy is what to do about ErrForbidden on this system.
func Remedy() string {
	switch {
	case setting("kernel/unprivileged_userns_clone") == 0:
		return "allow it with 'sudo sysctl kernel.unprivileged_userns_clone=1', or run it as root"
	case setting("kernel/apparmor_restrict_unprivileged_userns") == 1:
		return "allow it with 'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0', or run it as root"
	case setting("user/max_user_namespaces") == 0:
		return "allow it with 'sudo sysctl user.max_user_namespaces=10000'"
	case isRoot():
		return "in a container, run that with --privileged or without its seccomp profile"
	}
	return "run it as root, or in a container with --privileged"
}

// isRoot tells whether the user is root, and not only of namespaces that we
// have made.
func isRoot() bool {
	var inside, outside int
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return os.Geteuid() == 0
	}
	_, err = fmt.Sscan(string(text), &inside, &outside)
	return err == nil && os.Geteuid() == 0 && inside == outside
}

// setting is a number from /proc/sys, or -1.
func setting(name string) int {
	text, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return -1
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return value
}
