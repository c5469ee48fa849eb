package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// Whatever a command waits for, the first signal ends it, with a line.
func TestFirstSignalEndsWhatWaits(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	const macs = "--source-mac=02:00:00:00:00:01"
	for _, test := range []struct {
		waits string // where in the kernel
		code  int
		args  []string
	}{
		{"wait_for_partner", exitSystem, []string{"-n", "--write", fifo, "127.0.0.1"}},
		{"wait_for_partner", exitSystem, []string{"craft", "-s", "192.0.2.2", macs, "--next-hop-mac=02:00:00:00:00:02", "--write", fifo, "192.0.2.1"}},
		{"wait_for_partner", exitSystem, []string{"replay", fifo}},
		{"wait_for_partner", exitUsage, []string{"diff", fifo, fifo}},
		{"wait_for_partner", exitSystem, []string{"explain", fifo}},
		{"pipe", exitSystem, []string{"replay", "-"}},
		{"pipe", exitSystem, []string{"explain", "-"}},
		{"pipe", exitUsage, []string{"diff", "-", "testdata/recorded.pcapng"}},
	} {
		for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
			t.Run(fmt.Sprint(strings.Join(test.args[:2], " "), " ", sig), func(t *testing.T) {
				t.Setenv("TMPDIR", t.TempDir())
				cmd, out := start(t, test.args...)
				open, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				defer open.Close()
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				awaitThread(t, cmd, test.waits)
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.HasSuffix(out.String(), "interrupted\n") || strings.Count(out.String(), "\n") != 1 {
					t.Errorf("exit code %d, want %d: %s", code, test.code, out)
				}
				if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
					t.Errorf("it leaves %v, %v", left, err)
				}
			})
		}
	}
}

// awaitThread waits until a thread of a process sleeps in a function of the kernel.
func awaitThread(t *testing.T, cmd *exec.Cmd, function string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			if where, err := os.ReadFile(thread); err == nil && strings.Contains(string(where), function) {
				return
			}
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatalf("nothing waits in %s", function)
		}
	}
}

// A command that hears no context, since it computes or its output is not read, is
// left behind.
func TestCommandThatGoesOnIsLeftBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	goesOn := make(chan struct{})
	defer close(goesOn)
	var said strings.Builder
	code := end(ctx, 0, &said, func() int {
		cancel()
		<-goesOn
		return exitOK
	})
	if code != exitSystem || said.String() != "tracewire: interrupted\n" {
		t.Errorf("exit code %d, %q", code, &said)
	}
}

// What a command still has to say after a signal is waited for.
func TestCommandThatEndsIsWaitedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var said strings.Builder
	if code := end(ctx, time.Hour, &said, func() int { return exitUnreached }); code != exitUnreached || said.Len() > 0 {
		t.Errorf("exit code %d, %q", code, &said)
	}
}

// SIGTERM and SIGHUP end a trace as an interrupt does, unless they are ignored.
func TestSignalsEndATraceUnlessIgnored(t *testing.T) {
	c := kernelnet.NewChain(t, 4, nil)
	c.Routers[2].Nft(rule("output", "icmp type time-exceeded drop"))
	for _, test := range []struct {
		signal  syscall.Signal
		ignored bool
	}{{unix.SIGTERM, false}, {unix.SIGHUP, false}, {unix.SIGHUP, true}, {unix.SIGINT, true}} {
		cmd, out := start(t, "-n", "-w", "1", "--format", "json", "10.99.0.1")
		if test.ignored {
			cmd.Args = append([]string{"sh", "-c", `trap "" HUP INT; exec "$0" "$@"`}, cmd.Args...)
			cmd.Path = "/bin/sh"
		}
		await := probesOf(t, c)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await()
		if err := cmd.Process.Signal(test.signal); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		want := fmt.Sprintf(`"interrupted":%v`, !test.ignored)
		if text := out.String(); err != nil || !strings.Contains(text, want) || !strings.Contains(text, "10.77.2.2") {
			t.Errorf("%v, ignored: %v: %v: %s", test.signal, test.ignored, err, text)
		}
	}
}
