package wire

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// counting counts what a carrier carries.
type counting struct {
	Carrier
	packets     atomic.Int64
	first, last time.Duration // how long the carrying thread had run
}

func (c *counting) Carry(at time.Duration, ip []byte, back []simulate.Arrival) []simulate.Arrival {
	if n := c.packets.Add(1); n == 1 {
		c.first = threadTime()
	} else if n%1000 == 0 {
		c.last = threadTime()
	}
	return c.Carrier.Carry(at, ip, back)
}

// threadTime is how long the calling thread has run.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkThroughput sends probes as fast as the wire takes them, each of which
// is answered 2 or 4 ms later. Run it with -cpu 1 under taskset -c 0 to
// see what one core does for both sides together.
func BenchmarkThroughput(b *testing.B) {
	var count counting
	w := open(b, chain, func(c Carrier) Carrier { count.Carrier = c; return &count })
	fd, to := packetSocket(b)
	defer unix.Close(fd)
	probes := [][]byte{probe(1, 33434), probe(2, 33435)}
	window := int64(w.ring.slots / 2)
	sent := int64(0)
	for b.Loop() {
		for sent-count.packets.Load() >= window {
			time.Sleep(10 * time.Microsecond)
		}
		if err := unix.Sendto(fd, probes[sent%2], 0, to); err != nil {
			b.Fatal(err)
		}
		sent++
	}
	rate := float64(sent) / b.Elapsed().Seconds()
	time.Sleep(20 * time.Millisecond)
	if counts := w.Close(); counts.Replies < uint64(sent) || counts.Lost > 0 {
		b.Errorf("%d probes: %+v", sent, counts)
	}
	b.ReportMetric(rate, "probes/s")
	b.ReportMetric(float64(sent)/(count.last-count.first).Seconds(), "probes/core-s")
}

// probe is a UDP probe to 198.51.100.1, of 60 bytes.
func probe(ttl byte, port uint16) []byte {
	frame := appendEthernet(nil, gatewayMAC, hostMAC, typeIPv4)
	ip := make([]byte, 60)
	copy(ip, []byte{0x45, 0, 0, 60, 0x12, 0x34, 0, 0, ttl, unix.IPPROTO_UDP, 0, 0, 192, 0, 2, 10, 198, 51, 100, 1})
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(ip[20:], 50000)
	binary.BigEndian.PutUint16(ip[22:], port)
	binary.BigEndian.PutUint16(ip[24:], 40) // the length; no checksum
	return append(frame, ip...)
}

// BenchmarkDelay sends a probe at a time and reports by how much later than the
// topology says its reply came, by the stamps of tcpdump on the interface.
// Between blocks of probes it watches the clock itself, for as long, and reports
// by how much later than it was due it saw the time: on this machine, at this
// time, nobody is more exact than that floor. Give it some thousand probes
// (-benchtime 3000x): of the few hundred that a second has room for, the p99 is
// the third worst.
func BenchmarkDelay(b *testing.B) {
	kernelnet.Require(b, "tcpdump")
	open(b, chain, nil)
	file := filepath.Join(b.TempDir(), "delay.pcap")
	stop := tcpdump(b, file)
	replies, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		b.Fatal(err)
	}
	defer replies.Close()
	fd, to := packetSocket(b)
	defer unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	port := uint16(0)
	buf := make([]byte, 200)
	var floor []float64
	const block = 50 // a floor after each probe would keep the processors awake
	for b.Loop() {
		if port%block == 0 {
			for p := range uint16(block) {
				floor = append(floor, watched(delay(p)))
			}
		}
		port++
		if err := unix.Sendto(fd, probe(1+byte(port%2), port), 0, to); err != nil {
			b.Fatal(err)
		}
		if _, _, err := replies.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Duration(port%7) * 100 * time.Microsecond)
	}
	stop()
	reportLateness(b, "late", lateness(b, file))
	reportLateness(b, "floor", floor)
}

// delay is how long the reply to a probe takes by the topology.
func delay(port uint16) time.Duration { return 2 * time.Millisecond * time.Duration(1+port%2) }

// watched watches the clock for so long, and returns by how many µs it was late.
func watched(d time.Duration) float64 {
	for began := time.Now(); ; {
		if late := time.Since(began) - d; late >= 0 {
			return float64(late) / 1e3
		}
	}
}

func reportLateness(b *testing.B, name string, late []float64) {
	b.Helper()
	slices.Sort(late)
	b.ReportMetric(late[len(late)/2], "p50-µs-"+name)
	b.ReportMetric(late[len(late)*99/100], "p99-µs-"+name)
	b.ReportMetric(late[len(late)-1], "max-µs-"+name)
}

// tcpdump captures on the host's interface until stop is called.
func tcpdump(t testing.TB, file string) (stop func()) {
	t.Helper()
	cmd := exec.Command("tcpdump", "-i", Interface, "-Z", "root", "-U", "--time-stamp-precision=nano", "-w", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "listening on") {
		t.Fatalf("tcpdump: %q, %v", line, err)
	}
	return func() {
		time.Sleep(200 * time.Millisecond) // tcpdump drops what it has not yet read
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil {
			t.Errorf("tcpdump: %v", err)
		}
	}
}

// lateness is by how many µs each reply in a capture came too late.
func lateness(t testing.TB, file string) (late []float64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[uint16]time.Time{}
	for {
		frame, info, err := r.ReadPacketData()
		if err != nil {
			break
		}
		if binary.BigEndian.Uint16(frame[12:]) != typeIPv4 {
			continue
		}
		ip := frame[ethernetLen:]
		const quoted = 20 + 8
		switch ip[9] {
		case unix.IPPROTO_UDP:
			sent[binary.BigEndian.Uint16(ip[22:])] = info.Timestamp
		case unix.IPPROTO_ICMP:
			port := binary.BigEndian.Uint16(ip[quoted+22:])
			late = append(late, float64(info.Timestamp.Sub(sent[port])-delay(port))/1e3)
		}
	}
	if len(late) == 0 {
		t.Fatal("no reply was captured")
	}
	return late
}
