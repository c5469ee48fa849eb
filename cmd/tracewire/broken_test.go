package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// cuttable are captures to break: a classic one, a pcapng of somebody's, a
// recording of our own.
func cuttable(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for name, file := range map[string]string{
		"pcap": "x4n4th_villanova_tracert.pcap", "pcapng": "peers/pcapng-demo.pcap",
	} {
		whole, err := os.ReadFile(captures + file)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = whole
	}
	recorded, err := os.ReadFile("testdata/recorded.pcapng")
	if err != nil {
		t.Fatal(err)
	}
	files["recording"] = recorded
	return files
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// kilobyte is how much of a file is cut at every byte.
const kilobyte = 1024

// A file that was cut shows what was readable, and one line says where it ends
// and why; cut between two records it is not broken, as far as anybody can tell.
func TestCutCaptures(t *testing.T) {
	for name, whole := range cuttable(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clean := 0
			for cut := range min(len(whole), runs(kilobyte)) {
				_, stderr, code := replayed(t, bytes.NewReader(whole[:cut]), "-n", "-")
				switch {
				case code == exitOK:
					clean++
				case code != exitSystem || !oneLineOn(stderr, cut):
					t.Fatalf("cut at byte %d: exit code %d, %q", cut, code, stderr)
				}
			}
			if clean == 0 || clean > kilobyte/16 {
				t.Errorf("%d of %d cuts are between two records", clean, kilobyte)
			}
		})
		t.Run(name+" in gzip", func(t *testing.T) {
			t.Parallel()
			z := zipped(t, whole)
			for cut := range min(len(z), runs(kilobyte)) {
				_, stderr, code := replayed(t, bytes.NewReader(z[:cut]), "-n", "-")
				if code != exitSystem || !oneLine(stderr) {
					t.Fatalf("cut at byte %d: exit code %d, %q", cut, code, stderr)
				}
			}
		})
	}
}

// oneLine reports whether one line says what is wrong. A line more may say that the
// recording of a trace ends there.
func oneLine(stderr string) bool {
	if first, rest, ok := strings.Cut(stderr, "\n"); ok && strings.HasPrefix(first, "tracewire: the recording lacks the end of the trace") {
		stderr = rest
	}
	return strings.HasPrefix(stderr, "tracewire: standard input: ") && strings.Count(stderr, "\n") == 1 && strings.HasSuffix(stderr, "\n")
}

// oneLineOn reports whether a line tells of a cut at a byte, or of a file that has
// nothing in it.
func oneLineOn(stderr string, cut int) bool {
	return oneLine(stderr) && (cut < 4 || strings.Contains(stderr, fmt.Sprintf("truncated at byte %d", cut)))
}

// What came before the cut is shown as it would be without it.
func TestCutCaptureShowsWhatWasReadable(t *testing.T) {
	whole := cuttable(t)["pcap"]
	all, _, _ := replayed(t, bytes.NewReader(whole), "-n", "-")
	hops := strings.SplitAfter(all, "\n")[1:]
	shown := 0
	for cut := range len(whole) {
		if cut%101 != 0 {
			continue
		}
		out, _, _ := replayed(t, bytes.NewReader(whole[:cut]), "-n", "-")
		lines := strings.SplitAfter(out, "\n")
		for i, line := range lines[min(1, len(lines)):] {
			if last := i >= len(lines)-3; !last && line != hops[i] {
				t.Fatalf("cut at byte %d: %q, want %q", cut, line, hops[i])
			}
			shown++
		}
	}
	if shown == 0 {
		t.Error("nothing is ever shown")
	}
}

// Whatever is wrong with a file, there is an answer, and no more than a line about
// it for each thing that was tried.
func TestCorruptedCaptures(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, whole := range cuttable(t) {
		t.Run(name, func(t *testing.T) {
			failed := 0
			for range runs(300) {
				b := bytes.Clone(whole)
				for range 1 + random.IntN(4) {
					b[random.IntN(len(b))] ^= 1 << random.IntN(8)
				}
				_, stderr, code := replayed(t, bytes.NewReader(b), "--all", "--format", "jsonl", "-")
				if code != exitOK {
					failed++
				}
				if code != exitOK && (code != exitSystem || !oneLine(stderr)) {
					t.Fatalf("exit code %d, %q", code, stderr)
				}
			}
			if failed == 0 {
				t.Error("nothing is ever wrong")
			}
		})
	}
}

// Notes are text, which people may edit: here a letter in each copy.
func TestDamagedNotes(t *testing.T) {
	whole := cuttable(t)["recording"]
	random := rand.New(rand.NewPCG(3, 4))
	failed := 0
	const many = 800
	for range runs(many) {
		at := random.IntN(len(whole))
		if whole[at] < ' ' || whole[at] > '~' {
			continue
		}
		b := bytes.Clone(whole)
		b[at] = "0123456789-{}[]\",:eE.x"[random.IntN(22)]
		_, stderr, code := replayed(t, bytes.NewReader(b), "-n", "-")
		if code == exitOK {
			continue
		}
		failed++
		if code != exitSystem || !oneLine(stderr) {
			t.Fatalf("byte %d: exit code %d, %q", at, code, stderr)
		}
	}
	if failed == 0 {
		t.Error("nothing is ever wrong")
	}
}

// runs is how many of n runs are done: with -short a quarter. Nothing runs beside
// them, so the race detector has little to see.
func runs(n int) int {
	if testing.Short() {
		return n / 4
	}
	return n
}
