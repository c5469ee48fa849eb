package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tracewire/tracewire/cmd/internal/simulated"
)

// What is in the variable by which tracelab hands a topology over is not trusted.
func TestLabThatIsNone(t *testing.T) {
	garbled, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer garbled.Close()
	if _, err := garbled.WriteString("no topology"); err != nil {
		t.Fatal(err)
	}
	handed, err := syscall.Dup(int(garbled.Fd())) // the program closes it
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		value, says string
		code        int
	}{
		{"", "is not the number of an open file", exitUsage},
		{"-1", "is not the number of an open file", exitUsage},
		{"65000", "the topology that tracelab hands over: ", exitSystem},
		{strconv.Itoa(handed), "topology:1:", exitSystem},
	} {
		t.Setenv(simulated.Variable, c.value)
		var stdout, stderr strings.Builder
		code := run([]string{"192.0.2.1"}, nil, &stdout, &stderr)
		if code != c.code || stdout.Len() > 0 || !strings.Contains(stderr.String(), c.says) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%q: exit code %d: %s%s", c.value, code, &stdout, &stderr)
		}
	}
}
