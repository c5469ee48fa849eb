package kernelnet

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for something that takes milliseconds when it
// works at all.
const patience = 10 * time.Second

// Run runs a program in the node, waits for it and returns its standard
// output. A program that fails ends the test with its standard error; one that
// is not installed skips or fails it as Require does.
func (n *Node) Run(args ...string) string {
	n.net.t.Helper()
	return n.run("", args...)
}

func (n *Node) run(stdin string, args ...string) string {
	n.net.t.Helper()
	Require(n.net.t, args[0])
	var stdout, stderr bytes.Buffer
	cmd := n.Command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := n.Do(cmd.Run); err != nil {
		n.net.t.Fatalf("kernelnet: %s: %s: %v\n%s%s", n.Name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

// Command is a program, to be run within Do. It ends with the thread that starts it,
// unless its file has capabilities.
func (n *Node) Command(args ...string) *exec.Cmd { return command(slices.Concat(n.enter, args)) }

// command ends with the thread that starts it, and so with this process.
func command(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = patience
	return cmd
}

// Process is a program that runs in the background in a node.
type Process struct {
	node   *Node
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it was waited for, with err set
	err    error
	stdout transcript
	stderr transcript
	stop   sync.Once
}

// Start starts a program in the node. It is stopped when the test ends, unless
// Stop did so before. Like for Run, a program that cannot start ends the test.
//
// tcpdump needs -Z root: the namespace has no other user that it could become.
func (n *Node) Start(args ...string) *Process {
	n.net.t.Helper()
	Require(n.net.t, args[0])
	p := &Process{node: n, args: args, cmd: n.Command(args...), ended: make(chan struct{})}
	p.stdout.grown = make(chan struct{})
	p.stderr.grown = make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		// One stay in the node for both: the process ends with the thread that started it.
		err := n.Do(func() error {
			if err := p.cmd.Start(); err != nil {
				return err
			}
			started <- nil
			p.err = p.cmd.Wait()
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	if err := <-started; err != nil {
		n.fatal("start "+strings.Join(args, " "), err)
	}
	n.net.t.Cleanup(func() { p.Stop() })
	return p
}

// Await returns once the program has written text to its standard output or
// error. The test ends when the program does before, or after ten seconds.
func (p *Process) Await(text string) {
	p.node.net.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		stdout, moreOut := p.stdout.read()
		stderr, moreErr := p.stderr.read()
		if strings.Contains(stdout, text) || strings.Contains(stderr, text) {
			return
		}
		select {
		case <-moreOut:
		case <-moreErr:
		case <-p.ended:
			// What it wrote last was written before it ended.
			if strings.Contains(p.Stdout(), text) || strings.Contains(p.Stderr(), text) {
				return
			}
			p.fail("ended without writing %q", text)
		case <-deadline.C:
			p.fail("has not written %q", text)
		}
	}
}

func (p *Process) fail(format string, args ...any) {
	p.node.net.t.Helper()
	args = append([]any{p.node.Name, strings.Join(p.args, " ")}, args...)
	args = append(args, p.Stdout(), p.Stderr())
	p.node.net.t.Fatalf("kernelnet: %s: %s: "+format+"\n%s%s", args...)
}

// Stop interrupts the program, waits for it and returns its standard output;
// one that does not end within ten seconds is killed. A program that had ended
// by itself, and not well, fails the test. Further calls only return.
func (p *Process) Stop() string {
	p.node.net.t.Helper()
	p.stop.Do(func() {
		p.node.net.t.Helper()
		select {
		case <-p.ended:
			if p.err != nil {
				p.node.net.t.Errorf("kernelnet: %s: %s: %v\n%s%s", p.node.Name, strings.Join(p.args, " "), p.err, p.Stdout(), p.Stderr())
			}
			return
		default:
		}
		_ = p.cmd.Process.Signal(unix.SIGINT) // fails only when it has just ended
		kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
		<-p.ended
		kill.Stop()
	})
	return p.Stdout()
}

// Stdout is what the program has written to its standard output so far.
func (p *Process) Stdout() string {
	text, _ := p.stdout.read()
	return text
}

// Stderr is what the program has written to its standard error so far.
func (p *Process) Stderr() string {
	text, _ := p.stderr.read()
	return text
}

// transcript collects output and tells who waits for more.
type transcript struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{} // closed and replaced at each write
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(b)
	close(t.grown)
	t.grown = make(chan struct{})
	return len(b), nil
}

// read returns the text so far and a channel that is closed when there is more.
func (t *transcript) read() (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String(), t.grown
}
