package main

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// With the same letters a probe is what traceroute sends, but for what tells probes
// apart.
func TestProbesOnTheWireAreTraceroutes(t *testing.T) {
	kernelnet.Require(t, "traceroute", "tcpdump")
	c := kernelnet.NewChain(t, 3, &kernelnet.ChainOptions{Families: bothFamilies})
	tests := map[string]struct {
		args   string
		length string // of the packet, if not the default
		want   shape  // over IPv4
	}{
		"UDP":            {"", "", shape{Protocol: "UDP", Length: 60, Port: 33434}},
		"longer":         {"", "1000", shape{Protocol: "UDP", Length: 1000, Port: 33434}},
		"a port":         {"-U -p 7", "", shape{Protocol: "UDP", Length: 60, Port: 7}},
		"don't fragment": {"-F", "1400", shape{Protocol: "UDP", Length: 1400, Port: 33434, DF: true}},
		"EF":             {"-t 184", "", shape{Protocol: "UDP", Length: 60, Port: 33434, TOS: 0xb8}},
		"echo":           {"-I", "", shape{Protocol: "echo", Length: 60}},
		"echo, EF":       {"-I -t 0xb8", "100", shape{Protocol: "echo", Length: 100, TOS: 0xb8}},
		"ACK":            {"-T -O ack", "", shape{Protocol: "TCP", Length: 40, Port: 80, Flags: "ack"}},
		"FIN":            {"-T -O fin -p 443", "", shape{Protocol: "TCP", Length: 40, Port: 443, Flags: "fin"}},
		"SYN and ACK":    {"-T -O syn,ack,mss=1460", "", shape{Protocol: "TCP", Length: 44, Port: 80, Flags: "syn ack", Options: "MSS 05b4"}},
		"ECN":            {"-T -O ecn,mss=1000", "", shape{Protocol: "TCP", Length: 44, Port: 80, Flags: "syn ece cwr", Options: "MSS 03e8"}},
		"options":        {"-T -O syn,mss=1000,sack,timestamps", "", shape{Protocol: "TCP", Length: 56, Port: 80, Flags: "syn", Options: "MSS 03e8, SACKPermitted, Timestamps"}},
	}
	for name, test := range tests {
		for _, f := range bothFamilies {
			t.Run(name+"/"+f.Destination.String(), func(t *testing.T) {
				want := test.want
				if f == kernelnet.IPv6 {
					want = want.over6(test.length != "")
				}
				args := append(strings.Fields(test.args), "-n", "-q", "1", "-f", "2", "-m", "2", f.Destination.String())
				args = append(args, strings.Fields(test.length)...)
				for program, run := range map[string]func(){
					"tracewire":  func() { output(t, args...) },
					"traceroute": func() { c.Host().Run(append([]string{"traceroute"}, args...)...) },
				} {
					if d := cmp.Diff(want, firstProbe(t, c.Host(), f, run)); d != "" {
						t.Errorf("%s %v: -want +got\n%s", program, args, d)
					}
				}
			})
		}
	}
}

// shape is what a probe is, but for what tells it apart.
type shape struct {
	Protocol string
	Length   int // of the packet
	TOS      uint8
	DF       bool
	Port     int    // it goes to
	Flags    string // of TCP
	Options  string
}

// over6 is the same over IPv6: whose header is 20 bytes longer, and has no flags.
func (s shape) over6(lengthGiven bool) shape {
	if s.DF = false; !lengthGiven {
		s.Length += 20
	}
	return s
}

// firstProbe is the first packet with TTL 2 that leaves the host for the family's
// destination.
func firstProbe(t *testing.T, host *kernelnet.Node, f kernelnet.Family, run func()) shape {
	t.Helper()
	filter, first := "ip[8] == 2", layers.LayerTypeIPv4
	if f == kernelnet.IPv6 {
		filter, first = "ip6[7] == 2", layers.LayerTypeIPv6
	}
	dump := host.Start("tcpdump", "-Z", "root", "-i", "eth0", "-n", "-x", "-c", "1", "--immediate-mode", filter+" and dst host "+f.Destination.String())
	dump.Await("listening on")
	run()
	dump.Await("1 packet captured")
	return shapeOf(t, gopacket.NewPacket(shownBytes(t, dump.Stop()), first, gopacket.Default))
}

var shownLine = regexp.MustCompile(`0x[0-9a-f]{4}:  (.*)`)

// shownBytes are those of the packet that tcpdump -x has shown.
func shownBytes(t *testing.T, shown string) []byte {
	t.Helper()
	var text strings.Builder
	for _, line := range shownLine.FindAllStringSubmatch(shown, -1) {
		text.WriteString(strings.ReplaceAll(line[1], " ", ""))
	}
	b, err := hex.DecodeString(text.String())
	if err != nil || len(b) == 0 {
		t.Fatalf("no packet in %q: %v", shown, err)
	}
	return b
}

func shapeOf(t *testing.T, p gopacket.Packet) (s shape) {
	t.Helper()
	for _, layer := range p.Layers() {
		switch l := layer.(type) {
		case *layers.IPv4:
			s.Length, s.TOS, s.DF = int(l.Length), l.TOS, l.Flags&layers.IPv4DontFragment != 0
		case *layers.IPv6:
			s.Length, s.TOS = int(l.Length)+40, l.TrafficClass
		case *layers.UDP:
			s.Protocol, s.Port = "UDP", int(l.DstPort)
		case *layers.ICMPv4, *layers.ICMPv6Echo:
			s.Protocol = "echo"
		case *layers.TCP:
			s.Protocol, s.Port, s.Flags, s.Options = "TCP", int(l.DstPort), flagsOf(l), optionsOf(l)
		}
	}
	return s
}

func flagsOf(l *layers.TCP) string {
	var set []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"syn", l.SYN}, {"ack", l.ACK}, {"fin", l.FIN}, {"rst", l.RST}, {"psh", l.PSH}, {"urg", l.URG}, {"ece", l.ECE}, {"cwr", l.CWR}} {
		if f.set {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, " ")
}

// optionsOf leaves out padding, and what timestamps are.
func optionsOf(l *layers.TCP) string {
	var all []string
	for _, o := range l.Options {
		switch o.OptionType {
		case layers.TCPOptionKindNop, layers.TCPOptionKindEndList:
		case layers.TCPOptionKindMSS, layers.TCPOptionKindWindowScale:
			all = append(all, fmt.Sprintf("%v %x", o.OptionType, o.OptionData))
		default:
			all = append(all, o.OptionType.String())
		}
	}
	return strings.Join(all, ", ")
}
