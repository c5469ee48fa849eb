package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// A live trace is the replay of a capture that is still being written: what the
// program prints of a recording is, byte for byte, what it printed while it made
// it.

// buildTracer builds the program.
func buildTracer(t *testing.T) string {
	t.Helper()
	tracer := filepath.Join(t.TempDir(), "tracewire")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", tracer, "../tracewire").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return tracer
}

// tracers are programs that trace: all of them run at the same time in one lab.
type tracers struct {
	t       *testing.T
	tracer  string
	dir     string
	script  strings.Builder
	started int
}

func newTracers(t *testing.T, tracer string) *tracers {
	return &tracers{t: t, tracer: tracer, dir: t.TempDir()}
}

// add adds a trace that is recorded, with its arguments, behind a command that
// starts it, if that is not "".
func (s *tracers) add(format, starter, args string) (number int) {
	number = s.started
	s.started++
	fmt.Fprintf(&s.script, "%s %s --write %d --format %s %s >%d.live 2>%d.err &\n", starter, s.tracer, number, format, args, number, number)
	return number
}

// other adds another program.
func (s *tracers) other(command string) { fmt.Fprintf(&s.script, "%s >/dev/null 2>&1 &\n", command) }

// run runs them all in a topology.
func (s *tracers) run(topology string) {
	s.t.Helper()
	cmd := exec.Command(program(s.t), "run", topology, "--", "sh", "-c", s.script.String()+"wait\n")
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// live is what a trace printed.
func (s *tracers) live(number int) []byte {
	s.t.Helper()
	live, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("%d.live", number)))
	if err != nil {
		s.t.Fatal(err)
	}
	return live
}

// recorded reports whether a trace left a recording.
func (s *tracers) recorded(number int) bool {
	_, err := os.Stat(filepath.Join(s.dir, fmt.Sprint(number)))
	return err == nil
}

// replay is what the replay of a recording prints.
func (s *tracers) replay(number int, args ...string) []byte {
	s.t.Helper()
	cmd := exec.Command(s.tracer, append([]string{"replay", fmt.Sprint(number)}, args...)...)
	cmd.Dir = s.dir
	out, err := cmd.Output()
	if err != nil {
		s.t.Errorf("replay of %d: %v", number, err)
	}
	return out
}

// same checks the identity.
func (s *tracers) same(number int, format string) {
	s.t.Helper()
	live, again := s.live(number), s.replay(number, "--format", format)
	if len(live) == 0 || !bytes.Equal(live, again) {
		stderr, _ := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("%d.err", number)))
		s.t.Errorf("trace %d printed\n%s\nand its replay\n%s\n%s", number, live, again, stderr)
	}
}

// document is what is looked at of a trace.
type document struct {
	Tool     string
	Protocol string
	Options  struct {
		SrcPort int `json:"src_port"`
	}
	Reached     bool
	Interrupted bool
	Hops        []struct {
		Probes []struct {
			Status string
			Reply  *struct{ Name *string }
		}
	}
	Counters struct{ Late, Foreign int }
}

func documents(t *testing.T, lines []byte) (all []document) {
	t.Helper()
	for line := range bytes.Lines(lines) {
		var d document
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, d)
	}
	return all
}

// names is how many replies show a name.
func (d *document) names() (n int) {
	for _, h := range d.Hops {
		for _, p := range h.Probes {
			if p.Reply != nil && p.Reply.Name != nil {
				n++
			}
		}
	}
	return n
}

func TestReplayPrintsTheSame(t *testing.T) {
	requireLab(t, "traceroute", "mtr")
	tracer := buildTracer(t)
	t.Run("in every topology", func(t *testing.T) { inEveryTopology(t, tracer) })
	t.Run("interrupted", func(t *testing.T) { whenInterrupted(t, tracer) })
	t.Run("on a full disk", func(t *testing.T) { onAFullDisk(t, tracer) })
}

// inEveryTopology traces while others trace to the same target. The replay is
// what was printed; --all adds the others, and nothing of ours.
func inEveryTopology(t *testing.T, tracer string) {
	var mu sync.Mutex
	var late, foreign, named, others int
	t.Run("all", func(t *testing.T) {
		for _, name := range topologies.Names() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newTracers(t, tracer)
				told, foundOthers := s.traceAmongOthers(name)
				mu.Lock()
				defer mu.Unlock()
				others += foundOthers
				for _, d := range told {
					late += d.Counters.Late
					foreign += d.Counters.Foreign
					named += d.names()
				}
			})
		}
	})
	if min(late, foreign, named, others) < 10 {
		t.Errorf("too little happened: %d late, %d foreign, %d named, %d of others", late, foreign, named, others)
	}
}

