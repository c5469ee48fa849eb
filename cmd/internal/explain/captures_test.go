package explain_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/explain"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
)

// expectations are lines of tshark's that stand beside captures: of the probe, of
// the reply, and of the quote.
var expectations = map[string]string{
	`Total Length: (\d+)`: "total length", `Identification: (0x\w+)`: "ID", `Time to Live: (\d+)`: "TTL",
	`Header Checksum: (0x\w+)`: "header checksum", `Payload Length: (\d+)`: "payload length", `Hop Limit: (\d+)`: "hop limit",
}

func TestExplanationsSayWhatTheTextsBesideCapturesDo(t *testing.T) {
	texts, err := filepath.Glob("../../../testdata/captures/caracal_*.txt")
	if err != nil || len(texts) != 5 {
		t.Fatal(texts, err)
	}
	for _, name := range texts {
		t.Run(filepath.Base(name), func(t *testing.T) {
			theirs, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			ours := text(t, explained(t, shipped(t, strings.TrimSuffix(filepath.Base(name), ".txt")), nil), 0)
			found := 0
			for pattern, field := range expectations {
				values := regexp.MustCompile(pattern).FindAllStringSubmatch(string(theirs), -1)
				if len(values) != 3 {
					continue // the text has it in words
				}
				found++
				row := fmt.Sprintf(`(?m)^  %s +%s\b.* %s\b`, field, values[0][1], values[2][1])
				if !regexp.MustCompile(row).MatchString(ours) {
					t.Errorf("no line %s in\n%s", row, ours)
				}
			}
			for _, l := range regexp.MustCompile(`Label: (\d+), Exp: (\d), S: (\d), TTL: (\d+)`).FindAllStringSubmatch(string(theirs), -1) {
				label := fmt.Sprintf("MPLS label %s, TC %s, TTL %s", l[1], l[2], l[4])
				if l[3] == "1" {
					label += ", bottom of the stack"
				}
				if !strings.Contains(ours, label) {
					t.Errorf("no %s in\n%s", label, ours)
				}
			}
			if found < 2 {
				t.Errorf("only %d fields", found)
			}
		})
	}
}

