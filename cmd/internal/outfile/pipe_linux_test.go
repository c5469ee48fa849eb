package outfile_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/cmd/internal/outfile"
)

// pipe makes a pipe. A goroutine that was left behind may still open it when the test
// is over, so that its folder is not always removed.
func pipe(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "outfile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	name := filepath.Join(folder, "pipe")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Nobody reads from the pipe, and who waits for that is told to stop.
func TestWaitingForAReaderEnds(t *testing.T) {
	name := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := outfile.Open(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	reader, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // lets the goroutine end that still waits
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
}

// The reader of the pipe stops reading.
func TestWaitingForASlowReaderEnds(t *testing.T) {
	name := pipe(t)
	reader, err := os.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK, 0) // which reads no end before there is a writer
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithCancel(t.Context())
	first := make([]byte, 1)
	ended := make(chan error, 1)
	go func() { ended <- outfile.WriteFile(ctx, name, make([]byte, 1<<20)) }()
	if _, err := io.ReadFull(reader, first); err != nil { // it writes
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
