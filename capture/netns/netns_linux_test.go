package netns_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/kernelnet"
	"github.com/tracewire/tracewire/capture/netns"
)

func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }

// interfaces are the names of the interfaces that the caller sees.
func interfaces() (names []string, err error) {
	all, err := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names, err
}

// two is this process's namespace, which has lo alone, and one named office
// that has eth0 besides.
func two(t *testing.T) {
	n := kernelnet.New(t)
	office := n.Router("office")
	n.Link(office, n.Router("r"))
	office.Publish("office")
	n.Router("home").Publish("home")
}

func TestDoRunsInTheNamespace(t *testing.T) {
	two(t)
	tests := map[string]struct {
		name string
		want []string
	}{
		"by its name": {"office", []string{"lo", "eth0"}},
		"by a path":   {"/run/netns/office", []string{"lo", "eth0"}},
		"another":     {"home", []string{"lo"}},
		"none":        {"", []string{"lo"}},
		"our own":     {fmt.Sprintf("/proc/%d/ns/net", os.Getpid()), []string{"lo"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var inside []string
			err := netns.Do(tt.name, func() (err error) {
				inside, err = interfaces()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, inside); diff != "" {
				t.Errorf("inside (-want +got):\n%s", diff)
			}
			after, err := interfaces()
			if diff := cmp.Diff([]string{"lo"}, after); diff != "" || err != nil {
				t.Errorf("after it: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDoPassesTheErrorOn(t *testing.T) {
	two(t)
	want := fmt.Errorf("of the function's: %w", os.ErrNotExist)
	for _, name := range []string{"office", ""} {
		if err := netns.Do(name, func() error { return want }); err != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestInheritTakesAGoroutineAlong(t *testing.T) {
	two(t)
	seen := map[string][]string{}
	for _, name := range []string{"office", ""} {
		var wait sync.WaitGroup
		err := netns.Do(name, func() error {
			inherited, err := netns.Inherit(func() (err error) {
				seen[name], err = interfaces()
				return err
			})
			if err != nil {
				return err
			}
			wait.Go(func() {
				if err := inherited(); err != nil {
					t.Error(err)
				}
			})
			wait.Wait() // while this goroutine is inside
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	want := map[string][]string{"office": {"lo", "eth0"}, "": {"lo"}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDoRefusals(t *testing.T) {
	two(t)
	tests := map[string]struct {
		name string
		want error
		text string
	}{
		"no such name":        {"nosuch", netns.ErrUnknown, "nosuch: no such network namespace; there are: home, office"},
		"no such file":        {"/nosuch/ns", netns.ErrUnknown, "/nosuch/ns"},
		"a name far too long": {strings.Repeat("x", 300), netns.ErrUnknown, "there are: home, office"},
		"not a namespace":     {"/dev/null", netns.ErrUnknown, "not one at all"},
		"another kind":        {"/proc/self/ns/mnt", netns.ErrUnknown, "not one at all"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := netns.Do(tt.name, func() error { t.Error("called"); return nil })
			if !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "netns: ") || !strings.Contains(err.Error(), tt.text) {
				t.Error(err)
			}
		})
	}
}

func TestDoWhereNothingHasAName(t *testing.T) {
	kernelnet.New(t)
	err := netns.Do("nosuch", func() error { return nil })
	if !errors.Is(err, netns.ErrUnknown) {
		t.Error(err)
	}
}

// unprivileged is set in the process of TestDoNeedsAPrivilege that has none.
const unprivileged = "NETNS_TEST_UNPRIVILEGED"

func TestDoNeedsAPrivilege(t *testing.T) {
	if os.Getenv(unprivileged) != "" {
		err := netns.Do("office", func() error { t.Error("called"); return nil })
		if !errors.Is(err, netns.ErrPermission) {
			t.Error(err)
		}
		// Where one is already, one may stay.
		if err := netns.Do("/proc/self/ns/net", func() error { return nil }); err != nil {
			t.Error(err)
		}
		return
	}
	two(t)
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), unprivileged+"=1")
	// Whoever enters a new user namespace has no capability outside of it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}
