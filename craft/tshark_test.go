package craft_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// tsharkFields are what tshark is asked for: where the packet goes, what it
// thinks of each checksum (1 is right), and what else a probe says.
var tsharkFields = []string{
	"ip.dst", "ip.checksum.status", "udp.checksum.status", "tcp.checksum.status", "icmp.checksum.status",
	"icmpv6.checksum.status", "vlan.id", "vlan.priority", "ip.ttl", "ipv6.hlim", "ipv6.tclass", "ipv6.flow",
	"dns.id", "dns.qry.type", "icmp.ident", "icmpv6.echo.identifier", "tcp.flags", "tcp.len",
	"tcp.options.mss_val", "tcp.options.sack_perm", "tcp.options.wscale.shift", "tcp.option_kind", "ip.rec_rt", "udp.checksum_coverage", "_ws.malformed",
}

// tsharkWant is what tshark must show of each family.
var tsharkWant = []string{
	"ip.dst=198.51.100.7 ip.checksum.status=1 udp.checksum.status=1 ip.ttl=5",
	"udp.checksum.status=1 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde",
	"ip.dst=198.51.100.7 ip.checksum.status=1 udp.checksum.status=1 ip.ttl=5 dns.id=0x7cb5 dns.qry.type=2",
	"udp.checksum.status=1 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde dns.id=0xf957 dns.qry.type=2",
	"ip.dst=198.51.100.7 ip.checksum.status=1 icmp.checksum.status=1 ip.ttl=5 icmp.ident=40000",
	"icmpv6.checksum.status=1 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde icmpv6.echo.identifier=0x9c40",
	"ip.dst=198.51.100.7 ip.checksum.status=1 tcp.checksum.status=1 ip.ttl=5 tcp.flags=0x0002 tcp.len=0",
	"ip.dst=198.51.100.7 ip.checksum.status=1 tcp.checksum.status=1 ip.ttl=5 tcp.flags=0x00c2 tcp.len=0 tcp.options.mss_val=1460 tcp.options.sack_perm=0402 tcp.options.wscale.shift=7 tcp.option_kind=2,4,8,1,3",
	"tcp.checksum.status=1 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde tcp.flags=0x00c2 tcp.len=0 tcp.options.mss_val=1460 tcp.options.sack_perm=0402 tcp.options.wscale.shift=7 tcp.option_kind=2,4,8,1,3",
	"ip.dst=198.51.100.7 ip.checksum.status=1 tcp.checksum.status=1 ip.ttl=5 tcp.flags=0x0002 tcp.len=3 tcp.options.sack_perm=0402 tcp.option_kind=1,1,4",
	"tcp.checksum.status=1 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde tcp.flags=0x0010 tcp.len=0 tcp.option_kind=1,1,8",
	"ip.dst=198.51.100.7 ip.checksum.status=1 udp.checksum.status=1 ip.ttl=5",
	"ip.dst=198.51.100.7 ip.checksum.status=1 tcp.checksum.status=1 ip.ttl=5 tcp.flags=0x0002 tcp.len=0",
	"ip.dst=198.51.100.7 ip.checksum.status=1 udp.checksum.status=1 ip.ttl=5 udp.checksum_coverage=0",
	"udp.checksum.status=1 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde udp.checksum_coverage=0",
	"udp.checksum.status=1 vlan.id=291 vlan.priority=5 ipv6.hlim=5 ipv6.tclass=0x000000b9 ipv6.flow=0x0abcde",
}

// An independent dissector finds every checksum right, and in each probe what
// was asked for.
func TestTsharkReadsWhatTheProbesSay(t *testing.T) {
	if d := cmp.Diff(tsharkWant, tsharkSays(t)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// tsharkSays is what tshark shows of the families' frames: those fields that
// are there, each as name=value.
func tsharkSays(t *testing.T) (says []string) {
	t.Helper()
	kernelnet.RequirePrograms(t, "tshark")
	args := []string{"-n", "-r", writeFamilies(t), "-T", "fields", "-E", "separator=/t",
		"-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
		"-o", "udplite.check_checksum:TRUE"}
	for _, f := range tsharkFields {
		args = append(args, "-e", f)
	}
	out, err := exec.CommandContext(t.Context(), "tshark", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var shown []string
		for i, value := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			if value != "" {
				shown = append(shown, tsharkFields[i]+"="+value)
			}
		}
		says = append(says, strings.Join(shown, " "))
	}
	return says
}

// writeFamilies writes the families' frames to a file.
func writeFamilies(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "families.pcap")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, f := range families {
		data, _ := frameOf(t, newBuilder(t, linkOf(f.link)), f.probe)
		info := gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(data), Length: len(data)}
		if err := w.WritePacket(info, data); err != nil {
			t.Fatal(err)
		}
	}
	return name
}
