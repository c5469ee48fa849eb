package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
)

// hostile is what text from outside may hold: a terminal's commands, controls of one
// and of two bytes, what turns the direction of text, what can't be seen, and a line
// that could be the program's.
const hostile = "\x1b[2J\x1b]0;x\a\u009b31m\u202egnp\u2066\u200b\ufeff\u00ad\u2028\x7f\r\n 9  gw (192.0.2.99)  0.001 ms\tend"

// hostileRecording is a recording of a trace that is answered once. All text in it is
// hostile, or would be.
func hostileRecording(t *testing.T, text string) []byte {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := pcapng.NewWriter(&out, pcapng.Section{Hardware: text, OS: text, Application: text}, text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(pcapng.Interface{Name: text, Description: text, Link: frame.Raw}, text); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0).UTC()
	note := func(format string, args ...any) string { return "tracewire/2 " + fmt.Sprintf(format, args...) }
	start := note(`{"trace":1,"start":{"at":%d,"target":{"host":%s,"addr":"198.51.100.80"},"source":{"addr":"192.0.2.10","interface":%s},`+
		`"protocol":17,"tool":%s,"parameters":{"first_ttl":1,"max_ttl":3,"queries":1,"in_flight":16,"wait":{"max":5000000000},`+
		`"src_port":50000,"dst_port":33434,"length":60,"seed":1}}}`, at.UnixNano(), quoted, quoted, quoted)
	sent := note(`{"trace":1,"sent":{"ttl":1,"round":1,"id":7,"src_port":50000,"dst_port":33434,"called":%d,"key":{"id":7,"token":7}}}`, at.UnixNano())
	probe := udp(7, 1, 33434, "")
	// RFC 5837: the interface has a name, which is the router's to choose.
	name := append([]byte{64}, text[:60]...)
	name = append(name, make([]byte, 64-len(name))...)
	object := append([]byte{0, byte(4 + len(name)), 2, 0x02}, name...)
	reply := timeExceeded("203.0.113.1", append(append(bytes.Clone(probe), make([]byte, 128-len(probe))...), append([]byte{0x20, 0, 0, 0}, object...)...))
	reply[25] = 32
	for i, f := range []frame.Frame{
		{Data: probe, Comments: []string{text, start, sent}},
		{Data: sealed(reply), Comments: []string{text}},
	} {
		f.Time, f.Link, f.Length = at.Add(time.Duration(i+1)*time.Millisecond), frame.Raw, len(f.Data)
		if err := w.WriteFrame(&f); err != nil {
			t.Fatal(err)
		}
	}
	end := note(`{"trace":1,"end":{"at":%d}}`, at.Add(time.Second).UnixNano())
	if err := w.WriteStatistics(0, pcapng.Statistics{}, text, end); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteNames(map[netip.Addr]string{netip.MustParseAddr("203.0.113.1"): text, netip.MustParseAddr("198.51.100.80"): text}, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Whatever text a recording holds, nothing that isn't printable gets out, and nothing
// that could be a line of the program's.
func TestNothingFromARecordingReachesTheTerminal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "run\x1b[2J\u202e\u009b.pcapng")
	whole := hostileRecording(t, hostile)
	damaged := filepath.Join(dir, "damaged\x1b[2J\u009b.pcapng")
	zoned := filepath.Join(dir, "zoned.pcapng")
	for name, data := range map[string][]byte{
		file:    whole,
		damaged: bytes.Replace(whole, []byte(`"protocol":17`), []byte(`"protocol":0`+" "), 1),
		zoned:   bytes.Replace(whole, []byte(`"192.0.2.10","interface":"`), []byte(`"fe80::1%\u001b[2J","x":"`), 1),
	} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, bytes.ReplaceAll(whole, udp(7, 1, 33434, "")[:20], udp(8, 1, 33434, "")[:20]), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, command := range []struct {
		args []string
		code int
		says bool // the text, escaped
	}{
		{[]string{"replay", file}, exitOK, true},
		{[]string{"replay", "-n", file}, exitOK, true},
		{[]string{"replay", "-e", file}, exitOK, true},
		{[]string{"replay", "--findings", file}, exitOK, true},
		{[]string{"replay", "--format", "json", file}, exitOK, true},
		{[]string{"replay", "--format", "jsonl", file}, exitOK, true},
		{[]string{"replay", "--list", file}, exitOK, true},
		{[]string{"replay", "--list", file, file}, exitOK, true},
		{[]string{"replay", "--list", "--format", "json", file, file}, exitOK, true},
		{[]string{"replay", "--target", "192.0.2.77", file}, exitOK, false},
		{[]string{"replay", damaged}, exitSystem, false},
		{[]string{"replay", zoned}, exitSystem, false},
		{[]string{"replay", "--list", zoned}, exitSystem, false},
		{[]string{"explain", zoned}, exitSystem, false},
		{[]string{"replay", file + "\x1b[2J"}, exitSystem, false},
		{[]string{"explain", file}, exitOK, true},
		{[]string{"explain", "--hop", "1", file}, exitOK, true},
		{[]string{"explain", "--probe", "0", file}, exitOK, true},
		{[]string{"explain", "--trace", "9", file}, exitUsage, false},
		{[]string{"explain", damaged}, exitSystem, false},
		{[]string{"diff", file, file}, exitOK, false},
		{[]string{"diff", "--format", "json", file, file}, exitOK, true},
		{[]string{"diff", file, damaged}, exitUsage, false},
		{[]string{"diff", "--trace", "9", file, file}, exitUsage, false},
	} {
		t.Run(strings.ReplaceAll(strings.Join(command.args, " "), dir, ""), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(command.args, nil, &stdout, &stderr); code != command.code {
				t.Errorf("exit code %d, want %d: %q", code, command.code, stderr.String())
			}
			all := stdout.String() + stderr.String()
			if at := strings.IndexFunc(all, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
				t.Errorf("%q", all[max(0, at-40):min(len(all), at+20)])
			}
			if strings.Contains(stdout.String(), "\n 9  ") {
				t.Errorf("it passes for a line: %s", all)
			}
			if text := strings.Contains(stdout.String(), "gnp"); text != command.says {
				t.Errorf("the text is shown: %v\n%s", text, all)
			}
		})
	}
}

// In a line of text a name can't pass for what stands behind names.
func TestANameIsOneWord(t *testing.T) {
	const name = "gw (192.0.2.99)  0.001 ms"
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, hostileRecording(t, name+strings.Repeat("x", 60)), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"replay", file}, {"replay", "-e", file}, {"replay", "--list", file}, {"explain", file}, {"explain", "--hop", "1", file}, {"diff", file, file}} {
		var stdout, stderr bytes.Buffer
		run(args, nil, &stdout, &stderr)
		if strings.Contains(stdout.String(), "(192.0.2.99)") {
			t.Errorf("%q: %s", args[0], stdout.String())
		}
	}
}
