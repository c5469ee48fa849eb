package kernelnet

import (
	"os"
	"strings"
	"testing"
)

// permitNamespaces is what to do when the system refuses a user namespace.
const permitNamespaces = `allow unprivileged user namespaces (as root, where the names exist: ` +
	`sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0; ` +
	`in a container: run it with --privileged)`

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
	RequirePrograms(t, programs...)
}
