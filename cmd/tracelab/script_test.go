package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/cmd/internal/scripttest"
)

// The scripts in testdata/script run the program as its users do.

func TestMain(m *testing.M) {
	extendPath()
	// The race detector has each process sleep for a second before it exits.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(scripttest.WithDefaultSignals(m), map[string]func(){"tracelab": main})
}

// extendPath adds where Debian keeps network tools, which an ordinary user's PATH
// lacks beside /usr/bin.
func extendPath() {
	path := filepath.SplitList(os.Getenv("PATH"))
	if !slices.Contains(path, "/usr/bin") {
		return
	}
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
		Condition: scripttest.Condition(func() string { return lacking() }),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"oneline": scripttest.OneLine("tracelab"), "status": scripttest.Status,
		},
	})
}

// A script that runs a program which a machine may lack is skipped there.
func TestScriptsDeclarePrograms(t *testing.T) {
	found, err := scripttest.Undeclared("testdata/script")
	if err != nil || len(found) > 0 {
		t.Errorf("not declared: %q, %v", found, err)
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

// lacking says why labs don't work here, or which of the programs is missing, or
// nothing.
func lacking(programs ...string) string {
	if out, err := exec.Command("tracelab", "run", "chain", "--", "true").CombinedOutput(); err != nil {
		return strings.TrimSpace(string(out)) + " (" + err.Error() + ")"
	}
	for _, p := range programs {
		if why := kernelnet.Missing(p); why != "" {
			return why
		}
	}
	return ""
}

// requireLab skips a test where labs do not work or one of the programs is
// missing, or fails it if TRACEWIRE_REQUIRE_LABS is 1.
func requireLab(t testing.TB, programs ...string) {
	t.Helper()
	if reason := lacking(programs...); reason != "" {
		kernelnet.Lacking(t, "%s", reason)
	}
}
