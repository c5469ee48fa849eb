package outfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tracewire/tracewire/cmd/internal/outfile"
)

func open(t *testing.T, name string, others ...os.FileInfo) *outfile.File {
	t.Helper()
	f, err := outfile.Open(t.Context(), name, others...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func holds(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v, want %q", name, got, err, want)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, "of the first")
	first := open(t, name)
	if _, err := outfile.Open(t.Context(), name); !errors.Is(err, outfile.ErrBusy) {
		t.Errorf("%v, want %v", err, outfile.ErrBusy)
	}
	if err := outfile.WriteFile(t.Context(), name, []byte("of another")); !errors.Is(err, outfile.ErrBusy) {
		t.Errorf("%v, want %v", err, outfile.ErrBusy)
	}
	holds(t, name, "of the first")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := outfile.WriteFile(t.Context(), name, []byte("of another")); err != nil {
		t.Fatal(err)
	}
	holds(t, name, "of another")
}

// The second writer may come before the first has begun, and must not remove the
// first one's file.
func TestSecondWriterOfANewFileLeavesIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	first := open(t, name)
	if _, err := outfile.Open(t.Context(), name); !errors.Is(err, outfile.ErrBusy) {
		t.Errorf("%v, want %v", err, outfile.ErrBusy)
	}
	if err := first.Begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Write([]byte("all")); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, name, "all")
}

func TestLinkThatLeadsNowhereGetsItsTarget(t *testing.T) {
	folder := t.TempDir()
	name, target := filepath.Join(folder, "link"), filepath.Join(folder, "target")
	if err := os.Symlink("target", name); err != nil {
		t.Fatal(err)
	}
	if err := open(t, name).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the target of an output that never began: %v", err)
	}
	if _, err := os.Lstat(name); err != nil {
		t.Errorf("the link: %v", err)
	}
	if err := outfile.WriteFile(t.Context(), name, []byte("all")); err != nil {
		t.Fatal(err)
	}
	holds(t, target, "all")
}

func TestFileOfTheSameCommandIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, "input")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outfile.Open(t.Context(), name, info); !errors.Is(err, outfile.ErrShared) {
		t.Errorf("%v, want %v", err, outfile.ErrShared)
	}
	holds(t, name, "input")
	null, err := os.Stat(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, os.DevNull, null).Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatNeverBeganIsAsBefore(t *testing.T) {
	folder := t.TempDir()
	old, fresh := filepath.Join(folder, "old"), filepath.Join(folder, "new")
	write(t, old, "text")
	for _, name := range []string{old, fresh} {
		if err := open(t, name).Close(); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, old, "text")
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestErrorsDontNameTheFile(t *testing.T) {
	_, err := outfile.Open(context.Background(), filepath.Join(t.TempDir(), "no", "file"))
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*fs.PathError)) {
		t.Errorf("%v", err)
	}
}
