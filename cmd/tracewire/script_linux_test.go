package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/cmd/internal/scripttest"
)

// The scripts in testdata/script run the program as its users do, on a host
// from which a chain of eight Linux routers leads to 10.99.0.1.

func TestMain(m *testing.M) {
	testscript.Main(scripttest.WithDefaultSignals(kernelnet.Wrap(m)), map[string]func(){"tracewire": main})
}

func TestScripts(t *testing.T) {
	c := kernelnet.NewChain(t, 8, nil)
	near := c.Links[0].A
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("IFACE", near.Interface)
			e.Setenv("MAC", near.MAC.String())
			e.Setenv("GATEWAY_MAC", c.Links[0].B.MAC.String())
			e.Setenv("CAPTURES", filepath.Join(here, captures))
			e.Setenv("RECORDED", filepath.Join(here, "testdata", "recorded.pcapng"))
			return nil
		},
		Condition: scripttest.Condition(nil),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sanitize": sanitize, "oneline": scripttest.OneLine("tracewire"), "status": scripttest.Status,
			"await": await, "shorten": shorten, "fewfiles": fewfiles, "archaic": archaic,
		},
	})
}

// A script that runs a program which a machine may lack is skipped there.
func TestScriptsDeclarePrograms(t *testing.T) {
	for _, dir := range []string{"testdata/script", "testdata/links"} {
		if found, err := scripttest.Undeclared(dir); err != nil || len(found) > 0 {
			t.Errorf("not declared in %s: %q, %v", dir, found, err)
		}
	}
}

// await PATTERN PROGRAM ARG… runs a program until its standard output matches, and
// it may fail before.
func await(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: never %s: %v", strings.Join(args[1:], " "), args[0], err)
		}
	}
}

// fewfiles COMMAND… runs a shell's command with each number of files that it may
// open, up to one that is enough for most. It succeeds or says one line, which names
// what to do.
func fewfiles(ts *testscript.TestScript, _ bool, args []string) {
	for files := 4; files <= 24; files++ {
		err := ts.Exec("sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s", files, strings.Join(args, " ")))
		said := ts.ReadFile("stderr")
		if strings.Contains(said, "goroutine") || err != nil && (!strings.HasPrefix(said, "tracewire: ") || !strings.Contains(said, "ulimit -n")) {
			ts.Fatalf("with %d files: %v, %.200q", files, err, said)
		}
	}
}

// shorten FILE LENGTH TO copies the beginning of a file.
func shorten(ts *testscript.TestScript, _ bool, args []string) {
	length, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text[:length]), 0o666))
}

// archaic FILE TO copies a little-endian pcap file of version 2.4 as one of version
// 2.2, which has the two lengths of each record in the other order.
func archaic(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	b[6] = 2
	for at := 24; at < len(b); {
		captured, length := binary.LittleEndian.Uint32(b[at+8:]), binary.LittleEndian.Uint32(b[at+12:])
		binary.LittleEndian.PutUint32(b[at+8:], length)
		binary.LittleEndian.PutUint32(b[at+12:], captured)
		at += 16 + int(captured)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o666))
}

// sanitize FILE replaces round trips with T, so that a file can be compared.
func sanitize(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	text = regexp.MustCompile(`\d+\.\d{3} ms`).ReplaceAllString(text, "T ms")
	ts.Check(os.WriteFile(ts.MkAbs("sanitized"), []byte(text), 0o666))
}