// No trace of any program makes a line too wide, and every probe can be explained.
func TestTracesOfAllPrograms(t *testing.T) {
	captures, err := filepath.Glob("../../../testdata/captures/peers/*.pcap")
	if err != nil || len(captures) < 50 {
		t.Fatal(len(captures), err)
	}
	for _, name := range captures {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var first *path.Path
		err = tracewire.Replay(t.Context(), opened(t, file), nil, func(e tracewire.Event) {
			if e.Kind == path.Ended && first == nil {
				first = e.Path
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			continue
		}
		all := explained(t, file, nil)
		var probes []int
		for n := range min(len(first.Probes), 12) {
			probes = append(probes, n)
		}
		for l := range strings.SplitSeq(text(t, all, probes...), "\n") {
			if n := len([]rune(l)); n > render.Columns {
				t.Errorf("%s: %d columns: %s", filepath.Base(name), n, l)
			}
		}
	}
}

// nothing is a capture without frames.
type nothing struct{}

func (nothing) Frames(context.Context) iter.Seq2[frame.Frame, error] {
	return func(func(frame.Frame, error) bool) {}
}

// gap gives a path a gap.
func gap(g frame.Gap) func(*path.Path) {
	return func(p *path.Path) { p.Gaps = []frame.Gap{g} }
}

// reached is a probe that the target answered.
func reached(ttl uint8) path.Probe {
	r := matcher.Reply{From: netip.MustParseAddr(target), Kind: matcher.EchoReply}
	return path.Probe{TTL: ttl, Number: 1, Status: path.Replied, Reply: &path.Reply{Reply: r, Hop: ttl, RTT: time.Millisecond, HasRTT: true}}
}

func TestReasons(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cut := func(p *path.Path) { p.Interrupted, p.Cut = true, true }
	tests := map[string]struct {
		probe  path.Probe
		change func(*path.Path)
		want   string
	}{
		"refused":                        {path.Probe{TTL: 1, Status: path.Unsent}, nil, "it never left: the system refused to send it"},
		"cut short":                      {path.Probe{TTL: 1, Status: path.Abandoned, SentClock: path.User, Sent: start}, nil, "it was handed to the system, and the trace was over before"},
		"not seen":                       {path.Probe{TTL: 1, Status: path.Timeout, SentClock: path.User, Sent: start}, nil, "it was never seen leaving"},
		"nothing":                        {path.Probe{TTL: 1, Status: path.Timeout, Sent: start}, nil, "it left, and nothing came back within 5.000 s"},
		"interrupted":                    {path.Probe{TTL: 1, Status: path.Abandoned, Sent: start}, func(p *path.Path) { p.Interrupted = true }, "it left, and the trace was over before a reply came"},
		"end of the recording":           {path.Probe{TTL: 1, Status: path.Abandoned, Sent: start}, cut, "it left, and the recording lacks the end of the trace"},
		"end of the recording, not seen": {path.Probe{TTL: 1, Status: path.Abandoned, SentClock: path.User, Sent: start}, cut, "it was handed to the system, and the recording lacks the end"},
		"end of the capture": {
			path.Probe{TTL: 1, Status: path.Abandoned, Sent: start, SentClock: path.Capture}, func(p *path.Path) { p.Clock.Captured = true },
			"it left, and nothing had come back when the capture ended",
		},
		"beyond the end": {
			path.Probe{TTL: 4, Status: path.Abandoned, Sent: start}, func(p *path.Path) { p.Probes = append(p.Probes, reached(2)) },
			"1 of 1 answered in time, 1.000 ms; 1 more went beyond it it was sent before it was known that the path ends here, and was not waited for (probe 0)",
		},
		"beyond the end, and waited for": {
			path.Probe{TTL: 4, Status: path.Timeout, Sent: start}, func(p *path.Path) { p.Probes = append(p.Probes, reached(2)) },
			"it was sent before it was known that the path ends here, and drew no reply (probe 0)",
		},
		"drops": {
			path.Probe{TTL: 1, Status: path.Timeout, Sent: start}, func(p *path.Path) { p.Counters.Dropped = 3 },
			"the capture lost 3 frames during the trace, and what is missing may be among them",
		},
		"drops while it was waited for": {
			path.Probe{TTL: 1, Status: path.Timeout, Sent: start}, gap(frame.Gap{From: start, To: start.Add(time.Second), Frames: 3}),
			"nobody knows: the capture lost frames when it left, or while it was waited for",
		},
		"drops, and it was not seen": {
			path.Probe{TTL: 1, Status: path.Timeout, SentClock: path.User, Sent: start}, gap(frame.Gap{From: start, To: start, Frames: 3}),
			"the capture lost 3 frames: 1 * of hop 1 may have been answered, and the target reached",
		},
		"no carrier": {
			path.Probe{TTL: 1, Status: path.Timeout, Sent: start}, gap(frame.Gap{From: start, To: start, Cause: frame.NoCarrier}),
			"nobody knows: the link was lost when it left, or while it was waited for",
		},
		"no address": {
			path.Probe{TTL: 1, Sent: start}, gap(frame.Gap{From: start, To: start, Cause: frame.AddressRemoved}),
			"nobody knows: the source address was removed while it was waited for",
		},
		"drops before it left": {
			path.Probe{TTL: 1, Status: path.Timeout, Sent: start}, gap(frame.Gap{From: start.Add(-2), To: start.Add(-1), Frames: 3}),
			"it left, and nothing came back within 5.000 s (probe 0)",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			addr := netip.MustParseAddr(target)
			p := &path.Path{
				Target: path.Target{Host: target, Addr: addr}, Source: path.Source{Addr: addr}, Protocol: layers.IPProtocolUDP,
				Parameters: path.Parameters{FirstTTL: 1, MaxTTL: 1, Queries: 1, Wait: path.Wait{Max: 5 * time.Second}},
				Probes:     []path.Probe{test.probe}, Tool: "tracewire",
			}
			if test.change != nil {
				test.change(p)
			}
			evidence, err := explain.Gather(t.Context(), nothing{}, p)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := (&explain.Explanation{Evidence: evidence}).Overview(&b); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(got, test.want) {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}
