//go:build unix

package tracewire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/matcher/path"
)

// benchFrames is how many frames the captures of BenchmarkReplay have.
const benchFrames = 2_000_000

// BenchmarkReplay replays captures of two million frames, from the file to the
// Paths, on one core: ICMP errors with their probes, of traces with 30 hops and
// three probes each to many targets at once; and ordinary traffic. A trace is over
// when nothing has come of it for a minute, so that hundreds are open. It says how
// many frames that is in a second of processor time, and how many times as long
// as tcpdump, which only copies the frames, it takes.
//
// On a 2-core AMD EPYC VM, in million frames a second and in tcpdumps: traces 4.2
// and 2.7 from pcap, 3.8 and 2.7 from pcapng; to a thousand targets at once, more
// than the caches hold, 1.9 and 6.0; ordinary traffic 14 and 0.8. The program
// 'tracewire replay --list', which starts anew and writes a line for each trace,
// takes 3.3 tcpdumps for the first of these, and 5.5 to write the traces as text.
func BenchmarkReplay(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the collector has no other core either
	for _, test := range []struct {
		name  string
		write func(*os.File, func(func(*frame.Frame)))
		fill  func(func(*frame.Frame))
		found int
	}{
		{"traces, pcap", writePcap, tracesOf(16), benchFrames / 180},
		{"traces, pcapng", writePcapng, tracesOf(16), benchFrames / 180},
		{"traces to a thousand targets, pcap", writePcap, tracesOf(1000), benchFrames / 180},
		{"ordinary, pcap", writePcap, ordinary, 0},
	} {
		b.Run(test.name, func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "capture"))
			if err != nil {
				b.Fatal(err)
			}
			test.write(file, test.fill)
			file.Close()
			runtime.GC() // what writing it took
			b.ReportAllocs()
			var took, tcpdump time.Duration
			for b.Loop() {
				begun := processorTime(b)
				if found := countTraces(b, file.Name()); found != test.found {
					b.Fatalf("%d traces, want %d", found, test.found)
				}
				took += processorTime(b) - begun
				b.StopTimer()
				tcpdump += copiedByTcpdump(file.Name())
				b.StartTimer()
			}
			b.ReportMetric(benchFrames*float64(b.N)/took.Seconds()/1e6, "Mframes/s")
			if tcpdump > 0 {
				b.ReportMetric(took.Seconds()/tcpdump.Seconds(), "tcpdumps")
			}
		})
	}
}

// processorTime is how long this process has had a processor, which others on the
// machine don't make longer.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// copiedByTcpdump is the processor time that tcpdump takes to copy a capture, or 0
// if there is no tcpdump.
func copiedByTcpdump(name string) time.Duration {
	c := exec.Command("tcpdump", "-Z", "root", "-r", name, "-w", "/dev/null")
	if c.Run() != nil {
		return 0
	}
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

func countTraces(b *testing.B, name string) (traces int) {
	file, err := capture.OpenFile(name)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	err = tracewire.Replay(context.Background(), file, &tracewire.ReplayOptions{Paths: true}, func(e path.Event) {
		if e.Kind == path.Ended {
			traces++
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	return traces
}

// tracesOf makes traces, so many of them at the same time.
func tracesOf(atOnce int) func(func(*frame.Frame)) {
	return func(yield func(*frame.Frame)) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		f := frame.Frame{Link: frame.Ethernet}
		send := func(ip []byte) {
			at = at.Add(time.Millisecond)
			f.Time, f.Data, f.Length = at, ip, len(ip)
			yield(&f)
		}
		for made := 0; made < benchFrames/180; made += atOnce {
			for probe := range 90 {
				for trace := made; trace < min(made+atOnce, benchFrames/180); trace++ {
					p := benchProbe(trace, probe)
					send(p)
					send(benchReply(p, probe/3+1))
				}
			}
		}
	}
}

// benchProbe is a probe as Linux traceroute sends it.
func benchProbe(trace, probe int) []byte {
	b := make([]byte, 14+60)
	b[12], b[13] = 8, 0
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, byte(probe/3+1), 17
	binary.BigEndian.PutUint16(ip[2:], 60)
	binary.BigEndian.PutUint16(ip[4:], uint16(trace*7919+probe*31))
	copy(ip[12:], []byte{192, 0, 2, 1})
	binary.BigEndian.PutUint32(ip[16:], 0x0b000000+uint32(trace))
	binary.BigEndian.PutUint16(ip[20:], uint16(32768+(trace*31+probe*977)%28000))
	binary.BigEndian.PutUint16(ip[22:], uint16(33434+probe))
	binary.BigEndian.PutUint16(ip[24:], 40)
	binary.BigEndian.PutUint16(ip[26:], uint16(1+trace*13+probe))
	for i := 28; i < 60; i++ {
		ip[i] = byte(0x40 + i - 28)
	}
	return b
}

// benchReply is a router's time-exceeded about it.
func benchReply(probe []byte, hop int) []byte {
	b := make([]byte, 14+20+8+60)
	b[12], b[13] = 8, 0
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, byte(255-hop), 1
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], []byte{10, 0, byte(hop), 1})
	copy(ip[16:], []byte{192, 0, 2, 1})
	ip[20] = 11
	copy(ip[28:], probe[14:])
	ip[28+8] = 1
	return b
}

// ordinary makes datagrams and segments with a TTL of 64 between many hosts.
func ordinary(yield func(*frame.Frame)) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := benchProbe(0, 0)
	for i := range benchFrames {
		at = at.Add(time.Microsecond)
		ip := b[14:]
		ip[8] = 64
		if ip[9] = 6; i%3 == 0 {
			ip[9] = 17
		}
		binary.BigEndian.PutUint32(ip[16:], 0x0b000000+uint32(i*2654435761)>>20)
		binary.BigEndian.PutUint32(ip[20:], uint32(i*40503))
		ip[20+12], ip[20+13] = 0x50, 0x10
		yield(&frame.Frame{Time: at, Data: b, Length: len(b), Link: frame.Ethernet})
	}
}

func writePcap(file *os.File, fill func(func(*frame.Frame))) {
	var out bytes.Buffer
	out.Write([]byte{0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0})
	fill(func(f *frame.Frame) {
		head := binary.LittleEndian.AppendUint32(nil, uint32(f.Time.Unix()))
		head = binary.LittleEndian.AppendUint32(head, uint32(f.Time.Nanosecond()))
		head = binary.LittleEndian.AppendUint32(head, uint32(len(f.Data)))
		head = binary.LittleEndian.AppendUint32(head, uint32(f.Length))
		out.Write(head)
		out.Write(f.Data)
	})
	if _, err := out.WriteTo(file); err != nil {
		panic(err)
	}
}

func writePcapng(file *os.File, fill func(func(*frame.Frame))) {
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{})
	if err == nil {
		_, err = w.AddInterface(pcapng.Interface{Link: frame.Ethernet})
	}
	if err != nil {
		panic(err)
	}
	fill(func(f *frame.Frame) {
		if err := w.WriteFrame(f); err != nil {
			panic(err)
		}
	})
	if _, err := out.WriteTo(file); err != nil {
		panic(err)
	}
}
