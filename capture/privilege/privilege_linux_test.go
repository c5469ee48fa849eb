package privilege_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/capture/privilege"
)

// dropper is set in the environment of a process that drops its capabilities.
const dropper = "TRACEWIRE_DROPS"

func TestMain(m *testing.M) {
	if os.Getenv(dropper) != "" {
		os.Exit(drop())
	}
	os.Exit(kernelnet.Wrap(m).Run())
}

// drop drops the capabilities of this process, which has several threads, and
// prints those that its threads have before and after.
func drop() int {
	release := make(chan struct{})
	defer close(release)
	for range 4 {
		go hold(release)
	}
	borrowed, err := privilege.Borrowed()
	fmt.Printf("borrowed %v\n%s", borrowed, capabilities())
	if err == nil {
		err = privilege.Drop()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go hold(release)
	fmt.Printf("dropped\n%s", capabilities())
	return 0
}

// hold occupies a thread until it is released.
func hold(release <-chan struct{}) {
	runtime.LockOSThread()
	<-release
}

// capabilities are the sets of all threads, and whether they can gain any.
func capabilities() string {
	var all strings.Builder
	threads, _ := filepath.Glob("/proc/self/task/*/status")
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "Cap") && !strings.HasPrefix(line, "CapBnd") || strings.HasPrefix(line, "NoNewPrivs") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

func TestDropTakesAllCapabilitiesFromAllThreads(t *testing.T) {
	kernelnet.Require(t)
	n := kernelnet.New(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(n.Host().Run("env", dropper+"=1", self), "dropped\n")
	if !strings.HasPrefix(before, "borrowed false\n") {
		t.Errorf("root of a namespace borrows none: %s", before)
	}
	if !strings.Contains(before, "CapEff:\t000001") {
		t.Fatalf("there was nothing to drop: %s", before)
	}
	if strings.Count(after, "CapEff") < 4 {
		t.Fatalf("it has few threads: %s", after)
	}
	for line := range strings.Lines(after) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if want := map[bool]string{true: "1", false: "0000000000000000"}[name == "NoNewPrivs"]; value != want {
			t.Errorf("%s is %s, want %s", name, value, want)
		}
	}
}
