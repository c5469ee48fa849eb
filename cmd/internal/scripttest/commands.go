package scripttest

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Status is the command "status CODE PROGRAM ARG…": it runs a program that must
// exit with the code.
func Status(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); !errors.As(err, &exit) || exit.ExitCode() != code {
		ts.Fatalf("%s: %v, want exit status %d", strings.Join(args[1:], " "), err, code)
	}
}

// OneLine returns the command "oneline": standard error must be one line, and that
// of the program with a name.
func OneLine(program string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		text := ts.ReadFile("stderr")
		if !strings.HasPrefix(text, program+": ") || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			ts.Fatalf("not one line of ours: %q", text)
		}
	}
}
