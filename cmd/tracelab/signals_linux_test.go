package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// talker is a shell that says "ready", then which signals it gets, until HUP or
// QUIT ends it.
const talker = `trap 'echo int' INT; trap 'echo term' TERM; trap 'echo usr1' USR1; trap 'echo usr2' USR2
	trap 'echo alrm' ALRM; trap 'echo abrt' ABRT; trap 'echo 40' 40; trap 'echo over; exit 3' HUP QUIT
	sleep 1000 & echo ready; while :; do wait; done`

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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
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
	// What is not heard by then never is.
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	s := &session{t, cmd, bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails where it has ended as it should
		_ = cmd.Wait()
		out.Close()
	})
	s.expect("ready")
	return s
}

// expect reads lines.
func (s *session) expect(lines ...string) {
	s.t.Helper()
	for _, want := range lines {
		line, err := s.lines.ReadString('\n')
		if err != nil || line != want+"\n" {
			s.t.Fatalf("%q, %v, want %q", line, err, want)
		}
	}
}

// signal sends a signal to the launcher.
func (s *session) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) exit(code int) {
	s.t.Helper()
	_ = s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
}

// Signals sent to tracelab reach the command, and each once: before the next
// is answered, another of the one before would have been.
func TestSignalsArePassedOn(t *testing.T) {
	s := start(t, talker, nil)
	for _, c := range []struct {
		signal unix.Signal
		heard  string
	}{
		{unix.SIGINT, "int"}, {unix.SIGTERM, "term"}, {unix.SIGINT, "int"}, {unix.SIGUSR1, "usr1"},
		{unix.SIGUSR2, "usr2"}, {unix.SIGALRM, "alrm"}, {unix.SIGABRT, "abrt"}, {40, "40"}, {unix.SIGHUP, "over"},
	} {
		s.signal(c.signal)
		s.expect(c.heard)
	}
	s.exit(3)
}

// A signal that ends the command ends tracelab as a shell would say it.
func TestSignalEndsCommand(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1} {
		s := start(t, "echo ready; exec sleep 1000", nil)
		s.signal(sig)
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

// The tests of signals pass in the background of a shell and under nohup, which have
// signals ignored.
func TestIgnoredSignalsOfTests(t *testing.T) {
	requireLab(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ignoring := exec.Command("sh", "-c", `trap "" HUP INT QUIT PIPE TERM USR1; exec "$0" "$@"`, self, "-test.run", "^TestSignal|^TestTerminal|^TestKill")
	if out, err := ignoring.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// A terminal's interrupt goes to the whole foreground group: the command gets
// it from there, and not once more from tracelab.
func TestTerminalInterruptsOnce(t *testing.T) {
	control, tty := terminal(t)
	s := start(t, talker, func(cmd *exec.Cmd) {
		cmd.Stdin = tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	})
	for range 3 {
		if _, err := control.Write([]byte{3}); err != nil { // Ctrl-C
			t.Fatal(err)
		}
		s.expect("int")
		// What comes back by way of tracelab comes after all that it noticed before.
		s.signal(unix.SIGTERM)
		s.expect("term")
	}
	s.signal(unix.SIGQUIT)
	s.expect("over")
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
	s.signal(unix.SIGKILL)
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
