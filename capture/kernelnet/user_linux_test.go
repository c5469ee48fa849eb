package kernelnet

import (
	"os/exec"
	"strings"
	"testing"
)

func TestUserHostRunsProgramsAsAUser(t *testing.T) {
	n := New(t)
	host := n.UserHost("host")
	link := n.Link(host, n.Router("r"), "10.77.1.0/24")
	host.exchange(t, link.B.Addr())
	if uid := strings.TrimSpace(host.Run("id", "-u")); uid != "1000" {
		t.Errorf("programs run as user %s", uid)
	}
	if interfaces := host.Run("cat", "/proc/net/dev"); !strings.Contains(interfaces, link.A.Interface) {
		t.Errorf("programs don't run in the node: %s", interfaces)
	}
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	const netRaw = "0000000000002000"
	for program, want := range map[string]string{cat: "0000000000000000", Install(t, cat, "cat"): netRaw} {
		if status := host.Run(program, "/proc/self/status"); !strings.Contains(status, "CapEff:\t"+want) {
			t.Errorf("%s: want the capabilities %s:\n%s", program, want, status)
		}
	}
}
