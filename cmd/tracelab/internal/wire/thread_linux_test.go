package wire

import (
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// A thread that shares its processor with another waits for it, and knows.
func TestThreadKnowsHowLongItWaited(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	thread := takeThread()
	defer thread.release()
	if thread.stat == nil {
		kernelnet.Lacking(t, "this kernel does not tell how long a thread waits")
	}
	bind(t)
	rival := exec.Command("sh", "-c", "while :; do :; done")
	if err := rival.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = rival.Process.Kill() // cannot have ended
		_ = rival.Wait()
	})
	before := thread.waited()
	for began := time.Now(); thread.waited()-before < longWait; {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("waited %v beside another program", thread.waited()-before)
		}
	}
}

// bind leaves this thread, and what it starts, but one processor.
func bind(t *testing.T) {
	t.Helper()
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if may.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
}
