package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusals are the ways in which a system refuses what "tracelab run" needs, and
// how to have them in a lab: by a number of namespaces at most.
var refusals = []struct {
	name, limit string
	says        string
}{
	{"no user namespaces", "echo 0 >/proc/sys/user/max_user_namespaces",
		`^tracelab: the system does not let this user make a network of their own: .*; so tracewire simulates demo itself, which other programs can't: \S+ .*\n$`},
	// The lab has two, and what runs in it gets one, unless the kernel has not done
	// away with another yet: then it is refused as above.
	{"no interface in the namespaces", "echo 3 >/proc/sys/user/max_net_namespaces",
		`^tracelab: (the host's interface|the system does not let this user make a network of their own): .*; so tracewire simulates demo itself, which other programs can't`},
}

// output is what a program wrote and returned.
type output struct {
	stdout, stderr string
	code           int
}

// refused runs a shell's command where a limit holds.
func refused(t *testing.T, limit, command string) (o output) {
	t.Helper()
	return outputOf(t, program(t), "run", "chain", "--", "sh", "-c", limit+"; exec "+command)
}

func outputOf(t *testing.T, command string, args ...string) (o output) {
	t.Helper()
	cmd := exec.Command(command, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

const demoHops = `traceroute to www.example (198.51.100.80), 3 hops max, 60 byte packets
 1  router.home.example (192.0.2.1)  T ms
 2  cgn-1.isp.example (100.64.0.1)  T ms
 3  core-1.isp.example (10.1.0.1)  T ms
`

func withoutTimes(text string) string {
	return regexp.MustCompile(`\d+\.\d{3} ms`).ReplaceAllString(text, "T ms")
}

// Where no namespaces can be had, tracewire traces all the same: the network is
// simulated in its own process. One line says so. A machine that refuses them, as a
// chroot and many containers do, shows it without a lab.
func TestTracewireStandsIn(t *testing.T) {
	command := "tracelab run demo -- " + buildTracer(t) + " -q 1 -m 3 --fail-unreached www.example"
	if lacking() != "" {
		checkStandIn(t, outputOf(t, "sh", "-c", "exec "+command), `; so tracewire simulates demo itself, which other programs can't`)
		return
	}
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) { checkStandIn(t, refused(t, c.limit, command), c.says) })
	}
}

func checkStandIn(t *testing.T, got output, says string) {
	t.Helper()
	if d := cmp.Diff(demoHops, withoutTimes(got.stdout)); d != "" || got.code != 3 {
		t.Errorf("%s, exit code %d", d, got.code)
	}
	if !regexp.MustCompile(says).MatchString(got.stderr) || strings.Count(got.stderr, "\n") != 1 {
		t.Error(got.stderr)
	}
}

// No other program can do without namespaces, nor can tracewire with --stats,
// which counts what the namespaces' interface carried.
func TestOthersDoNotStandIn(t *testing.T) {
	requireLab(t)
	tracer := filepath.Join(t.TempDir(), "tracewire")
	if err := os.Symlink("/bin/true", tracer); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"tracelab run demo -- true", "tracelab run --stats demo -- " + tracer} {
		got := refused(t, refusals[0].limit, command)
		if got.code != exitRun || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || strings.Contains(got.stderr, "simulates") {
			t.Errorf("%s: %+v", command, got)
		}
	}
	got := refused(t, refusals[0].limit, "tracelab run demo -- ./nosuch/tracewire www.example")
	if got.code != exitNotFound || !strings.Contains(got.stderr, "there is no such file") {
		t.Errorf("%+v", got)
	}
}

// What tracewire writes of its own network is what it writes of the namespaces',
// except for times. No probe goes beyond a target, which decides by time how many do.
func TestStandInAgrees(t *testing.T) {
	requireLab(t)
	tracer := buildTracer(t)
	for _, args := range []string{
		"demo -- " + tracer + " -q 1 -m 9 --seed 11 --format json www.example",
		"demo -- " + tracer + " -6 -q 1 -m 9 --seed 11 --format json www.example",
		"demo -- " + tracer + " -q 1 -m 1 --seed 11 --format json 192.0.2.1",
		"mpls -- " + tracer + " -I -q 1 -m 10 --seed 11 --format json 198.51.100.1",
		"nat -- " + tracer + " -T -q 1 -m 6 --seed 11 --sport 50123 --format json 198.51.100.1",
		"dscp -- " + tracer + " -i eth0 -t EF -q 1 -m 7 --seed 11 --format json 198.51.100.1",
		"demo -- " + tracer + " -i eth1 www.example",
		"demo -- " + tracer + " -s 192.0.2.99 www.example",
		"demo -- " + tracer + " nosuch.example",
		"demo -- " + tracer + " craft --seed 7 -q 1 -m 2 --all www.example",
	} {
		want := outputOf(t, program(t), append([]string{"run"}, strings.Fields(args)...)...)
		got := refused(t, refusals[0].limit, "tracelab run "+args)
		_, got.stderr, _ = strings.Cut(got.stderr, "\n") // the line that says who simulates
		if d := cmp.Diff(timeless(t, want), timeless(t, got)); d != "" {
			t.Errorf("%s: %s", args, d)
		}
	}
}

// told is what a document says that time does not decide.
type told struct {
	Target, Source, Options, Protocol, Reached any
	Hops                                       []struct {
		Probes []struct{ Reply map[string]any }
	}
}

// timeless is an output without what time decides.
func timeless(t *testing.T, o output) (all []any) {
	t.Helper()
	for line := range strings.Lines(o.stdout) {
		if !strings.HasPrefix(line, "{") {
			all = append(all, line)
			continue
		}
		var doc told
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, h := range doc.Hops {
			for _, p := range h.Probes {
				for _, name := range []string{"received", "rtt_ns", "wire_to_program_ns"} {
					delete(p.Reply, name)
				}
			}
		}
		all = append(all, doc)
	}
	return append(all, o.stderr, o.code)
}