// start runs the program as a process of its own, and returns it with its
// output.
func start(t *testing.T, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tracewire")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

var hopLine = regexp.MustCompile(`(?m)^ ?(\d+)  (\S+)`)

func hopsOf(out string) []string {
	var all []string
	for _, m := range hopLine.FindAllStringSubmatch(out, -1) {
		all = append(all, m[2])
	}
	return all
}

// The peers that a user would take instead see what we see.
func TestPeersAgree(t *testing.T) {
	kernelnet.Require(t, "traceroute", "mtr")
	c := kernelnet.NewChain(t, 8, nil)
	var want []string
	for _, a := range c.Hops(kernelnet.IPv4) {
		want = append(want, a.String())
	}
	cmd, out := start(t, "-n", "10.99.0.1")
	if err := cmd.Run(); err != nil {
		t.Fatal(err, out)
	}
	if d := cmp.Diff(want, hopsOf(out.String())); d != "" {
		t.Error("tracewire:", d)
	}
	if d := cmp.Diff(want, hopsOf(c.Host().Run("traceroute", "-n", "10.99.0.1"))); d != "" {
		t.Error("traceroute:", d)
	}
	var mtr []string
	report := c.Host().Run("mtr", "-n", "-r", "-c", "1", "-G", "1", "10.99.0.1")
	for _, m := range regexp.MustCompile(`(?m)^\s*\d+\.\|-- (\S+)`).FindAllStringSubmatch(report, -1) {
		mtr = append(mtr, m[1])
	}
	if d := cmp.Diff(want, mtr); d != "" {
		t.Error("mtr:", d)
	}
}

// A parser that is made for traceroute's output reads ours the same way: here
// jc's, of a path with a silent router and one that rejects.
func TestParserOfTracerouteReadsUs(t *testing.T) {
	kernelnet.Require(t, "traceroute", "jc")
	c := kernelnet.NewChain(t, 6, nil)
	c.Routers[1].Nft(rule("output", "icmp type time-exceeded drop"))
	c.Routers[4].Nft(rule("prerouting", "ip daddr 10.99.0.1 udp dport 33434-33534 reject with icmp type admin-prohibited"))
	cmd, out := start(t, "-n", "10.99.0.1")
	if err := cmd.Run(); err != nil {
		t.Fatal(err, out)
	}
	ours := parse(t, out.String())
	if d := cmp.Diff(parse(t, c.Host().Run("traceroute", "-n", "10.99.0.1")), ours); d != "" {
		t.Error(d, out)
	}
	want := []string{"10.77.1.2 10.77.1.2 10.77.1.2", "", "10.77.3.2 10.77.3.2 10.77.3.2", "10.77.4.2 10.77.4.2 10.77.4.2",
		"10.77.5.2!X 10.77.5.2!X 10.77.5.2!X"}
	if d := cmp.Diff(want, ours); d != "" {
		t.Error(d, out)
	}
}

// parse has jc read traceroute's lines, and returns who answered each probe of
// a hop.
func parse(t *testing.T, text string) (hops []string) {
	t.Helper()
	jc := exec.Command("jc", "--traceroute")
	jc.Stdin = strings.NewReader(text)
	out, err := jc.Output()
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Hops []struct {
			Probes []struct {
				IP         string
				RTT        *float64
				Annotation string
			}
		}
	}
	if err := json.Unmarshal(out, &parsed); err != nil {
		t.Fatal(err, string(out))
	}
	for _, h := range parsed.Hops {
		var all []string
		for _, p := range h.Probes {
			if p.RTT == nil {
				t.Errorf("no round trip from %s in %s", p.IP, text)
			}
			all = append(all, p.IP+p.Annotation)
		}
		hops = append(hops, strings.Join(all, " "))
	}
	return hops
}

// rule is an nftables script with one rule.
func rule(hook, rule string) string {
	return "table ip t {\nchain c {\ntype filter hook " + hook + " priority 0\n" + rule + "\n}\n}\n"
}

// Losing the interface ends a trace with the reason, after what was known.
func TestInterfaceLost(t *testing.T) {
	for name, command := range map[string][]string{
		"set down": {"ip", "link", "set", "down", "dev"},
		"removed":  {"ip", "link", "del"},
	} {
		t.Run(name, func(t *testing.T) {
			c := kernelnet.NewChain(t, 4, nil)
			c.Routers[2].Nft(rule("output", "icmp type time-exceeded drop"))
			cmd, out := start(t, "-n", "-w", "30", "10.99.0.1")
			await := probesOf(t, c)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await()
			lost := c.Links[0].A.Interface
			c.Host().Run(append(command, lost)...)
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitSystem {
				t.Error(err)
			}
			text := out.String()
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if !strings.Contains(text, "10.77.1.2  ") || !strings.HasPrefix(lines[len(lines)-1], "tracewire: "+lost+": ") {
				t.Error(text)
			}
		})
	}
}

