package kernelnet

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// RequireVariable is the environment variable that, set to 1, makes tests fail
// that would be skipped because the machine lacks something.
const RequireVariable = "TRACEWIRE_REQUIRE_LABS"

// permitNamespaces is what to do when the system refuses a user namespace.
const permitNamespaces = `allow unprivileged user namespaces (as root, where the names exist: ` +
	`sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0; ` +
	`in a container: run it with --privileged)`

// debianPackages names the package of a program where it is called otherwise.
var debianPackages = map[string]string{
	"conntrack": "conntrack",
	"dumpcap":   "wireshark-common",
	"ip":        "iproute2",
	"mtr":       "mtr-tiny",
	"nft":       "nftables",
	"ping":      "iputils-ping",
	"tc":        "iproute2",
}

// Require skips the test unless it runs inside the namespace that Wrap makes
// and every named program is in PATH. With TRACEWIRE_REQUIRE_LABS=1 it fails
// the test instead. Either way it says what to do.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	state := os.Getenv(stateVariable)
	if reason, refused := strings.CutPrefix(state, stateRefused); refused {
		Lacking(t, "no user and network namespace here: %s; %s", reason, permitNamespaces)
	}
	if state != stateInside {
		t.Fatal("kernelnet: not inside a namespace: TestMain must run kernelnet.Wrap(m)")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			pkg, renamed := debianPackages[program]
			if !renamed {
				pkg = program
			}
			Lacking(t, "%v: install %s", err, pkg)
		}
	}
}

// Lacking skips the test because the machine lacks something, or fails it, as
// Require does. The format says what, and what to do if anything can be done.
func Lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(RequireVariable) == "1" {
		t.Fatalf(format+" ("+RequireVariable+"=1)", args...)
	}
	t.Skipf(format, args...)
}
