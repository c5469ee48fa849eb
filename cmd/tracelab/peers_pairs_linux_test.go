package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fields are what tshark is asked for; where a packet quotes another, it prints
// a field of each, the quoted one last.
var fields = []string{
	"frame.interface_id", "frame.number", "frame.time_epoch",
	"ip.src", "ip.dst", "ip.proto", "ip.ttl", "ip.id",
	"ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.hlim", "ipv6.flow",
	"icmp.type", "icmp.code", "icmp.ident", "icmp.seq", "icmp.checksum",
	"icmpv6.type", "icmpv6.code", "icmpv6.echo.identifier", "icmpv6.echo.sequence_number", "icmpv6.checksum",
	"udp.srcport", "udp.dstport", "udp.checksum",
	"tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack", "tcp.flags", "tcp.checksum", "tcp.len",
}

// shown is a packet as tshark prints it: the fields by their names, each as
// often as it occurs.
type shown map[string][]string

func (p shown) first(names ...string) string {
	for _, n := range names {
		if len(p[n]) > 0 {
			return p[n][0]
		}
	}
	return ""
}

func (p shown) last(names ...string) string {
	for _, n := range names {
		if len(p[n]) > 0 {
			return p[n][len(p[n])-1]
		}
	}
	return ""
}

func (p shown) number(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(p.first(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func (p shown) ttl(t *testing.T) int {
	t.Helper()
	if len(p["ip.ttl"]) > 0 {
		return p.number(t, "ip.ttl")
	}
	return p.number(t, "ipv6.hlim")
}

// way is where a packet comes from and goes to, and its protocol.
func (p shown) way() string {
	return strings.Join([]string{p.first("ip.src", "ipv6.src"), p.first("ip.dst", "ipv6.dst"), p.first("ip.proto", "ipv6.nxt")}, " ")
}

// nanoseconds is when the packet was captured, since 1970.
func (p shown) nanoseconds(t *testing.T) int64 {
	t.Helper()
	seconds, fraction, _ := strings.Cut(p.first("frame.time_epoch"), ".")
	ns, err := strconv.ParseInt(seconds+(fraction + "000000000")[:9], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// packetsOf is what tshark shows of each file's packets. One tshark reads them
// all, each as an interface of its own, since it takes longer to start than to
// read.
func packetsOf(t *testing.T, files []string) [][]shown {
	t.Helper()
	args := []string{
		"-n", "-r", "-", "-T", "fields", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
		"-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.relative_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE",
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	merge := exec.Command("mergecap", append([]string{"-a", "-I", "none", "-w", "-"}, files...)...)
	show := exec.Command("tshark", args...)
	merged, err := merge.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr, out bytes.Buffer
	show.Stdin, show.Stdout, merge.Stderr = merged, &out, &stderr
	if err := merge.Start(); err != nil {
		t.Fatal(err)
	}
	if err := show.Run(); err != nil {
		t.Fatal(err)
	}
	if err := merge.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	packets := make([][]shown, len(files))
	for line := range strings.Lines(out.String()) {
		p := shown{}
		for i, value := range strings.Split(strings.TrimRight(line, "\n"), "\t") {
			if value != "" {
				p[fields[i]] = strings.Split(value, ",")
			}
		}
		file := p.number(t, "frame.interface_id")
		packets[file] = append(packets[file], p)
	}
	return packets
}

// ordinaryTTL is above the TTLs of probes, and not above those with which other
// packets are sent or arrive. nmap asks whether a host is there with such a one.
const ordinaryTTL = 33

// pairs are the probes and replies among a file's packets, one in a line, by
// the replies' order. It goes by simple rules that have nothing of tracewire's:
//
//   - an ICMP error is of the packet that has the addresses, protocol, ports,
//     identifier and sequence numbers that it quotes;
//   - an echo reply is of the request with its identifier and sequence number,
//     what comes by UDP is of the packet with its ports, a SYN/ACK or RST is of the
//     SYN that it acknowledges, and a RST is of an ACK out of the blue;
//   - where that leaves several, those with the quoted IP ID, checksum and
//     flow label are preferred, then those unanswered, then those with the TTL
//     that was used last; of these it is the earliest;
//   - what was captured twice at once counts once.
//
// The last line has the probes that nothing answers.
func pairs(t *testing.T, packets []shown) string {
	t.Helper()
	if len(packets) == 0 {
		t.Fatal("no packets")
	}
	start := packets[0].number(t, "frame.number") - 1
	var b strings.Builder
	b.WriteString("# probe\treply\tTTL\tfrom\tkind\tRTT in ns\tof\tto\n")
	answered := map[int]bool{}
	for i, reply := range packets {
		probe, ok := probeOf(packets[:i], reply, answered)
		if !ok || i > 0 && isCopy(reply, packets[i-1]) {
			continue
		}
		answered[probe] = true
		sent := packets[probe]
		of := "trace"
		if sent.ttl(t) >= ordinaryTTL {
			of = "other"
		}
		fmt.Fprintf(&b, "%d\t%d\t%d\t%s\t%s\t%d\t%s\t%s\n", sent.number(t, "frame.number")-start, reply.number(t, "frame.number")-start, sent.ttl(t),
			reply.first("ip.src", "ipv6.src"), kind(reply), reply.nanoseconds(t)-sent.nanoseconds(t), of, sent.first("ip.dst", "ipv6.dst"))
	}
	b.WriteString("# unanswered:")
	for _, i := range unanswered(t, packets, answered) {
		fmt.Fprintf(&b, " %d", packets[i].number(t, "frame.number")-start)
	}
	return b.String() + "\n"
}

// unanswered are the places of probes without a reply: of what has a low TTL,
// that which is like an answered probe in protocol and addresses, or which comes
// with three TTLs at least.
func unanswered(t *testing.T, packets []shown, answered map[int]bool) []int {
	t.Helper()
	const several = 3
	ttls := map[string]map[int]bool{}
	hit := map[string]bool{}
	var low []int
	for i, p := range packets {
		if !probes(packets[:i], p) || p.ttl(t) >= ordinaryTTL || i > 0 && isCopy(p, packets[i-1]) {
			continue
		}
		low = append(low, i)
		if ttls[p.way()] == nil {
			ttls[p.way()] = map[int]bool{}
		}
		ttls[p.way()][p.ttl(t)] = true
		hit[p.way()] = hit[p.way()] || answered[i]
	}
	return slices.DeleteFunc(low, func(i int) bool {
		way := packets[i].way()
		return answered[i] || !hit[way] && len(ttls[way]) < several
	})
}

// probes tells whether a packet is one with which programs probe: a request, a
// datagram or the like, or what opens a connection.
func probes(before []shown, p shown) bool {
	switch {
	case p.first("icmp.type", "icmpv6.type") != "":
		return asks(p)
	case p.first("tcp.flags") != "":
		return slices.Contains([]string{syn, ack}, p.first("tcp.flags")) && !continues(before, p)
	}
	return p.first("udp.srcport") != ""
}

// isCopy tells whether two packets are the same in all but the frame's number.
func isCopy(a, b shown) bool {
	return !slices.ContainsFunc(fields, func(f string) bool {
		return !slices.Equal(a[f], b[f]) && f != "frame.number" && f != "frame.interface_id"
	})
}

// kind says what sort of answer a packet is, and is empty for all others.
func kind(p shown) string {
	switch {
	case slices.Contains([]string{"3", "11"}, p.first("icmp.type")):
		return "icmp " + p.first("icmp.type") + "/" + p.first("icmp.code")
	case slices.Contains([]string{"1", "2", "3"}, p.first("icmpv6.type")):
		return "icmpv6 " + p.first("icmpv6.type") + "/" + p.first("icmpv6.code")
	case p.first("icmp.type") == "0", p.first("icmpv6.type") == "129":
		return "echo-reply"
	case p.first("icmp.type", "icmpv6.type") != "":
		return ""
	case p.first("tcp.flags") != "":
		return "tcp " + p.first("tcp.flags")
	case p.first("udp.srcport") != "":
		return "udp"
	}
	return ""
}

// probeOf is the place of the packet that a reply answers.
func probeOf(before []shown, reply shown, answered map[int]bool) (place int, ok bool) {
	var same []string
	fits := answers
	if k := kind(reply); k == "" {
		return 0, false
	} else if strings.HasPrefix(k, "icmp") {
		fits = quotes
		same = []string{"ip.id", "udp.checksum", "tcp.checksum", "icmp.checksum", "icmpv6.checksum", "ipv6.flow"}
	}
	var found []int
	for i, p := range before {
		if fits(reply, p) && !continues(before[:i], p) && (i == 0 || !isCopy(p, before[i-1])) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return 0, false
	}
	for _, f := range same {
		found = preferred(found, func(i int) bool { return before[i].first(f) == reply.last(f) })
	}
	found = preferred(found, func(i int) bool { return !answered[i] })
	latest := before[found[len(found)-1]]
	found = preferred(found, func(i int) bool {
		return before[i].first("ip.ttl", "ipv6.hlim") == latest.first("ip.ttl", "ipv6.hlim")
	})
	return found[0], true
}

// preferred are those that are as asked, or all where none is.
func preferred(places []int, asked func(int) bool) []int {
	if some := slices.DeleteFunc(slices.Clone(places), func(i int) bool { return !asked(i) }); len(some) > 0 {
		return some
	}
	return places
}

// quotes tells whether an ICMP error quotes a packet.
func quotes(reply, p shown) bool {
	if len(reply["ip.src"])+len(reply["ipv6.src"]) < 2 || p.first("icmp.type", "icmpv6.type") != "" && !asks(p) {
		return false
	}
	for _, names := range [][]string{
		{"ip.src", "ipv6.src"}, {"ip.dst", "ipv6.dst"}, {"ip.proto", "ipv6.nxt"},
		{"icmp.ident", "icmpv6.echo.identifier"}, {"icmp.seq", "icmpv6.echo.sequence_number"},
		{"udp.srcport"}, {"udp.dstport"}, {"tcp.srcport"}, {"tcp.dstport"}, {"tcp.seq"},
	} {
		if reply.last(names...) != p.first(names...) {
			return false
		}
	}
	return true
}

func asks(p shown) bool { return p.first("icmp.type") == "8" || p.first("icmpv6.type") == "128" }

// answers tells whether a packet is one's to whom another was sent.
func answers(reply, p shown) bool {
	if reply.first("ip.src", "ipv6.src") != p.first("ip.dst", "ipv6.dst") || reply.first("ip.dst", "ipv6.dst") != p.first("ip.src", "ipv6.src") {
		return false
	}
	switch {
	case asks(p):
		return kind(reply) == "echo-reply" &&
			reply.first("icmp.ident", "icmpv6.echo.identifier") == p.first("icmp.ident", "icmpv6.echo.identifier") &&
			reply.first("icmp.seq", "icmpv6.echo.sequence_number") == p.first("icmp.seq", "icmpv6.echo.sequence_number")
	case p.first("icmp.type", "icmpv6.type") != "":
		return false // or a quote's ports would be taken for its own
	case p.first("udp.srcport") != "":
		return kind(reply) == "udp" && reply.first("udp.srcport") == p.first("udp.dstport") && reply.first("udp.dstport") == p.first("udp.srcport")
	case p.first("tcp.flags") != "":
		return reply.first("tcp.srcport") == p.first("tcp.dstport") && reply.first("tcp.dstport") == p.first("tcp.srcport") && acknowledges(reply, p)
	}
	return false
}

// The flags of segments that probe, or answer.
const syn, ack, synAck, rst, rstAck = "0x0002", "0x0010", "0x0012", "0x0004", "0x0014"

// acknowledges tells whether a segment is what a SYN or a bare ACK draws.
func acknowledges(reply, p shown) bool {
	switch p.first("tcp.flags") {
	case syn:
		seq, err := strconv.ParseUint(p.first("tcp.seq"), 10, 32)
		next := strconv.FormatUint((seq+1)&0xffffffff, 10)
		return err == nil && slices.Contains([]string{synAck, rstAck}, reply.first("tcp.flags")) && reply.first("tcp.ack") == next
	case ack:
		return reply.first("tcp.flags") == rst && p.first("tcp.len") == "0" && reply.first("tcp.seq") == p.first("tcp.ack")
	}
	return false
}

// continues tells whether a packet belongs to a connection that a SYN of its
// sender's opened. mtr's have low TTLs too.
func continues(before []shown, p shown) bool {
	if p.first("tcp.flags") != ack {
		return false
	}
	return slices.ContainsFunc(before, func(b shown) bool {
		return b.first("tcp.flags") == syn && b.first("ip.dst", "ipv6.dst") == p.first("ip.dst", "ipv6.dst") &&
			b.first("tcp.srcport") == p.first("tcp.srcport") && b.first("tcp.dstport") == p.first("tcp.dstport")
	})
}
