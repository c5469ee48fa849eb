package main

import (
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// BenchmarkReplay measures the whole command on large files, beside what tcpdump
// takes to copy the same file to nowhere.
func BenchmarkReplay(b *testing.B) {
	for _, bench := range []struct{ name, capture string }{
		{"traces", "peers/traceroute-demo.pcap"},
		{"ordinary", "peers/only-ordinary-services.pcap"},
	} {
		file, frames := repeated(b, captures+bench.capture)
		b.Run(bench.name, func(b *testing.B) {
			measure(b, frames, func() {
				if code := run([]string{"replay", "--list", file}, nil, io.Discard, io.Discard); code != exitOK {
					b.Fatal("exit code ", code)
				}
			})
		})
		b.Run(bench.name+" by tcpdump", func(b *testing.B) {
			kernelnet.RequirePrograms(b, "tcpdump")
			measure(b, frames, func() {
				// It would change the owner of a file that it opens itself.
				if err := exec.Command("tcpdump", "-Z", "root", "-r", file, "-w", "-").Run(); err != nil {
					b.Skip(err)
				}
			})
		})
	}
}

// measure reports how many packets a second are read.
func measure(b *testing.B, frames int, read func()) {
	b.ReportAllocs()
	began, n := time.Now(), 0
	for b.Loop() {
		read()
		n++
	}
	b.ReportMetric(float64(frames*n)/time.Since(began).Seconds()/1e6, "Mpackets/s")
}

// repeated makes a file of two million frames of the records of a pcap file of
// ours, over and over, two minutes apart.
func repeated(b *testing.B, capture string) (file string, frames int) {
	b.Helper()
	const (
		enough           = 2_000_000
		fileHeader       = 24
		header, captured = 16, 8
	)
	one, err := os.ReadFile(capture)
	if err != nil {
		b.Fatal(err)
	}
	file = filepath.Join(b.TempDir(), "large.pcap")
	out, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write(one[:fileHeader]); err != nil {
		b.Fatal(err)
	}
	for records := one[fileHeader:]; frames < enough; {
		for at := 0; at < len(records); frames++ {
			seconds := records[at:]
			binary.LittleEndian.PutUint32(seconds, binary.LittleEndian.Uint32(seconds)+120)
			at += header + int(binary.LittleEndian.Uint32(records[at+captured:]))
		}
		if _, err := out.Write(records); err != nil {
			b.Fatal(err)
		}
	}
	return file, frames
}
