package kernelnet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// stateVariable tells a process, and those it starts, how far its test run has
// got: unset before Wrap, then one of the states below.
const stateVariable = "TRACEWIRE_KERNELNET"

const (
	stateEntering = "entering"
	stateInside   = "inside"
	stateRefused  = "refused: " // and the reason
)

// M runs tests inside a fresh namespace; see Wrap.
type M struct {
	tests interface{ Run() int }
}

// Wrap returns an M whose Run runs m in a fresh user, network and mount
// namespace. It serves TestMain directly and inside testscript.Main:
//
//	os.Exit(kernelnet.Wrap(m).Run())
//	testscript.Main(kernelnet.Wrap(m), commands)
func Wrap(m interface{ Run() int }) M { return M{tests: m} }

// Run executes this program again with the same arguments, as root of its own
// user namespace and in a network namespace where only lo exists and is up,
// and returns its exit code; the tests run there and not in this process. It
// does so for root too, so that both run the same code. SIGINT, SIGTERM,
// SIGQUIT and SIGHUP are passed on, and the new process does not outlive this
// one.
//
// Where the system refuses, the tests run in this process, and those that
// call New or Require skip or fail.
//
// Both ways PATH is extended by /usr/sbin and /sbin, where an ordinary user's
// PATH lacks them. Inside, /sys shows the new namespace, no name server is known, and
// setgroups succeeds without effect, where the system allows that.
func (m M) Run() int {
	extendPath()
	switch os.Getenv(stateVariable) {
	case "":
		code, err := reexec()
		if err == nil {
			return code
		}
		os.Setenv(stateVariable, stateRefused+err.Error())
	case stateEntering:
		if !settle() {
			return 1
		}
		os.Setenv(stateVariable, stateInside)
		defer stampFrames()()
	}
	return m.tests.Run()
}

// stampFrames has the kernel stamp every frame before anybody captures it, until the
// function that it returns is called. It does so while any socket asks for stamps, but
// begins some time after the first has asked, and on a busy machine later: until then
// each capture stamps its own copy, microseconds apart.
func stampFrames() (end func()) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return func() {}
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) // else they are as far apart as elsewhere
	return func() { unix.Close(fd) }
}

func extendPath() {
	path := strings.Split(os.Getenv("PATH"), ":")
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	os.Setenv("PATH", strings.Join(path, ":"))
}

// reexec runs this program in new namespaces and returns its exit code, or an
// error when the system did not let it settle there; no test has run then.
func reexec() (int, error) {
	// Pdeathsig is sent when the thread that started the process ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	refusals, refusalsOut, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer refusals.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), stateVariable+"="+stateEntering)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{refusalsOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	err = cmd.Start()
	refusalsOut.Close()
	if err != nil {
		return 0, err
	}
	defer forwardSignals(cmd.Process)()

	refusal, err := io.ReadAll(refusals)
	waited := cmd.Wait()
	if len(refusal) > 0 || err != nil {
		return 0, errors.Join(errors.New(string(refusal)), err)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 0, waited
}

// forwardSignals passes signals on to p until the returned function is called.
// A terminal sends its SIGINT to p as well; that p then sees two does no harm,
// and a signal sent to this process alone is not lost.
func forwardSignals(p *os.Process) (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range signals {
			_ = p.Signal(s) // fails only when p has ended, and Run with it
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// settle makes the new namespace fit for tests. On failure it tells the
// waiting parent why and returns false.
func settle() bool {
	refusals := os.NewFile(3, "refusals")
	defer refusals.Close()
	if err := furnishHost(); err != nil {
		fmt.Fprint(refusals, err)
		return false
	}
	return true
}

func furnishHost() error {
	if err := writeSysctls(slices.Concat(baseSysctls, multipathSysctls)...); err != nil {
		return err
	}
	host, err := currentNamespace()
	if err != nil {
		return err
	}
	defer host.Close()
	if err := loopbackUp(host); err != nil {
		return err
	}
	// Masked in some containers; only programs that look there notice.
	_ = unix.Mount("sysfs", "/sys", "sysfs", 0, "")
	// The system's name server is in no network of ours: each look-up would wait for
	// it. Without one, that of this host is asked, which refuses at once. Where there
	// is no such file it is so already.
	_ = unix.Mount("/dev/null", "/etc/resolv.conf", "", unix.MS_BIND, "")
	pretendSetgroups()
	return nil
}
