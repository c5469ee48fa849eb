package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write anew what TestExpectations compares")

const captures = "../../testdata/captures"

// The files in expected say which probe each reply answers, and after how long,
// as far as tshark can tell.
func TestExpectations(t *testing.T) {
	for _, program := range []string{"tshark", "mergecap"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
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

// What a program printed is what its capture holds: who answered at which TTL.
// Nobody else did, but destinations also answer probes with more than the TTL
// that is needed, which programs don't print; hping3 prints no TTL of theirs.
func TestExpectationsFitWhatWasPrinted(t *testing.T) {
	compared := 0
	for _, file := range captureFiles(t) {
		outputs, err := filepath.Glob(strings.TrimSuffix(file, ".pcap") + "*.txt")
		if err != nil {
			t.Fatal(err)
		}
		outputs = slices.DeleteFunc(outputs, func(o string) bool { return !outputOf(o, file) })
		if len(outputs) == 0 {
			continue
		}
		compared++
		t.Run(stem(file), func(t *testing.T) {
			got := expectedHops(t, file)
			want := map[place]bool{}
			nearest := map[string]int{}
			for _, o := range outputs {
				for p := range printedHops(t, o) {
					want[p] = true
					nearest[p.addr] = min(p.ttl, cmp.Or(nearest[p.addr], p.ttl))
				}
			}
			if len(want) == 0 {
				t.Fatal("nothing was printed")
			}
			places := map[place]bool{}
			for p, dst := range got {
				if want[p] || p.addr != dst || p.ttl <= nearest[dst] {
					places[p] = true
				}
			}
			if d := gocmp.Diff(want, places); d != "" {
				t.Error(d)
			}
		})
	}
	if compared < 100 {
		t.Errorf("only %d captures have what was printed beside them", compared)
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

// outputOf tells whether a file is what a program printed while a capture was
// made: it starts with the command, and is named after no other capture.
func outputOf(output, file string) bool {
	name := strings.TrimPrefix(strings.TrimSuffix(output, ".txt"), strings.TrimSuffix(file, ".pcap"))
	if name != "" {
		if _, err := os.Stat(strings.TrimSuffix(output, ".txt") + ".pcap"); err == nil || strings.Count(name, "-") != 1 {
			return false
		}
	}
	text, err := os.ReadFile(output)
	return err == nil && strings.HasPrefix(string(text), "# ")
}

// expectedHops are the places of a capture's replies to traces, with where the
// probe was to go.
func expectedHops(t *testing.T, file string) map[place]string {
	t.Helper()
	text, err := os.ReadFile(expectedPath(file))
	if err != nil {
		t.Fatal(err)
	}
	places := map[place]string{}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if columns[6] == "trace" {
			places[place{int(number(t, []byte(columns[2]))), columns[3]}] = columns[7]
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
