package main

import (
	"bytes"
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

// asChild names the variable that makes TestCostlyFiles run a command instead, and say
// how much memory that took.
const asChild = "TRACEWIRE_COSTLY_COMMAND"

// most is how much memory a command may take for any file of 10 MB, in KB; the test
// binary itself takes some 30 MB more than the program.
const most = 135 << 10

// Whatever is in a file of 10 MB, it is listed and explained in little memory. (How long
// that takes is for BenchmarkCostly.)
func TestCostlyFiles(t *testing.T) {
	if command := os.Getenv(asChild); command != "" {
		run(strings.Split(command, "\n"), nil, io.Discard, io.Discard)
		printPeak(t)
		return
	}
	if testing.Short() {
		t.Skip("it takes a minute: not with -short")
	}
	file := filepath.Join(t.TempDir(), "costly")
	files := costlyFiles(10 << 20)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(file, files[name](t), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"replay\n--list\n" + file, "explain\n--trace\n1\n" + file} {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCostlyFiles$", "-test.v")
			child.Env = append(os.Environ(), asChild+"="+command)
			out, err := child.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var peak int
			_, after, _ := bytes.Cut(out, []byte("VmHWM:"))
			if _, err := fmt.Sscan(string(after), &peak); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if verb, _, _ := strings.Cut(command, "\n"); peak > most {
				t.Errorf("%s of many %s takes %d MB", verb, name, peak>>10)
			}
		}
	}
}

// printPeak prints the most memory that the process had.
func printPeak(t *testing.T) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Print("\n" + line)
		}
	}
}

// BenchmarkCostly measures what any file of 10 MB should be read in: 2 seconds.
func BenchmarkCostly(b *testing.B) {
	file := filepath.Join(b.TempDir(), "costly")
	files := costlyFiles(10 << 20)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name](b)
		for _, args := range [][]string{{"replay", "--list", file}, {"explain", "--trace", "1", file}, {"replay", "--format", "json", file}} {
			b.Run(args[0]+" "+args[1]+" "+name, func(b *testing.B) {
				if err := os.WriteFile(file, data, 0o666); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					run(args, nil, io.Discard, io.Discard)
				}
			})
		}
	}
}
