package pcapng_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// run runs a program and returns what it prints. Those that read captures must
// have nothing to complain of.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if (program == "tshark" || program == "capinfos") && !strings.HasPrefix(line, "Running as user") {
			t.Errorf("%s %q: %s", program, args, line)
		}
	}
	return string(out)
}

// ping is an echo reply from 10.0.0.1 to 10.0.0.6, by Ethernet.
var ping = "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00" +
	"\x45\x00\x00\x1c\x00\x01\x00\x00\x40\x01\x66\xd9\x0a\x00\x00\x01\x0a\x00\x00\x06" +
	"\x00\x00\xff\xfe\x00\x00\x00\x01"

// asTshark is a frame in the fields that tsharkFields asks for, but for the
// interface's name.
func asTshark(f *frame.Frame) string {
	return fmt.Sprintf("%d.%09d\t%d\t%d\t%d\t%s\t%s", f.Time.Unix(), f.Time.Nanosecond(), f.Length, len(f.Data),
		f.Interface, [...]string{"", "0x00000001", "0x00000002"}[f.Direction], strings.Join(f.Comments, "|"))
}

func tsharkFields(t *testing.T, name string) []string {
	out := run(t, "tshark", "-n", "-r", name, "-T", "fields", "-E", "aggregator=|", "-e", "frame.time_epoch", "-e", "frame.len",
		"-e", "frame.cap_len", "-e", "frame.interface_id", "-e", "frame.packet_flags_direction", "-e", "frame.comment")
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

func TestTsharkAndCapinfosReadWhatIsWritten(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark", "capinfos", "tcpdump")
	var file bytes.Buffer
	section := pcapng.Section{Hardware: "the machine", OS: "the system", Application: "the program"}
	w, err := pcapng.NewWriter(&file, section, "on the section")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eth0", "eth1"} {
		i := pcapng.Interface{Name: name, Filter: "icmp", OS: "Linux", Hardware: "virtio", Description: "of " + name,
			MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Link: frame.Ethernet, SnapLen: 2048}
		if _, err := w.AddInterface(i, "on "+name); err != nil {
			t.Fatal(err)
		}
	}
	names := map[netip.Addr]string{netip.MustParseAddr("10.0.0.6"): "router.example", netip.MustParseAddr("2001:db8::1"): "six.example"}
	if err := w.WriteNames(names, "on the names"); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, comments := range [][]string{{"probe 17: TTL 6, round 2", `tracewire/1 {"n":17}`}, {"µs"}, nil} {
		f := frame.Frame{Time: time.Unix(1_700_000_000, 123_456_789+int64(i)), Data: []byte(ping), Length: len(ping) + 100*i,
			Link: frame.Ethernet, Direction: frame.Direction(i), Interface: i % 2, Comments: comments}
		if err := w.WriteFrame(&f); err != nil {
			t.Fatal(err)
		}
		want = append(want, asTshark(&f))
	}
	counts := pcapng.Statistics{Start: time.Unix(1_700_000_000, 0), End: time.Unix(1_700_000_001, 5), Received: 17, Dropped: 4}
	if err := w.WriteStatistics(1, counts, "on the statistics"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "written.pcapng")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(want, tsharkFields(t, name)); diff != "" {
		t.Errorf("tshark's frames: %s", diff)
	}
	const onlyComments = "1048576,1048576" // the severity of two comments
	hosts := run(t, "tshark", "-N", "n", "-r", name, "-c", "1", "-T", "fields", "-e", "frame.interface_name",
		"-e", "frame.interface_description", "-e", "ip.dst_host", "-e", "_ws.malformed", "-e", "_ws.expert.severity")
	if want := "eth0\tof eth0\trouter.example\t\t" + onlyComments + "\n"; hosts != want {
		t.Errorf("tshark says %q, want %q", hosts, want)
	}
	infos := strings.Join(strings.Fields(run(t, "capinfos", "-M", name)), " ")
	for _, want := range []string{
		"File type: pcapng ", "Number of packets: 3 ", "the machine", "the system", "the program", "on the section",
		"Number of interfaces in file: 2", "Name = eth1", "Description = of eth1", "Capture length = 2048",
		"Time precision = nanoseconds (9)", "Time ticks per second = 1000000000", "Filter string = icmp", "Operating system = Linux",
		"Hardware = virtio", "Number of stat entries = 1", "Number of resolved IPv4 addresses in file: 1",
		"Number of resolved IPv6 addresses in file: 1",
	} {
		if !strings.Contains(infos, want) {
			t.Errorf("capinfos doesn't say %q: %s", want, infos)
		}
	}
	// libpcap, which wants one snapshot length and one link type
	if out, err := exec.CommandContext(t.Context(), "tcpdump", "-n", "--count", "-r", name).Output(); err != nil || string(out) != "3 packets\n" {
		t.Errorf("tcpdump: %q, %v", out, err)
	}
}

