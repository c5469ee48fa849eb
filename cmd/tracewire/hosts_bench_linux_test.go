package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/cmd/internal/simulated"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// BenchmarkHosts measures traces to 2,000 hosts in a network without delay: more at once
// cost no more. On a machine that others use the processor time tells more than
// the wall clock's.
func BenchmarkHosts(b *testing.B) {
	const hosts = 2000
	file := withoutDelay(b, "million")
	for _, atOnce := range []int{16, 64, 256} {
		b.Run("at-once="+strconv.Itoa(atOnce), func(b *testing.B) {
			args := []string{"-n", "--at-once", strconv.Itoa(atOnce)}
			for n := range hosts {
				args = append(args, fmt.Sprintf("10.%d.%d.%d", 16+n%16, n*7%256, 1+n/16))
			}
			b.ReportAllocs()
			before := userTime(b)
			for b.Loop() {
				number := labFile(b, file)
				b.Setenv(simulated.Variable, strconv.Itoa(number))
				if code := run(args, nil, io.Discard, io.Discard); code != exitOK {
					b.Fatal("exit code ", code)
				}
			}
			b.ReportMetric((userTime(b)-before).Seconds()/float64(b.N), "user-s/op")
		})
	}
}

// withoutDelay writes a topology without the delays of its links to a file.
func withoutDelay(b *testing.B, name string) (file string) {
	b.Helper()
	data, err := topologies.Read(name)
	if err != nil {
		b.Fatal(err)
	}
	file = filepath.Join(b.TempDir(), name+".toml")
	data = regexp.MustCompile(`(?m)^delay = .*$`).ReplaceAll(data, nil)
	if err := os.WriteFile(file, data, 0o666); err != nil {
		b.Fatal(err)
	}
	return file
}

// labFile opens a file as the simulated network of one run, which closes it.
func labFile(b *testing.B, file string) (number int) {
	b.Helper()
	number, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	return number
}

// userTime is the processor time that this process has used so far outside the system.
func userTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano())
}
