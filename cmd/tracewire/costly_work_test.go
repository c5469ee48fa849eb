package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// countedPackages are the packages of which each statement that is executed counts as work.
const countedPackages = "github.com/tracewire/tracewire/cmd/tracewire," + // it writes the counters
	"github.com/tracewire/tracewire," +
	"github.com/tracewire/tracewire/matcher/...," +
	"github.com/tracewire/tracewire/cmd/internal/explain"

// The work for a file, counted in statements that are executed, grows as the file does:
// it is no walk over all that came before for each frame. (Allocations, which
// TestCostGrowsAsTheFileDoes counts, don't show such walks, and time is no measure on a
// busy machine.) The program is built with counters for that, as for coverage.
func TestWorkGrowsAsTheFileDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program anew: not with -short")
	}
	program := countingProgram(t)
	const small, factor = 400_000, 4
	for _, name := range slices.Sorted(maps.Keys(costlyFiles(0))) {
		if name == "traces at once" {
			continue // each frame is shown to all of them, which are no more than 1,000
		}
		var work [2]map[string]map[string]int
		for i, size := range []int{small, factor * small} {
			work[i] = program.work(t, costlyFiles(size)[name](t))
		}
		for command, packages := range work[1] {
			for pkg, four := range packages {
				if name == "replies to a probe" && strings.HasSuffix(pkg, "/explain") {
					continue // it compares replies that are too many with all probes, 10,000,000 times at most
				}
				if one := work[0][command][pkg]; four > 3*factor/2*one+200_000 {
					t.Errorf("%s of many %s: %s executes %d statements, and %d for a file four times as large", command, name, pkg, one, four)
				}
			}
		}
	}
}

// counting is a program that counts the statements that it executes.
type counting struct{ file, dir string }

func countingProgram(t *testing.T) *counting {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the program with")
	}
	c := &counting{dir: t.TempDir()}
	c.file = filepath.Join(c.dir, "tracewire")
	if out, err := exec.CommandContext(t.Context(), tool, "build", "-buildvcs=false", "-cover", "-covermode=count", "-coverpkg="+countedPackages, "-o", c.file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return c
}

// work is how many statements of each package the program executes for a file, by the
// command.
func (c *counting) work(t *testing.T, data []byte) map[string]map[string]int {
	t.Helper()
	file := filepath.Join(c.dir, "costly")
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]int{}
	for _, args := range [][]string{{"replay", "--list"}, {"explain", "--trace", "1"}} {
		found[strings.Join(args, " ")] = c.run(t, append(args, file)...)
	}
	return found
}

// run runs the program, and returns how many statements of each package it executed.
func (c *counting) run(t *testing.T, args ...string) map[string]int {
	t.Helper()
	counters := t.TempDir()
	child := exec.CommandContext(t.Context(), c.file, args...)
	child.Env = append(os.Environ(), "GOCOVERDIR="+counters)
	child.Stdout = io.Discard
	_ = child.Run() // some of the files are damaged
	text := filepath.Join(counters, "text")
	if out, err := exec.CommandContext(t.Context(), "go", "tool", "covdata", "textfmt", "-i="+counters, "-o="+text).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	profile, err := os.Open(text)
	if err != nil {
		t.Fatal(err)
	}
	defer profile.Close()
	return statements(t, profile)
}

// statements sums up a coverage profile by package: lines of "file:from,to statements
// count" below the mode.
func statements(t *testing.T, profile io.Reader) map[string]int {
	t.Helper()
	work := map[string]int{}
	lines := bufio.NewScanner(profile)
	for lines.Scan() {
		file, block, ok := strings.Cut(lines.Text(), ":")
		if !ok || file == "mode" {
			continue
		}
		var where string
		var n, times int
		if _, err := fmt.Sscan(block, &where, &n, &times); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		work[file[:strings.LastIndexByte(file, '/')]] += n * times
	}
	if lines.Err() != nil || len(work) == 0 {
		t.Fatalf("nothing was counted: %v", lines.Err())
	}
	return work
}
