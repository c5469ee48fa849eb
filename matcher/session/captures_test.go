package session_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// peer is the capture of a program's run that has a name.
func peer(name string) string { return filepath.Join(captures, "peers", name+".pcap") }

// framesOf are the frames of a file, up to where it breaks off.
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
	finder := session.NewFinder(func(p *path.Path) { traces = append(traces, p) })
	for i := range frames {
		finder.Observe(&frames[i])
	}
	finder.Close()
	return traces
}

// The files in expected have what tshark shows of each capture: which probe
// each reply answers, and after how long.
func TestFinderFindsThePairsThatTsharkShows(t *testing.T) {
	for _, file := range captureFiles(t) {
		t.Run(stem(file), func(t *testing.T) {
			frames := framesOf(t, file)
			want := expected(t, file)
			except(t, want, otherwise[stem(file)])
			if d := cmp.Diff(want, pairsOf(frames, find(frames))); d != "" {
				t.Error(d)
			}
		})
	}
}

// pairs are lines like those in expected, by the number of the reply's frame;
// and, by that of the probe's, "unanswered".
type pairs map[string]string

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
		if want[c.frame] != c.from || c.why == "" {
			t.Errorf("frame %s: %q is expected, and not %q", c.frame, want[c.frame], c.from)
		}
		if want[c.frame] = c.to; c.to == "" {
			delete(want, c.frame)
		}
	}
}

// change is a line of what is expected that is legitimately otherwise.
type change struct{ frame, from, to, why string }

// otherwise are these lines, by the capture.
var otherwise = map[string][]change{}

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
