package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// counter is a shell that says "ready", counts INT and TERM until it gets HUP
// or QUIT, and then says how many came.
const counter = `trap 'int=$((int+1))' INT; trap 'term=$((term+1))' TERM; trap 'over=1' HUP QUIT
	echo ready $$; while [ -z "$over" ]; do sleep 0.05; done; echo "int=$int term=$term"; exit 3`

// session is "tracelab run chain -- sh -c …" as a process of its own.
type session struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Reader
}

func start(t *testing.T, script string, prepare func(*exec.Cmd)) *session {
	t.Helper()
	requireLab(t)
	cmd := exec.Command(program(t), "run", "chain", "--", "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = in
	if prepare != nil {
		prepare(cmd)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	s := &session{t, cmd, bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails where it has ended as it should
		_ = cmd.Wait()
		out.Close()
	})
	s.expect("ready")
	return s
}

// expect reads a line that begins with text.
func (s *session) expect(text string) {
	s.t.Helper()
	line, err := s.lines.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, text) {
		s.t.Fatalf("%q, %v, want %q", line, err, text)
	}
}

// signal sends a signal to the launcher, or to its process group, and leaves
// the shell time to notice it: one that comes meanwhile would not count.
func (s *session) signal(sig syscall.Signal, group bool) {
	s.t.Helper()
	pid := s.cmd.Process.Pid
	if group {
		pid = -pid
	}
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
}

func (s *session) exit(code int) {
	s.t.Helper()
	_ = s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
}

// Signals sent to tracelab reach the command, and each once.
func TestSignalsArePassedOn(t *testing.T) {
	s := start(t, counter, nil)
	s.signal(unix.SIGINT, false)
	s.signal(unix.SIGTERM, false)
	s.signal(unix.SIGINT, false)
	s.signal(unix.SIGHUP, false)
	s.expect("int=2 term=1")
	s.exit(3)
}

// A signal that ends the command ends tracelab as a shell would say it.
func TestSignalEndsCommand(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		s := start(t, "echo ready; exec sleep 1000", nil)
		s.signal(sig, false)
		s.exit(exitSignalBase + int(sig))
	}
}

// What is ignored, as under nohup, stays so.
func TestIgnoredSignal(t *testing.T) {
	requireLab(t)
	script := fmt.Sprintf(`trap "" HUP; exec %s run chain -- sh -c 'kill -HUP $$; echo alive'`, program(t))
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil || string(out) != "alive\n" {
		t.Errorf("%s%v", out, err)
	}
}

// A terminal's interrupt goes to the whole foreground group: the command gets
// it from there, and not once more from tracelab.
func TestTerminalInterruptsOnce(t *testing.T) {
	control, tty := terminal(t)
	s := start(t, counter, func(cmd *exec.Cmd) {
		cmd.Stdin = tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	})
	for range 3 {
		if _, err := control.Write([]byte{3}); err != nil { // Ctrl-C
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
	}
	s.signal(unix.SIGTERM, false)
	s.signal(unix.SIGQUIT, false)
	s.expect("int=3 term=1")
	s.exit(3)
}

// terminal opens a pseudo-terminal.
func terminal(t *testing.T) (control, tty *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return control, tty
}

// Killing tracelab ends what runs inside, however deep, and though it has
// other sessions or ignores all it can.
func TestKillEndsEverything(t *testing.T) {
	s := start(t, `trap "" HUP TERM INT; (setsid sh -c 'trap "" HUP; sleep 1000' &) ; echo ready; sleep 1000; sleep 1000`, nil)
	s.signal(unix.SIGKILL, false)
	// Whoever is left has the pipe open.
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, s.lines)
		done <- err
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("a process is still there")
	}
}
