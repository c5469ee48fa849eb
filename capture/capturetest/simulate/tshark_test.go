package simulate_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// TestTsharkFindsNothingWrong lets an independent dissector look at every answer
// of every shipped topology. Where a topology asks for something wrong, tshark
// must find just that.
func TestTsharkFindsNothingWrong(t *testing.T) {
	kernelnet.RequirePrograms(t, "tshark")
	files, err := filepath.Glob("../../../testdata/topologies/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no topologies: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			of, err := topology.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answers := sweep(t, of)
			says := dissect(t, answers)
			if len(answers) == 0 || len(says) != len(answers) {
				t.Fatalf("tshark shows %d packets of %d", len(says), len(answers))
			}
			bent, kept := bentBy(of), keepsChecksums(of)
			for i, s := range says {
				if !bent[s.from] && !strings.Contains(s.sums+s.transport, "1") {
					t.Errorf("packet %d from %s has no checksum that was looked at", i+1, s.from)
				}
				if kept && strings.Contains(s.transport, "0") {
					s.transport, s.severity = "", ""
				}
				if wrong := s.wrong(); wrong != "" && !bent[s.from] {
					t.Errorf("packet %d from %s: %s\n%x", i+1, s.from, wrong, answers[i].IP)
				}
			}
		})
	}
}

// bentBy are the addresses whose answers a topology asks to be wrong.
func bentBy(of *topology.Topology) map[string]bool {
	bent := map[string]bool{}
	note := func(n topology.Node) {
		a := n.Answer
		broken := a.WrongLength || a.Quote.Length > 0 && a.Quote.Length < 28 || a.MPLS != nil && a.MPLS.Form != ""
		for _, addr := range n.Addresses {
			bent[addr.String()] = bent[addr.String()] || broken
		}
	}
	for _, r := range of.Routers {
		note(r.Node)
	}
	for _, d := range of.Destinations {
		note(d.Node)
	}
	return bent
}

// keepsChecksums reports whether a NAT leaves quoted checksums as they were.
func keepsChecksums(of *topology.Topology) bool {
	return slices.ContainsFunc(of.Routers, func(r topology.Router) bool { return r.NAT != nil && r.NAT.KeepQuotedChecksum })
}

// sweep sends probes of all kinds, with all TTLs, to every destination, and to
// some of every prefix, a second apart.
func sweep(t *testing.T, of *topology.Topology) (answers []simulate.Arrival) {
	t.Helper()
	n := network(t, of)
	full := of.WithDefaults()
	host := map[bool]netip.Addr{}
	for _, p := range full.Host.Addresses {
		host[p.Addr().Is6()] = p.Addr()
	}
	var targets []netip.Addr
	for _, r := range of.Routers {
		targets = append(targets, r.Addresses...)
	}
	for _, d := range of.Destinations {
		targets = append(targets, d.Addresses...)
	}
	for _, p := range of.Prefixes {
		targets = append(targets, p.Prefix.Addr().Next(), p.Prefix.Addr().Next().Next())
	}
	at := time.Duration(0)
	for _, to := range targets {
		for ttl := uint8(1); ttl < 20; ttl++ {
			for _, p := range everyProbe() {
				p.v6, p.to, p.from, p.ttl = to.Is6(), to.String(), host[to.Is6()].String(), ttl
				answers = n.Carry(at, p.bytes(t), answers)
				at += time.Second
			}
		}
	}
	if s := n.Stats(); s.Malformed > 0 {
		t.Error(s.Reason)
	}
	return answers
}

func everyProbe() []probe {
	query, err := hex.DecodeString("beef01000001000000000000" + "03777777076578616d706c6503636f6d0000010001")
	if err != nil {
		panic(err)
	}
	return []probe{
		{id: 9, tos: 0x2a}, {data: []byte("odd"), dst: 40001}, {size: 1400, dst: 40002, dontFrag: true}, {dst: 53, data: query},
		{echo: true, src: 5, dst: 6}, {echo: true, size: 999},
		{tcp: &layers.TCP{SYN: true, Seq: 8, Window: 1000, Options: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindSACKPermitted},
			{OptionType: layers.TCPOptionKindTimestamps, OptionData: []byte{0, 0, 0, 1, 0, 0, 0, 0}},
		}}, dst: 443, size: -1},
		{tcp: &layers.TCP{SYN: true}, dst: 81, size: -1},
	}
}

// dissection is what tshark says of a packet. The checksums of IP and ICMP, and
// of UDP and TCP, are 1 where right, 0 wrong, 2 not looked at; those in quotes
// are among them.
type dissection struct{ from, malformed, severity, expert, sums, transport string }

// The severities of expert messages that say that something is wrong.
const (
	expertWarning = "6291456"
	expertError   = "8388608"
)

// harmless are warnings about what is as it should be: resets, and what links
// repeat.
var harmless = []string{
	"Connection reset (RST)", "DNS query retransmission", "DNS response retransmission",
}

func (d dissection) wrong() string {
	switch {
	case d.malformed != "":
		return "malformed: " + d.malformed
	case strings.Contains(d.sums+d.transport, "0"):
		return "checksums " + d.sums + ", " + d.transport
	case strings.Contains(d.severity, expertWarning) || strings.Contains(d.severity, expertError):
		for _, h := range harmless {
			if strings.Contains(d.expert, h) {
				return ""
			}
		}
		return "expert: " + d.expert
	}
	return ""
}

func dissect(t *testing.T, answers []simulate.Arrival) (says []dissection) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "answers.pcap")
	if err := os.WriteFile(file, pcap(answers), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tshark", "-n", "-r", file,
		"-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-o", "tcp.analyze_sequence_numbers:FALSE", // links reorder and repeat
		"-T", "fields", "-e", "ip.src", "-e", "ipv6.src", "-e", "_ws.malformed", "-e", "_ws.expert.severity", "-e", "_ws.expert.message",
		"-e", "ip.checksum.status", "-e", "icmp.checksum.status", "-e", "icmpv6.checksum.status",
		"-e", "icmp.ext.checksum.status", "-e", "udp.checksum.status", "-e", "tcp.checksum.status")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.Bytes())
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		from, _, _ := strings.Cut(f[0]+f[1], ",")
		says = append(says, dissection{from, f[2], f[3], f[4], strings.Join(f[5:9], " "), f[9] + " " + f[10]})
	}
	return says
}

// pcap is a capture file of packets without a link header
// (draft-ietf-opsawg-pcap, LINKTYPE_RAW).
func pcap(packets []simulate.Arrival) []byte {
	le := binary.LittleEndian
	file := le.AppendUint32(nil, 0xa1b23c4d)
	file = le.AppendUint16(file, 2)
	file = le.AppendUint16(file, 4)
	for _, v := range []uint32{0, 0, 65535, 101} {
		file = le.AppendUint32(file, v)
	}
	for _, p := range packets {
		size := uint32(len(p.IP))
		for _, v := range []uint32{uint32(p.At / time.Second), uint32(p.At % time.Second), size, size} {
			file = le.AppendUint32(file, v)
		}
		file = append(file, p.IP...)
	}
	return file
}
