package kernelnet

import (
	"os"
	"os/exec"
	"testing"
)

// RequireVariable is the environment variable that, set to 1, makes tests fail
// that would be skipped because the machine lacks something.
const RequireVariable = "TRACEWIRE_REQUIRE_LABS"

// Required reports whether a test fails, instead of being skipped, because the
// machine lacks something.
func Required() bool { return os.Getenv(RequireVariable) == "1" }

// Missing says that a program is not in PATH, and what to do, or returns "" if it
// is.
func Missing(program string) string {
	if _, err := exec.LookPath(program); err != nil {
		return program + " is not installed; 'make peers' installs what tests compare with"
	}
	return ""
}

// RequirePrograms skips the test unless every named program is in PATH. With
// TRACEWIRE_REQUIRE_LABS=1 it fails the test instead. Either way it says what to
// do.
func RequirePrograms(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if why := Missing(program); why != "" {
			Lacking(t, "%s", why)
		}
	}
}

// Lacking skips the test because the machine lacks something, or fails it, as
// RequirePrograms does. The format says what, and what to do if anything can be
// done.
func Lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf(format+" ("+RequireVariable+"=1)", args...)
	}
	t.Skipf(format, args...)
}
