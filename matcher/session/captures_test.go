package session_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/matcher"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/matcher/session"
)

const captures = "../../testdata/captures"

// captureFiles are all captures in testdata, of which there must be some.
func captureFiles(t testing.TB) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.pcap", "peers/*.pcap"} {
		found, err := filepath.Glob(filepath.Join(captures, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("no captures")
	}
	return files
}

func stem(file string) string { return strings.TrimSuffix(filepath.Base(file), ".pcap") }

// framesOf are the frames of a file.
func framesOf(t testing.TB, file string) (frames []frame.Frame) {
	t.Helper()
	f, err := capture.OpenFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for next, err := range f.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !next.IsWatermark() {
			next.Data = bytes.Clone(next.Data)
			frames = append(frames, next)
		}
	}
	return frames
}

// find is the traces in frames.
func find(frames []frame.Frame) (traces []*path.Path) {
	finder := session.NewFinder(func(p *path.Path) { traces = append(traces, p.Clone()) })
	for i := range frames {
		finder.Observe(&frames[i])
	}
	finder.Close()
	return traces
}

// The files in expected have what tshark shows of each capture: which probe
// each reply answers, and after how long. That the programs printed the same, a
// test of cmd/tracelab says.
func TestFinderFindsThePairsThatTsharkShows(t *testing.T) {
	for _, file := range captureFiles(t) {
		t.Run(stem(file), func(t *testing.T) {
			frames := framesOf(t, file)
			want := expected(t, file)
			except(t, want, otherwise[stem(file)])
			got := pairsOf(frames, find(frames))
			for _, number := range slices.Sorted(maps.Keys(union(want, got))) {
				if want[number] != got[number] {
					t.Errorf("frame %s: %q, not %q", number, got[number], want[number])
				}
			}
		})
	}
}

// pairs are lines like those in expected, by the number of the reply's frame;
// and, by that of the probe's, "unanswered".
type pairs map[string]string

func union(a, b pairs) pairs {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// expected reads what is expected of a capture.
func expected(t *testing.T, file string) pairs {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(captures, "expected", stem(file)+".tsv"))
	if err != nil {
		t.Fatal(err)
	}
	found := pairs{}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case strings.HasPrefix(line, "# unanswered:"):
			for _, number := range strings.Fields(line)[2:] {
				found[number] = "unanswered"
			}
		case len(columns) == 8 && columns[6] == "trace":
			columns[4] = tcpKinds.Replace(columns[4])
			found[columns[1]] = strings.Join(slices.Delete(columns, 6, 7), " ")
		}
	}
	return found
}

// except applies what is legitimately otherwise to what is expected.
func except(t *testing.T, want pairs, changes []change) {
	t.Helper()
	for _, c := range changes {
		if want[c.frame] != c.from {
			t.Errorf("frame %s: %q is expected, and not %q", c.frame, want[c.frame], c.from)
		}
		if probe, _, found := strings.Cut(c.to, " "); found {
			want[c.frame] = c.to
			delete(want, probe) // it isn't unanswered
		} else {
			probe, _, _ := strings.Cut(c.from, " ")
			want[probe] = "unanswered"
			delete(want, c.frame)
		}
	}
}

// change is a line of what is expected that is legitimately otherwise.
type change struct{ frame, from, to, why string }

// otherwise are these lines, by the capture.
var otherwise = map[string][]change{
	"mtr-quotes": {
		{"18", "", "17 18 9 10.0.8.1 icmp 11/0 18025754 198.51.100.1", readOn},
		{"44", "", "43 44 9 10.0.8.1 icmp 11/0 18024311 198.51.100.1", readOn},
		{"68", "", "67 68 9 10.0.8.1 icmp 11/0 18020994 198.51.100.1", readOn},
	},
	"scamper-quotes": {
		{"34", "", "33 34 9 10.0.8.1 icmp 11/0 18014693 198.51.100.1", readOn},
		{"36", "", "35 36 9 10.0.8.1 icmp 11/0 18017509 198.51.100.1", readOn},
	},
	"tcptraceroute-quotes": {
		{"32", "31 32 6 10.0.5.1 icmp 11/0 12029248 198.51.100.1", "", zeroed},
		{"34", "33 34 6 10.0.5.1 icmp 11/0 12035199 198.51.100.1", "", zeroed},
		{"36", "35 36 6 10.0.5.1 icmp 11/0 12055614 198.51.100.1", "", zeroed},
		{"50", "", "49 50 9 10.0.8.1 icmp 11/0 18032667 198.51.100.1", readOn},
		{"52", "", "51 52 9 10.0.8.1 icmp 11/0 18307419 198.51.100.1", readOn},
		{"54", "", "53 54 9 10.0.8.1 icmp 11/0 18017128 198.51.100.1", readOn},
	},
	"traceroute-icmp-quotes": {
		{"62", "", "37 62 9 10.0.8.1 icmp 11/0 18010058 198.51.100.1", readOn},
		{"63", "", "39 63 9 10.0.8.1 icmp 11/0 18026609 198.51.100.1", readOn},
		{"64", "", "41 64 9 10.0.8.1 icmp 11/0 18049633 198.51.100.1", readOn},
	},
	"traceroute-lossy": {
		{"31", "16 31 6 198.51.100.1 udp 31227160 198.51.100.1", "16 31 6 198.51.100.1 udp ? 198.51.100.1", twice},
		{"33", "15 33 5 198.51.100.1 udp 32957641 198.51.100.1", "15 33 5 198.51.100.1 udp ? 198.51.100.1", twice},
		{"37", "16 37 6 198.51.100.1 udp 35026945 198.51.100.1", "16 37 6 198.51.100.1 udp ? 198.51.100.1", twice},
		{"39", "13 39 5 198.51.100.1 udp 39820796 198.51.100.1", "13 39 5 198.51.100.1 udp ? 198.51.100.1", twice},
		{"42", "14 42 5 198.51.100.1 udp 40097842 198.51.100.1", "14 42 5 198.51.100.1 udp ? 198.51.100.1", twice},
		{"45", "21 45 6 198.51.100.1 udp 41781857 198.51.100.1", "21 45 6 198.51.100.1 udp ? 198.51.100.1", twice},
	},
	"traceroute-quotes": {
		{"62", "", "37 62 9 10.0.8.1 icmp 11/0 18011918 198.51.100.1", readOn},
		{"63", "", "39 63 9 10.0.8.1 icmp 11/0 18013491 198.51.100.1", readOn},
		{"64", "", "42 64 9 10.0.8.1 icmp 11/0 18006187 198.51.100.1", readOn},
	},
	"traceroute-tcp-quotes": {
		{"62", "", "37 62 9 10.0.8.1 icmp 11/0 18011057 198.51.100.1", readOn},
		{"63", "", "40 63 9 10.0.8.1 icmp 11/0 18039229 198.51.100.1", readOn},
		{"64", "", "41 64 9 10.0.8.1 icmp 11/0 18048446 198.51.100.1", readOn},
	},
}

// The reasons.
const (
	readOn = "the reply's IP header tells of fewer bytes than there are: tshark believes it, and doesn't read the quote"
	zeroed = "the quote's IP ID is zero, and nothing else tells the probes apart"
	twice  = "a further answer that quotes nothing has no round trip"
)

// pairsOf says what the traces found in frames pair. Frames are known by their
// stamps: of those with the same one, the first counts.
func pairsOf(frames []frame.Frame, traces []*path.Path) pairs {
	numbers := map[int64]string{}
	for i := range frames {
		at := frames[i].Time.UnixNano()
		if numbers[at] == "" {
			numbers[at] = strconv.Itoa(i + 1)
		}
	}
	found := pairs{}
	for _, p := range traces {
		for i := range p.Probes {
			probe := &p.Probes[i]
			if probe.TTL == 0 {
				continue
			}
			sent := numbers[probe.Sent.UnixNano()]
			if probe.Reply == nil {
				found[sent] = "unanswered"
				continue
			}
			for _, r := range append([]path.Reply{*probe.Reply}, probe.Extra...) {
				received := numbers[r.Received.UnixNano()]
				rtt := "?"
				if r.HasRTT {
					rtt = strconv.FormatInt(int64(r.RTT), 10)
				}
				found[received] += fmt.Sprintf("%s %s %d %s %s %s %s", sent, received, probe.TTL, r.From, kindOf(&r), rtt, p.Target.Addr)
			}
		}
	}
	return found
}

// kindOf is the kind of a reply as in expected, but for TCP's flags.
func kindOf(r *path.Reply) string {
	switch {
	case r.IsQuoted() && r.From.Is6():
		return fmt.Sprintf("icmpv6 %d/%d", r.ICMPType, r.ICMPCode)
	case r.IsQuoted():
		return fmt.Sprintf("icmp %d/%d", r.ICMPType, r.ICMPCode)
	case r.Kind == matcher.SYNACK, r.Kind == matcher.RST:
		return "tcp " + r.Kind.String()
	}
	return r.Kind.String()
}

// tcpKinds are the flags of answers, as tshark shows them.
var tcpKinds = strings.NewReplacer("0x0012", "syn-ack", "0x0004", "rst", "0x0014", "rst")