// An interrupt shows what is known, at once.
func TestInterrupt(t *testing.T) {
	c := kernelnet.NewChain(t, 4, nil)
	c.Routers[2].Nft(rule("output", "icmp type time-exceeded drop"))
	for _, format := range []string{"text", "json", "jsonl"} {
		cmd, out := start(t, "-n", "-w", "30", "--format", format, "10.99.0.1")
		await := probesOf(t, c)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await()
		interrupted := time.Now()
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if took := time.Since(interrupted); err != nil || took > 2*time.Second {
			t.Errorf("%s: %v after %v: %s", format, err, took, out)
		}
		if text := out.String(); !strings.Contains(text, "10.77.1.2") || !strings.Contains(text, "10.77.2.2") {
			t.Errorf("%s: %s", format, text)
		}
	}
}

// The tests pass in the background of a shell and under nohup, which have signals
// ignored.
func TestIgnoredSignals(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ignoring := exec.Command("sh", "-c", `trap "" HUP INT QUIT PIPE; exec "$0" "$@"`, self, "-test.run", "^TestInterrupt$|^TestScripts$/^(bad-captures|write)$")
	if out, err := ignoring.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// An interrupt before the first probe is no trace; with --fail-unreached one
// before the target's answer is a failure.
func TestInterruptedEarly(t *testing.T) {
	c := kernelnet.NewChain(t, 4, nil)
	c.Host().Route("10.98.0.0/16", "10.77.1.99")
	cmd, out := start(t, "-n", "10.98.0.1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(c.Host().Run("ip", "neigh"), "10.77.1.99"); {
		if time.Now().After(deadline) {
			t.Fatal("the next hop is never asked for")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitSystem || out.String() != "tracewire: interrupted before anything was sent\n" {
		t.Errorf("exit code %d: %s", code, out)
	}

	c.Routers[3].Nft(rule("input", "udp dport 33434 drop"))
	cmd, out = start(t, "-n", "-w", "30", "--fail-unreached", "10.99.0.1")
	await := probesOf(t, c)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitUnreached || !strings.Contains(out.String(), "10.77.1.2") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// probesOf returns what waits until a probe has arrived at the end of the chain, which
// forwards nothing else, since now.
func probesOf(t *testing.T, c *kernelnet.Chain) (await func()) {
	t.Helper()
	last := c.Routers[len(c.Routers)-1]
	counters := func() string {
		return regexp.MustCompile(`(?m)^Ip: \d+ \d+ \d+`).FindString(last.Run("cat", "/proc/net/snmp"))
	}
	before := counters()
	return func() {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); counters() == before; {
			if time.Now().After(deadline) {
				t.Fatal("no probe came")
			}
		}
	}
}

// BenchmarkProcess measures a whole process that traces across eight routers,
// and how long it takes from its start to its first frame.
func BenchmarkProcess(b *testing.B) {
	c := kernelnet.NewChain(b, 8, nil)
	program := filepath.Join(b.TempDir(), "tracewire")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	_ = c
	var first time.Duration
	var rss int64
	for b.Loop() {
		began := time.Now()
		cmd := exec.Command(program, "-n", "--format", "jsonl", "10.99.0.1")
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		sent := regexp.MustCompile(`"sent":"([^"]+)"`).FindSubmatch(out)
		at, err := time.Parse(time.RFC3339Nano, string(sent[1]))
		if err != nil {
			b.Fatal(err)
		}
		first += at.Sub(began)
		rss = max(rss, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "ms-to-first-frame")
	b.ReportMetric(float64(rss)/1024, "MB-max-RSS")
}
