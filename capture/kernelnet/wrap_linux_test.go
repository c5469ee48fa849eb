package kernelnet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// scriptVariable makes this binary run a scripted main instead of its tests.
const scriptVariable = "KERNELNET_SCRIPT"

// scripted is a main that does what its name says.
type scripted string

func (s scripted) Run() int {
	switch what, arg, _ := strings.Cut(string(s), " "); what {
	case "exit":
		code, _ := strconv.Atoi(arg)
		return code
	case "state":
		fmt.Printf("%s uid %d", os.Getenv(stateVariable), os.Getuid())
	case "signal":
		unix.Kill(unix.Getpid(), unix.SIGKILL)
	case "block":
		fmt.Println("blocking")
		select {}
	}
	return 0
}

// outside is this binary as go test starts it, with a scripted main.
func outside(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	Require(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), stateVariable+"=", scriptVariable+"="+script)
	return cmd
}

func TestRunPassesTheExitCodeOn(t *testing.T) {
	tests := []struct {
		script string
		want   int
	}{
		{"exit 0", 0},
		{"exit 7", 7},
		{"signal", 128 + 9},
	}
	for _, tt := range tests {
		cmd := outside(t, tt.script)
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.script, got, tt.want)
		}
	}
}

func TestRunIsRootInsideItsNamespace(t *testing.T) {
	out, err := outside(t, "state").Output()
	if want := "inside uid 0"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func TestInnerProcessEndsWithTheOuter(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		cmd := outside(t, "block")
		// The pipe ends when the inner process, which holds it too, has ended.
		pipe, inner, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer pipe.Close()
		cmd.Stdout = inner
		err = cmd.Start()
		inner.Close()
		if err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(pipe)
		if line, err := out.ReadString('\n'); line != "blocking\n" {
			t.Fatalf("%q, %v", line, err)
		}
		cmd.Process.Signal(signal)
		if rest, err := io.ReadAll(out); err != nil {
			t.Errorf("%v: %q, %v", signal, rest, err)
		}
		cmd.Wait()
	}
}

func TestRunWithoutUserNamespaces(t *testing.T) {
	Require(t)
	const limit = "/proc/sys/user/max_user_namespaces" // of this user namespace
	old, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(limit, bytes.TrimSpace(old), 0); err != nil {
			t.Error(err)
		}
	})
	out, err := outside(t, "state").Output()
	if err != nil || !strings.HasPrefix(string(out), stateRefused+"fork/exec") {
		t.Errorf("got %q, %v; want the tests to run, knowing why they are outside", out, err)
	}
}

// verdict is a test that notes how it ends.
type verdict struct {
	testing.TB
	how, message string
}

func (v *verdict) Helper() {}

func (v *verdict) end(how, message string) {
	v.how, v.message = how, message
	panic(v)
}

func (v *verdict) Fatal(args ...any)            { v.end("fail", fmt.Sprint(args...)) }
func (v *verdict) Fatalf(f string, args ...any) { v.end("fail", fmt.Sprintf(f, args...)) }
func (v *verdict) Skipf(f string, args ...any)  { v.end("skip", fmt.Sprintf(f, args...)) }

func require(programs ...string) (v *verdict) {
	v = &verdict{}
	defer func() {
		if r := recover(); r != nil && r != any(v) {
			panic(r)
		}
	}()
	Require(v, programs...)
	return v
}

func TestRequire(t *testing.T) {
	const missing = "no-such-program"
	tests := []struct {
		name, state, labs string
		programs          []string
		how, message      string
	}{
		{"all there", stateInside, "", []string{"sh"}, "", ""},
		{"program missing", stateInside, "", []string{"sh", missing}, "skip", missing + " is not installed; 'make peers' installs"},
		{"program missing, labs required", stateInside, "1", []string{missing}, "fail", missing + " is not installed; 'make peers' installs"},
		{"namespace refused", stateRefused + "no way", "", nil, "skip", "no way; allow unprivileged user namespaces"},
		{"namespace refused, labs required", stateRefused + "no way", "1", nil, "fail", "no way; allow unprivileged user namespaces"},
		{"TestMain without Wrap", "", "", nil, "fail", "TestMain must run kernelnet.Wrap"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(stateVariable, tt.state)
			t.Setenv(RequireVariable, tt.labs)
			v := require(tt.programs...)
			if v.how != tt.how || !strings.Contains(v.message, tt.message) {
				t.Errorf("%q with %q, want %q with %q", v.how, v.message, tt.how, tt.message)
			}
		})
	}
}
