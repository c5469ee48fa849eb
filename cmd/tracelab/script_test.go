package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script run the program as its users do.

func TestMain(m *testing.M) {
	extendPath()
	// The race detector has each process sleep for a second before it exits.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"tracelab": main})
}

// extendPath adds where Debian keeps network tools, which an ordinary user's
// PATH lacks.
func extendPath() {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	os.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator)))
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"namespaces": namespaces, "oneline": oneline, "status": status,
		},
	})
}

// namespaces skips the script, or fails it, as requireLab does.
func namespaces(ts *testscript.TestScript, _ bool, _ []string) {
	reason := lacking()
	if reason == "" {
		return
	}
	if required() {
		ts.Fatalf("%s", reason)
	}
	ts.Fatalf("skip: %s", reason)
}

// status CODE PROGRAM ARG… runs a program that must exit with the code.
func status(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &exit) || exit.ExitCode() != code {
		ts.Fatalf("%s: %v, want exit status %d", strings.Join(args[1:], " "), err, code)
	}
}

// oneline checks that standard error is one line, and the program's.
func oneline(ts *testscript.TestScript, _ bool, _ []string) {
	text := ts.ReadFile("stderr")
	if !strings.HasPrefix(text, "tracelab: ") || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("not one line of ours: %q", text)
	}
}

// program is the path of the tracelab that testscript.Main has put into PATH.
func program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("tracelab")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// required tells whether a machine on which labs do not work fails the tests.
func required() bool { return os.Getenv("TRACEWIRE_REQUIRE_LABS") == "1" }

// lacking says why labs don't work here, or which of the programs is missing, or
// nothing.
func lacking(programs ...string) string {
	if out, err := exec.Command("tracelab", "run", "chain", "--", "true").CombinedOutput(); err != nil {
		return strings.TrimSpace(string(out)) + " (" + err.Error() + ")"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return err.Error() + ": 'make peers' installs it"
		}
	}
	return ""
}

// requireLab skips a test where labs do not work or one of the programs is
// missing, or fails it if TRACEWIRE_REQUIRE_LABS is 1.
func requireLab(t testing.TB, programs ...string) {
	t.Helper()
	if reason := lacking(programs...); reason != "" && required() {
		t.Fatal(reason)
	} else if reason != "" {
		t.Skip(reason)
	}
}
