package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dir is where ip netns keeps the names of namespaces.
const dir = "/run/netns"

// Do calls f with the calling goroutine locked to a thread inside the namespace,
// and returns f's error. name is one of those that ip netns lists or, with a
// slash in it, the path of a file that is a namespace, such as
// /proc/1234/ns/net. With an empty name f is called where the caller is.
func Do(name string, f func() error) error {
	if name == "" {
		return f()
	}
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(dir, name)
	}
	there, err := netns.GetFromPath(path)
	if err != nil {
		return describe(name, err)
	}
	defer there.Close()
	ran := false
	err = within(there, func() error {
		ran = true
		return f()
	})
	if ran {
		return err
	}
	return describe(name, err)
}

// Inherit returns f, but to be called by another goroutine, once: it runs in
// the namespace where the caller of Inherit is now.
func Inherit(f func() error) (func() error, error) {
	runtime.LockOSThread() // Get asks for the thread, and then about it
	here, err := netns.Get()
	runtime.UnlockOSThread()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return f, nil // without /proc, nobody is in Do
	case err != nil:
		return nil, fmt.Errorf("netns: %w", err)
	}
	return func() error {
		defer here.Close()
		return within(here, f)
	}, nil
}

// within calls f on a thread in the namespace. It needs no permission where the
// thread is there already.
func within(there netns.NsHandle, f func() error) error {
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer before.Close()
	if before.Equal(there) {
		defer runtime.UnlockOSThread()
		return f()
	}
	if err := netns.Set(there); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that can't go back stays locked, and so ends with its goroutine.
		if netns.Set(before) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// describe says why a namespace can't be entered.
func describe(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENAMETOOLONG):
		return fmt.Errorf("netns: %s: %w; %s", name, ErrUnknown, known())
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("netns: %s: %w: not one at all; %s", name, ErrUnknown, known())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("netns: %s: %w", name, ErrPermission)
	}
	return fmt.Errorf("netns: %s: %w", name, err)
}

// known says which namespaces have names.
func known() string {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return "'ip netns' lists none"
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return "there are: " + strings.Join(names, ", ")
}
