package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write anew what TestExpectations compares")

const captures = "../../testdata/captures"

// The files in expected say which probe each reply answers, and after how long,
// as far as tshark can tell, and which probes nothing answers.
func TestExpectations(t *testing.T) {
	requireLab(t, "tshark", "mergecap")
	files := captureFiles(t)
	for i, packets := range packetsOf(t, files) {
		t.Run(stem(files[i]), func(t *testing.T) {
			got := pairs(t, packets)
			path := expectedPath(files[i])
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// unlike are captures where the pairs differ from what the program printed, and
// why.
var unlike = map[string]struct {
	printed, unprinted []place
	why                string
}{
	"scamper-quotes": {
		unprinted: []place{{6, "10.0.5.1"}},
		why:       "scamper goes by the IP ID, which that router zeroes",
	},
	"tcptraceroute-quotes": {
		unprinted: []place{{5, "10.0.4.1"}, {6, "10.0.5.1"}},
		printed:   []place{{9, "10.0.8.1"}},
		why: "tcptraceroute goes by the IP ID, which the first two swap and zero; " +
			"it reads the quote on where the third's answer says that it ends",
	},
}

// What a program printed is what its capture holds: who answered at which TTL.
// Nobody else did, but whoever ends a path also answers probes with more than the
// TTL that is needed, which programs don't print; hping3 prints no TTL of theirs.
func TestExpectationsFitWhatWasPrinted(t *testing.T) {
	for _, file := range captureFiles(t) {
		outputs := outputsOf(t, file)
		switch name := stem(file); {
		case filepath.Dir(file) == captures, name == "only-ordinary-services":
			if outputs != nil {
				t.Errorf("%s: what printed %v?", name, outputs)
			}
		case name == "replies-demo", name == "probes-demo":
			if got := expectedHops(t, file); len(got) > 0 {
				t.Errorf("%s has one direction, and yet pairs: %v", name, got)
			}
		default:
			t.Run(name, func(t *testing.T) { fit(t, file, outputs) })
		}
	}
}

func fit(t *testing.T, file string, outputs []string) {
	t.Helper()
	want := map[place]bool{}
	nearest := map[string]int{}
	for _, o := range outputs {
		hops := printedHops(t, o)
		if len(hops) == 0 {
			t.Fatalf("%s: nothing was printed", o)
		}
		for p := range hops {
			want[p] = true
			nearest[p.addr] = min(p.ttl, cmp.Or(nearest[p.addr], p.ttl))
		}
	}
	got := map[place]bool{}
	for p, ends := range expectedHops(t, file) {
		if want[p] || !ends || p.ttl <= nearest[p.addr] {
			got[p] = true
		}
	}
	for _, p := range unlike[stem(file)].printed {
		delete(want, p)
	}
	for _, p := range unlike[stem(file)].unprinted {
		want[p] = true
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d, unlike[stem(file)].why)
	}
}

// place is who answered where.
type place struct {
	ttl  int
	addr string
}

func captureFiles(t *testing.T) []string {
	t.Helper()
	var files []string
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

func expectedPath(file string) string {
	return filepath.Join(captures, "expected", stem(file)+".tsv")
}

// outputsOf are the files with what programs printed while a capture was made.
func outputsOf(t *testing.T, file string) []string {
	t.Helper()
	var outputs []string
	for _, suffix := range []string{".txt", "-[1-9].txt"} {
		found, err := filepath.Glob(strings.TrimSuffix(file, ".pcap") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if text, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(text), "# ") {
				outputs = append(outputs, f)
			}
		}
	}
	return outputs
}

// expectedHops are the places of a capture's replies to traces, with whether the
// reply ends the path: all but a time-exceeded does.
func expectedHops(t *testing.T, file string) map[place]bool {
	t.Helper()
	text, err := os.ReadFile(expectedPath(file))
	if err != nil {
		t.Fatal(err)
	}
	places := map[place]bool{}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(columns) == 8 && columns[6] == "trace" {
			kind := columns[4]
			places[place{int(number(t, []byte(columns[2]))), columns[3]}] = kind != "icmp 11/0" && kind != "icmpv6 3/0"
		}
	}
	return places
}

// printedHops reads what a program printed, by the command in its first line.
func printedHops(t *testing.T, file string) map[place]bool {
	t.Helper()
	out, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var program string
	if _, err := fmt.Sscanf(string(out), "# %s", &program); err != nil {
		t.Fatal(err)
	}
	line, known := map[string]string{
		"traceroute":    `^ *(\d+)  (.+)$`,
		"tcptraceroute": `^ *(\d+)  (.+)$`,
		"tracepath":     `^ *(\d+): +(\S+) `,
		"nmap":          `^(\d+) +\S+ ms +(\S+)$`,
		"mtr":           `^h (\d+) (\S+)$`,
		"hping3":        `^hop=(\d+) TTL 0 during transit from ip=(\S+)`,
		"scamper":       "",
	}[program]
	switch {
	case !known:
		t.Fatalf("who reads what %s prints?", program)
	case program == "scamper":
		return scamperPlaces(t, out)
	}
	places := map[place]bool{}
	for _, m := range regexp.MustCompile("(?m)"+line).FindAllSubmatch(out, -1) {
		ttl := int(number(t, m[1]))
		if program == "mtr" {
			ttl++
		}
		for word := range strings.FieldsSeq(string(m[2])) {
			if _, err := netip.ParseAddr(word); err == nil {
				places[place{ttl, word}] = true
			}
		}
	}
	return places
}

// scamperPlaces reads scamper's JSON, below the line that has the command.
func scamperPlaces(t *testing.T, out []byte) map[place]bool {
	t.Helper()
	places := map[place]bool{}
	for line := range strings.Lines(string(out)) {
		var trace struct {
			Hops []struct {
				Addr string
				TTL  int `json:"probe_ttl"`
			}
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &trace); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, h := range trace.Hops {
			places[place{h.TTL, h.Addr}] = true
		}
	}
	return places
}
