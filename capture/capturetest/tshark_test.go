package capturetest_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// TestTsharkFindsNothingWrong lets an independent dissector look at every kind
// of packet that the simulation makes.
func TestTsharkFindsNothingWrong(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	var frames []frame.Frame
	synctest.Test(t, func(t *testing.T) { frames = everyKind(t) })
	fields := dissect(t, frames)
	if len(fields) != len(frames) {
		t.Fatalf("tshark shows %d frames of %d", len(fields), len(frames))
	}
	for i, f := range fields {
		if f.malformed != "" || strings.Contains(f.severity, expertWarning) || strings.Contains(f.severity, expertError) {
			t.Errorf("frame %d: malformed %q, expert %s", i+1, f.malformed, f.expert)
		}
		if strings.Contains(f.sums, "0") || !strings.Contains(f.sums, "1") {
			t.Errorf("frame %d has checksum states %q", i+1, f.sums)
		}
	}
}

func TestTsharkFindsWhatIsWrong(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	var frames []frame.Frame
	synctest.Test(t, func(t *testing.T) {
		_, c := connect(t, chain(), capturetest.Host{NoCopies: true})
		inject(t, c, probe(1))
		frames = capture(t, c, time.Second)
	})
	frames[0].Data[14+20+3]++ // the ICMP checksum
	if f := dissect(t, frames)[0]; !strings.Contains(f.sums, "0") || !strings.Contains(f.severity, expertWarning) {
		t.Errorf("a wrong ICMP checksum goes unnoticed: %+v", f)
	}
}

// everyKind captures probes and answers of a chain that does all it can
// without breaking a checksum.
func everyKind(t *testing.T) []frame.Frame {
	t.Helper()
	topology := chain()
	topology.Routers = append(topology.Routers, topology.Routers...)
	routers := topology.Routers
	routers[0].Quote = capturetest.Quote{Length: capturetest.QuoteRFC792}
	routers[1].Quote = capturetest.Quote{ID: capturetest.QuoteIDSwapped, TOS: new(uint8(8))}
	routers[2].Quote = capturetest.Quote{TTL: capturetest.QuoteTTLSent, Length: 128}
	routers[3].Quote = capturetest.Quote{TTL: capturetest.QuoteTTLDecremented, ID: capturetest.QuoteIDZero}
	routers[4].Reply = capturetest.Reply{Copies: 1, TTL: 255, From: netip.MustParseAddr(dest)}

	var frames []frame.Frame
	for _, answer := range []capturetest.Answer{capturetest.AnswerUnreachable, capturetest.AnswerEcho} {
		topology.Destination.Answer = answer
		frames = append(frames, sweep(t, topology)...)
	}
	for _, hook := range []capturetest.Hook{capturetest.Prerouting, capturetest.Forward} {
		routers[5].Reject = &capturetest.Reject{Code: 13, Hook: hook}
		frames = append(frames, sweep(t, topology)...)
	}
	return frames
}

// sweep sends short and long probes with every TTL up to the destination's.
func sweep(t *testing.T, topology capturetest.Chain) []frame.Frame {
	t.Helper()
	_, c := connect(t, topology, capturetest.Host{})
	for ttl := range uint8(8) {
		short, odd, long := probe(ttl+1), probe(ttl+1), probe(ttl+1)
		odd.Payload = []byte("odd")
		long.Payload = bytes.Repeat([]byte("long"), 300)
		inject(t, c, short)
		inject(t, c, odd)
		inject(t, c, long)
	}
	if got := c.Stats().Malformed; len(got) != 0 {
		t.Error(got)
	}
	return capture(t, c, time.Second)
}

// The severities of tshark's expert messages that say that something is wrong.
// Notes do not: a TTL of 1 draws one.
const (
	expertWarning = "6291456"
	expertError   = "8388608"
)

// dissection is what tshark says of a frame.
type dissection struct {
	malformed, severity, expert string

	// sums are the states of the IP, ICMP and UDP checksums, quoted ones
	// included: 1 right, 0 wrong, 2 not looked at (a cut quote's UDP).
	sums string
}

func dissect(t *testing.T, frames []frame.Frame) []dissection {
	t.Helper()
	file := filepath.Join(t.TempDir(), "chain.pcap")
	if err := os.WriteFile(file, pcap(frames), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tshark", "-n", "-r", file,
		"-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-T", "fields", "-e", "_ws.malformed", "-e", "_ws.expert.severity", "-e", "_ws.expert.message",
		"-e", "ip.checksum.status", "-e", "icmp.checksum.status", "-e", "udp.checksum.status")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.Bytes())
	}
	var says []dissection
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		says = append(says, dissection{f[0], f[1], f[2], strings.Join(f[3:], " ")})
	}
	return says
}

// pcap is a capture file with nanosecond stamps (draft-ietf-opsawg-pcap).
func pcap(frames []frame.Frame) []byte {
	le := binary.LittleEndian
	file := le.AppendUint32(nil, 0xa1b23c4d)
	file = le.AppendUint16(file, 2)
	file = le.AppendUint16(file, 4)
	for _, v := range []uint32{0, 0, 65535, uint32(frame.Ethernet)} {
		file = le.AppendUint32(file, v)
	}
	for _, f := range frames {
		size := uint32(len(f.Data))
		for _, v := range []uint32{uint32(f.Time.Unix()), uint32(f.Time.Nanosecond()), size, size} {
			file = le.AppendUint32(file, v)
		}
		file = append(file, f.Data...)
	}
	return file
}