// TestReaderAgreesWithTshark reads what Wireshark's tools write.
func TestReaderAgreesWithTshark(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark", "editcap", "mergecap", "text2pcap")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	const traceroute = "../../testdata/captures/tcpdump_mpls_traceroute.pcap"
	run(t, "editcap", "-F", "pcapng", traceroute, in("micro"))
	run(t, "editcap", "-F", "pcapng", "../../testdata/captures/peers/mtr-chain.pcap", in("nano"))
	run(t, "editcap", "-F", "pcapng", "-s", "40", "-a", "2:the second", "-a", "3:the third", traceroute, in("comments"))
	run(t, "editcap", "-F", "pcapng", "--capture-comment", "of the file", in("nano"), in("capture-comment"))
	run(t, "mergecap", "-F", "pcapng", "-w", in("merged"), traceroute, in("nano"), in("comments"),
		"../../testdata/captures/tcpdump_icmp-rfc5837.pcap")
	run(t, "mergecap", "-F", "pcapng", "-a", "-I", "none", "-w", in("not-in-order"), in("nano"), traceroute)
	text := in("text")
	if err := os.WriteFile(text, []byte("I 0000 01 02 03 04\nO 0000 05 06 07 08\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "text2pcap", "-q", "-D", text, in("directions"))
	files := []string{"../../testdata/captures/pcapplusplus_IcmpPackets.pcap"}
	for _, name := range []string{"micro", "nano", "comments", "capture-comment", "merged", "not-in-order", "directions"} {
		files = append(files, in(name))
	}
	for n, b := range []builder{little, big} {
		name := in(fmt.Sprint("by-hand-", n))
		if err := os.WriteFile(name, b.readable(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(file)
			if err != nil {
				t.Fatal(err)
			}
			var frames []string
			for _, f := range got.frames[:len(got.frames)-1] {
				frames = append(frames, asTshark(&f))
			}
			if diff := cmp.Diff(tsharkFields(t, name), withoutOthers(frames, file)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// withoutOthers drops the comments of the section header, which tshark doesn't
// show with the frame that they come with.
func withoutOthers(frames []string, file []byte) []string {
	got, err := read(slices.Concat(file[:headerLength(file)]))
	if err != nil || len(got.frames) != 1 {
		return frames
	}
	for _, comment := range got.frames[0].Comments {
		frames[0] = strings.Replace(frames[0], comment, "", 1)
		frames[0] = strings.Replace(frames[0], "\t|", "\t", 1)
	}
	return frames
}

func headerLength(file []byte) uint32 {
	b := little.AppendByteOrder.(interface{ Uint32([]byte) uint32 })
	if file[8] == 0x1a {
		b = big.AppendByteOrder.(interface{ Uint32([]byte) uint32 })
	}
	return b.Uint32(file[4:])
}

// readable is a file of blocks that tshark reads too: two sections, interfaces
// between frames, all kinds of clocks.
func (b builder) readable() []byte {
	data := ping
	file := slices.Concat(b.section(option{4, "by hand"}), b.ethernet(), b.packet(0, 1_700_000_000_123_456, data, comment("µs")))
	for n, options := range [][]any{
		{option{9, byte(9)}}, {option{9, byte(3)}}, {option{9, byte(0)}}, {option{9, byte(0x80 | 20)}}, {option{14, uint64(1_000_000)}},
	} {
		ticks := [...]uint64{1_700_000_000_123_456_789, 1_700_000_000_123, 1_700_000_000, 1_700_000_000<<20 | 1<<19, 1_600_000_000_000_001}[n]
		file = slices.Concat(file, b.ethernet(options...), b.packet(n+1, ticks, data, option{2, uint32(1 + n%2)}, 0))
	}
	return slices.Concat(file,
		b.block(obsoletePacket, uint16(0), uint16(3), uint32(1_700_000_000_000_001>>32), uint32(1_700_000_000_000_001&0xffffffff),
			len(data), 60, data),
		b.block(names, option{1, "\x0a\x00\x00\x01router.example\x00"}, 0),
		b.block(statistics, 0, 0, 5, option{4, uint64(100)}))
}
