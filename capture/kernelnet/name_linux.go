package kernelnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// namesDir is where ip netns keeps the names of network namespaces.
const namesDir = "/run/netns"

// Publish gives the node's namespace a name, as ip netns add does, for this
// process and those that it starts, until the test ends.
func (n *Node) Publish(name string) {
	n.net.t.Helper()
	if err := privateNames(); err != nil {
		n.fatal(namesDir, err)
	}
	path := filepath.Join(namesDir, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0)
	if err == nil {
		file.Close()
		err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", int(n.ns)), path, "", unix.MS_BIND, "")
	}
	if err != nil {
		n.fatal("publish as "+name, err)
	}
	n.net.t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(path, unix.MNT_DETACH), os.Remove(path)); err != nil {
			n.net.t.Errorf("kernelnet: %s: withdraw the name %s: %v", n.Name, name, err)
		}
	})
}

// namesVariable tells a process, and those it starts, that namesDir is its own.
const namesVariable = stateVariable + "_NAMES"

// privateNames gives this process's mount namespace a directory of names of its
// own, once: that of the system is not for tests to write.
func privateNames() error {
	if os.Getenv(namesVariable) != "" {
		return nil
	}
	place := namesDir
	if _, err := os.Stat(namesDir); err != nil {
		place = filepath.Dir(namesDir) // where only root may make it: all of /run is hidden
	}
	if err := unix.Mount("tmpfs", place, "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := os.MkdirAll(namesDir, 0o755); err != nil {
		return err
	}
	return os.Setenv(namesVariable, "private")
}
