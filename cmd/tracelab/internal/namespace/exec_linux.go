package namespace

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exec starts a program as a child of process 1, with this process's files,
// environment and working directory, and waits for it. It returns its exit
// code, 128 and the signal's number if one killed it. Meanwhile it passes
// on the signals that the launcher gets, and reaps the processes that lose
// their parents. What the program has left running is killed.
func (r *Room) Exec(path string, args []string) (int, error) {
	select {
	case s := <-r.signals:
		// What came before the command was there has nobody else to end.
		return 128 + int(s.(syscall.Signal)), nil
	default:
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, err
	}
	defer passOn(r.signals, pid)()
	code, err := reap(pid)
	endRest()
	return code, err
}

// passOn passes signals on to a process until stop is called.
func passOn(got <-chan os.Signal, pid int) (stop func()) {
	// Reading a pipe that does not block ends when it is closed.
	_ = unix.SetNonblock(launcherPipe, true)
	launcher := os.NewFile(launcherPipe, "launcher")
	told := make(chan unix.Signal)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { listen(ctx, launcher, told) })
	// It fails when the command has ended.
	running.Go(func() { relay(ctx, got, told, func(s unix.Signal) { _ = unix.Kill(pid, s) }) })
	return func() {
		cancel()
		launcher.Close()
		running.Wait()
	}
}

// launcherPipe is where the launcher writes the signals it gets.
const launcherPipe = 3

// reap waits for all children until the one asked for has ended.
func reap(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case ended != pid:
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		case status.Exited():
			return status.ExitStatus(), nil
		}
	}
}

// endRest kills all processes but this one, and waits for them.
func endRest() {
	_ = unix.Kill(-1, unix.SIGKILL) // fails when there are none
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// listen reads what the launcher tells, until it is gone or ctx is done.
func listen(ctx context.Context, launcher io.Reader, told chan<- unix.Signal) {
	var s [1]byte
	for {
		if _, err := launcher.Read(s[:]); err != nil {
			return
		}
		select {
		case told <- unix.Signal(s[0]):
		case <-ctx.Done():
			return
		}
	}
}

// together is within which time the launcher and process 1 notice a signal
// that was sent to both at once.
const together = 100 * time.Millisecond

// relay passes signals on to the command so that each reaches it once, until
// ctx is done.
//
// A terminal sends its signals to the whole foreground group: to the launcher,
// to process 1 and to the command. So what the launcher tells of is passed on
// if process 1 does not get the same, and the other way round; if both do, the
// command has got it already. But no terminal sends SIGTERM: if both get that,
// somebody asks for all that is called tracelab to end.
func relay(ctx context.Context, got <-chan os.Signal, told <-chan unix.Signal, pass func(unix.Signal)) {
	type notice struct {
		signal unix.Signal
		told   bool
	}
	type expired struct {
		notice
		number int
	}
	open := map[notice][]int{} // noticed by one of the two, and not yet by the other: their numbers
	over := make(chan expired)
	for number := 0; ; number++ {
		var n notice
		select {
		case <-ctx.Done():
			return
		case s := <-got:
			n = notice{s.(syscall.Signal), false}
		case s := <-told:
			n = notice{s, true}
		case e := <-over:
			if i := slices.Index(open[e.notice], e.number); i >= 0 { // else the other has noticed it since
				open[e.notice] = slices.Delete(open[e.notice], i, i+1)
				pass(e.signal)
			}
			continue
		}
		other := notice{n.signal, !n.told}
		switch {
		case len(open[other]) == 0:
			open[n] = append(open[n], number)
			time.AfterFunc(together, func() {
				select {
				case over <- expired{n, number}:
				case <-ctx.Done():
				}
			})
		case n.signal != unix.SIGTERM:
			open[other] = open[other][1:]
		}
	}
}
