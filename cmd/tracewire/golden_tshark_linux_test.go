package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// seenFrame is a frame as tshark reads it: its outermost IP header.
type seenFrame struct {
	number   string
	src, dst netip.Addr
	ttl      int
	what     string // ICMP type and code, or nothing
}

// seenBy are the frames of a capture by their stamps, of which tshark gives all
// the digits that the file has.
func seenBy(t *testing.T, capture string) map[int64][]seenFrame {
	t.Helper()
	out, err := exec.Command("tshark", "-n", "-r", capture, "-T", "fields", "-E", "occurrence=f",
		"-e", "frame.number", "-e", "frame.time_epoch", "-e", "ip.src", "-e", "ipv6.src", "-e", "ip.dst", "-e", "ipv6.dst",
		"-e", "ip.ttl", "-e", "ipv6.hlim", "-e", "icmp.type", "-e", "icmpv6.type", "-e", "icmp.code", "-e", "icmpv6.code").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64][]seenFrame{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		src, err := netip.ParseAddr(f[2] + f[3])
		if err != nil {
			continue // not IP
		}
		ttl, err := strconv.Atoi(f[6] + f[7])
		if err != nil {
			t.Fatalf("%s, frame %s: %v", capture, f[0], err)
		}
		at := epoch(t, f[1])
		seen[at] = append(seen[at], seenFrame{f[0], src, netip.MustParseAddr(f[4] + f[5]), ttl, f[8] + f[9] + "/" + f[10] + f[11]})
	}
	return seen
}

// epoch is a time of tshark's in nanoseconds, exactly.
func epoch(t *testing.T, text string) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole+(fraction + "000000000")[:9], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// shownTrace is what a golden document says that tshark can confirm.
type shownTrace struct {
	Target, Source struct{ Addr netip.Addr }
	Hops           []struct{ Probes []shownProbe }
}

type shownProbe struct {
	TTL   *int
	Sent  *time.Time
	Reply *shownReply
	Extra []shownReply `json:"extra_replies"`
}

type shownReply struct {
	From     netip.Addr
	Received time.Time
	RTT      *int64 `json:"rtt_ns"`
	Type     *int   `json:"icmp_type"`
	Code     *int   `json:"icmp_code"`
	TTL      int
}

// Each probe and reply of the golden documents is a frame that tshark sees at the
// very nanosecond, from and to these addresses, with that TTL and ICMP type; each
// round trip is the difference of two frames' epoch times.
func TestGoldenAgreesWithTshark(t *testing.T) {
	kernelnet.Require(t, "tshark")
	for _, capture := range thirdParty(t) {
		name := strings.TrimSuffix(filepath.Base(capture), ".pcap")
		t.Run(name, func(t *testing.T) {
			seen := seenBy(t, capture)
			text, err := os.ReadFile(goldens + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				var trace shownTrace
				if err := json.Unmarshal([]byte(line), &trace); err != nil {
					t.Fatal(err)
				}
				trace.confirm(t, seen)
			}
		})
	}
}

func (s *shownTrace) confirm(t *testing.T, seen map[int64][]seenFrame) {
	t.Helper()
	var probes []shownProbe
	for _, h := range s.Hops {
		probes = append(probes, h.Probes...)
	}
	if len(probes) == 0 {
		t.Error("a trace without probes")
	}
	for _, p := range probes {
		if p.Sent != nil {
			s.confirmFrame(t, seen, *p.Sent, func(f seenFrame) bool {
				return f.src == s.Source.Addr && f.dst == s.Target.Addr && p.TTL != nil && f.ttl == *p.TTL
			})
		}
		for _, r := range append(p.Extra, *p.Reply) {
			s.confirmFrame(t, seen, r.Received, func(f seenFrame) bool {
				return f.src == r.From && f.ttl == r.TTL && (r.Type == nil || f.what == strconv.Itoa(*r.Type)+"/"+strconv.Itoa(*r.Code))
			})
			switch {
			case (p.Sent == nil) != (r.RTT == nil):
				t.Errorf("sent %v, but the round trip is %v", p.Sent, r.RTT)
			case r.RTT != nil && *r.RTT != r.Received.UnixNano()-p.Sent.UnixNano():
				t.Errorf("round trip %d of %v to %v", *r.RTT, p.Sent, r.Received)
			}
		}
	}
}

func (s *shownTrace) confirmFrame(t *testing.T, seen map[int64][]seenFrame, at time.Time, is func(seenFrame) bool) {
	t.Helper()
	for _, f := range seen[at.UnixNano()] {
		if is(f) {
			return
		}
	}
	t.Errorf("tshark sees no such frame at %v, but %+v", at, seen[at.UnixNano()])
}
