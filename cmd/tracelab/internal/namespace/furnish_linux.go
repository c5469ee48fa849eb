package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Inside returns the room of process 1, or nil in any other process. It does
// so once, and takes the mark of process 1 from the environment. From then on
// the signals to pass on are kept for Exec.
func Inside() *Room {
	stage := os.Getenv(stageVariable)
	os.Unsetenv(stageVariable)
	if stage == "" || os.Getpid() != 1 {
		return nil
	}
	unix.CloseOnExec(launcherPipe)
	return &Room{single: stage == mappedOne, signals: catch()}
}

// Room is the inside of the namespaces, as process 1 has it.
type Room struct {
	single  bool // one user ID is mapped
	signals chan os.Signal
}

// File is a file to be put in the place of another.
type File struct {
	Name string // of one that exists; where none does, nothing is put there
	Text string
}

// Furnish gives the room a /proc and /sys that show its own processes and
// network, and the files, none of which exists outside. Where IDs cannot be
// changed, the calls that would do so succeed without effect, so that programs
// which drop their privileges run.
func (r *Room) Furnish(files []File) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return denied(fmt.Errorf("make mounts private: %w", err))
	}
	// Both are masked in some containers; only programs that look there notice.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	defer func() { _ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") }()

	if err := onStage(func() error { return put(files) }); err != nil {
		return denied(err)
	}
	if r.single {
		pretendIDs()
		// scamper makes this directory, which takes real root, to lock itself in.
		if _, err := os.Lstat("/var/empty"); errors.Is(err, fs.ErrNotExist) {
			_ = onStage(func() error { return widen("/var", "empty") })
		}
	}
	return nil
}

// stage is a directory that every system has, which is covered by an empty
// file system while things are put together, and by the new /sys in the end.
const stage = "/sys"

// onStage calls f while stage is an empty, private directory. What f bound
// elsewhere stays.
func onStage(f func() error) error {
	if err := unix.Mount("tmpfs", stage, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	err := f()
	return errors.Join(err, unix.Unmount(stage, unix.MNT_DETACH))
}

// put writes files and binds them over those of their names.
func put(files []File) error {
	for i, f := range files {
		if _, err := os.Stat(f.Name); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		written := filepath.Join(stage, fmt.Sprint(i))
		if err := os.WriteFile(written, []byte(f.Text), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(written, f.Name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", f.Name, err)
		}
	}
	return nil
}

// widen gives a directory of others a further, empty one: all that it has is
// bound into a new one, which takes its place.
func widen(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := mirror(filepath.Join(dir, e.Name()), filepath.Join(stage, e.Name()), e); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(stage, name), 0o755); err != nil {
		return err
	}
	return unix.Mount(stage, dir, "", unix.MS_BIND|unix.MS_REC, "")
}

func mirror(from, to string, e fs.DirEntry) (err error) {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case e.IsDir():
		err = os.Mkdir(to, 0o755)
	default:
		err = os.WriteFile(to, nil, 0o644)
	}
	if err != nil {
		return err
	}
	return unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
}
