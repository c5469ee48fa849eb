package kernelnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// userID is the user that programs run as in a node for users.
const userID = 1000

// UserHost adds a namespace whose programs, those of Run, Start and Command, are an
// ordinary user's: they are not root and have no capability, but for what the file of
// a program has (see Install). What Do calls is root there, as in any other node. It
// needs nsenter, and skips or fails the test as Require does.
func (n *Network) UserHost(name string) *Node {
	n.t.Helper()
	Require(n.t, "nsenter")
	holder := exec.Command("cat") // which ends when this process does, whichever thread started it
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: userID, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: userID, HostID: 0, Size: 1}},
	}
	end, err := holder.StdinPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		n.t.Fatalf("kernelnet: %s: a user namespace: %v", name, err)
	}
	n.t.Cleanup(func() {
		end.Close()
		_ = holder.Wait()
	})
	ns, err := netns.GetFromPid(holder.Process.Pid)
	if err != nil {
		n.t.Fatalf("kernelnet: %s: %v", name, err)
	}
	node := n.adopt(name, ns)
	dir := fmt.Sprintf("/proc/%d/ns/", holder.Process.Pid)
	// nsenter is root of the namespace, so what starts the user's programs is env.
	node.enter = []string{"nsenter", "--user=" + dir + "user", "--net=" + dir + "net", "--preserve-credentials", "--", "env"}
	if err := node.Do(func() error { return writeSysctls(baseSysctls...) }); err != nil {
		node.fatal("settings", err)
	}
	if err := node.kernel.LinkSetUp(loopback); err != nil {
		node.fatal("set lo up", err)
	}
	return node
}

// Install copies a program into a directory of the test, under a name, and gives its
// file CAP_NET_RAW, as setcap cap_net_raw+ep does. It returns where. Where files can't
// have capabilities it skips or fails the test as Require does.
func Install(t testing.TB, program, name string) string {
	t.Helper()
	Require(t)
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	installed := filepath.Join(dir, name)
	if err := os.WriteFile(installed, data, 0o755); err != nil {
		t.Fatal(err)
	}
	var mounted unix.Statfs_t
	if unix.Statfs(dir, &mounted) == nil && mounted.Flags&unix.ST_NOSUID != 0 {
		Lacking(t, "%s is mounted nosuid: set TMPDIR to a directory that is not", dir)
	}
	err = unix.Setxattr(installed, "security.capability", fileCapability(unix.CAP_NET_RAW), 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		Lacking(t, "files in %s can't have capabilities: set TMPDIR to a directory where they can", dir)
	}
	if err != nil {
		t.Fatalf("kernelnet: %s: capability: %v", installed, err)
	}
	return installed
}

// fileCapability is struct vfs_cap_data (linux/capability.h) in revision 2, with one
// capability, permitted and effective.
func fileCapability(capability int) []byte {
	const revision2, effective = 0x02000000, 1
	b := make([]byte, 20)
	binary.LittleEndian.PutUint32(b, revision2|effective)
	binary.LittleEndian.PutUint32(b[4:], 1<<capability)
	return b
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Threads are the status files (proc(5)) of the threads of the program that is
// running, once its name is that: nsenter is another before.
func (p *Process) Threads(name string) []string {
	p.node.net.t.Helper()
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	p.node.await(name+" running", func() (bool, error) {
		running, err := os.ReadFile(dir + "/comm")
		return string(running) == name+"\n", err
	})
	files, err := filepath.Glob(dir + "/task/*/status")
	if err != nil {
		p.fail("%v", err)
	}
	var all []string
	for _, file := range files {
		if status, err := os.ReadFile(file); err == nil { // else the thread has ended
			all = append(all, string(status))
		}
	}
	return all
}