// traceAmongOthers returns what was traced, and how many traces of others are in
// the recordings.
func (s *tracers) traceAmongOthers(name string) (told []document, others int) {
	data, err := topologies.Read(name)
	if err != nil {
		s.t.Fatal(err)
	}
	top, err := topology.Parse(name, data)
	if err != nil {
		s.t.Fatal(err)
	}
	dst := targets(top)[0].String()
	s.other("traceroute -I -n -q 1 -w 0.2 -m 10 " + dst)
	s.other("mtr -n --raw -c 1 -i 0.2 -G 0.2 " + dst)
	plain := s.add("json", "", "-w 0.2 -m 16 "+dst)
	short := s.add("json", "", "-w 0.02 -q 5 -N 4 -z 11 -m 9 -n "+dst)
	lines := s.add("jsonl", "", "-w 0.05,2,3 -q 2 -N 32 -m 20 -f 2 "+dst)
	s.run(name)
	s.same(plain, "json")
	s.same(short, "json")
	s.same(lines, "jsonl")
	return documents(s.t, append(s.live(plain), s.live(short)...)), s.others(plain)
}

// others checks what --all shows of a recording, and returns how many traces of
// others are in it.
func (s *tracers) others(number int) int {
	s.t.Helper()
	all, live := s.replay(number, "--all", "--format", "json"), s.live(number)
	if !bytes.HasPrefix(all, live) {
		s.t.Errorf("--all does not begin with the trace itself: %s", all)
		return 0
	}
	told := documents(s.t, all)
	for _, other := range told[1:] {
		if other.Protocol == "udp" && other.Options.SrcPort == told[0].Options.SrcPort {
			s.t.Errorf("--all shows the trace itself twice: %s", all)
		}
	}
	return len(told) - 1
}

// whenInterrupted sends signals. The first that asks to end is an end like any
// other; a second one, or one that can't be noticed, ends the program at once.
func whenInterrupted(t *testing.T, tracer string) {
	const args = "-w 5 198.51.100.1"
	s := newTracers(t, tracer)
	var asked, killed []int
	for _, after := range []string{"0.03", "0.06", "0.1", "0.15", "0.25", "0.5", "1.5"} {
		asked = append(asked, s.add("json", "timeout --foreground -s INT "+after, args))
		asked = append(asked, s.add("json", "timeout --foreground -s TERM "+after, args))
		killed = append(killed, s.add("jsonl", "timeout --foreground -s KILL "+after, "-n "+args))
	}
	// To the process, and to its group.
	killed = append(killed, s.add("jsonl", "timeout -s INT 0.3", "-n "+args))
	s.run("limits")
	interrupted := 0
	for _, n := range asked {
		if !s.recorded(n) {
			if live := s.live(n); len(live) > 0 && !isEarly(live) {
				t.Errorf("nothing was recorded of %s", live)
			}
			continue
		}
		s.same(n, "json")
		for _, d := range documents(t, s.live(n)) {
			if d.Interrupted {
				interrupted++
			}
		}
	}
	if interrupted < 2 {
		t.Errorf("only %d traces were interrupted", interrupted)
	}
	if lines := s.replaysKilled(killed); lines < 10 {
		t.Errorf("only %d lines were printed by what was killed", lines)
	}
}

// isEarly reports whether what was printed says that there was no trace to record.
func isEarly(live []byte) bool {
	return bytes.Contains(live, []byte(`"error":"interrupted before anything was sent"`))
}

// replaysKilled holds what was printed before a program was killed against the
// replay, and returns how many lines that were. A start that nothing has
// followed is not in a recording.
func (s *tracers) replaysKilled(numbers []int) (lines int) {
	s.t.Helper()
	for _, n := range numbers {
		live := s.live(n)
		live = live[:bytes.LastIndexByte(live, '\n')+1]
		printed := bytes.Count(live, []byte("\n"))
		lines += printed
		if printed < 2 || isEarly(live) {
			continue
		}
		if again := s.replay(n, "-n", "--format", "jsonl"); !bytes.HasPrefix(again, live) {
			s.t.Errorf("trace %d printed\n%s\nand its replay\n%s", n, live, again)
		}
	}
	return lines
}

// onAFullDisk: the trace goes on to its end without its recording, and one line says why.
func onAFullDisk(t *testing.T, tracer string) {
	cmd := exec.Command(program(t), "run", "chain", "--", "unshare", "-m", "sh", "-c",
		"mount -t tmpfs -o size=16k none . && cd . && exec "+tracer+" --format json --write \"$PWD/run\" 198.51.100.80")
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if text := stderr.String(); strings.Count(text, "no space left on device") != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("%s", text)
	}
	if d := documents(t, stdout.Bytes()); len(d) != 1 || d[0].Interrupted || !d[0].Reached || len(d[0].Hops) != 9 {
		t.Errorf("%s", &stdout)
	}
}
