package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of testdata/golden")

const (
	captures = "../../testdata/captures/"
	goldens  = "../../testdata/golden/"
)

// replayed is what replay writes, with its exit code on a line behind it and
// before it what it says on standard error.
func replayed(t testing.TB, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"replay"}, args...), stdin, &out, &errs)
	return out.String(), errs.String(), code
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := goldens + name
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: -want +got\n%s", name, d)
	}
}

// Every capture that others made replays to what was checked by hand; one
// without a trace says so.
func TestGoldenCaptures(t *testing.T) {
	for _, capture := range thirdParty(t) {
		name := strings.TrimSuffix(filepath.Base(capture), ".pcap")
		text, notes, code := replayed(t, nil, "-n", capture)
		golden(t, name+".txt", text+strings.ReplaceAll(notes, captures, ""))
		document, _, _ := replayed(t, nil, "--format", "json", capture)
		golden(t, name+".json", document)
		if code != exitOK {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

func thirdParty(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(captures + "*.pcap")
	if err != nil || len(all) != 15 {
		t.Fatalf("%d captures, want the 15 of the INDEX: %v", len(all), err)
	}
	return all
}

// A few of our own, for what theirs don't have: runs at once, frames twice over,
// another link type, pcapng, one direction only.
func TestGoldenOfPeers(t *testing.T) {
	for _, name := range []string{
		"interleaved-chain", "interleaved-chain-ipv6", "interleaved-icmp-demo", "twice-chain", "doubled-chain",
		"any-chain", "any-sll-chain", "pcapng-demo", "replies-demo", "probes-demo", "only-ordinary-services",
	} {
		capture := captures + "peers/" + name + ".pcap"
		list, _, code := replayed(t, nil, "--list", capture)
		text, notes, _ := replayed(t, nil, "-n", capture)
		golden(t, "peers/"+name+".txt", list+text+strings.ReplaceAll(notes, captures, ""))
		if code != exitOK {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}
