package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/matcher/journal"
)

// openCapture opens the capture that an argument names; - is standard input. It
// waits no longer than ctx: for the other end of a pipe, say.
func openCapture(ctx context.Context, name string, stdin io.Reader) (*capture.File, error) {
	return patiently(ctx, func() (*capture.File, error) { return openNow(ctx, name, stdin) })
}

// openPipe opens a pipe to read from. It waits no longer than ctx for who writes.
func openPipe(ctx context.Context, name string) (*os.File, error) {
	return patiently(ctx, func() (*os.File, error) {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, cause(err))
		}
		return file, nil
	})
}

// patiently waits for open no longer than ctx, whose end ends the program.
func patiently[T any](ctx context.Context, open func() (T, error)) (T, error) {
	type opened struct {
		file T
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		file, err := open()
		done <- opened{file, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func openNow(ctx context.Context, name string, stdin io.Reader) (*capture.File, error) {
	if name == "-" {
		return capture.NewFile(stoppable(ctx, stdin), called(name))
	}
	return openFile(name)
}

// openFile opens the capture in a file. Its errors begin with the name.
func openFile(name string) (*capture.File, error) {
	file, err := capture.OpenFile(name)
	if err != nil && errors.As(err, new(*fs.PathError)) {
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	}
	return file, err
}

// openCalled opens the capture in a file that holds what the user calls otherwise, if
// it is a copy of standard input, or of a pipe. File is open as long as the capture.
func openCalled(file, name string) (*calledFile, error) {
	if file == name {
		f, err := openFile(file)
		return &calledFile{File: f}, err
	}
	copied, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	f, err := capture.NewFile(copied, name)
	if err != nil {
		copied.Close()
		return nil, err
	}
	return &calledFile{f, copied}, nil
}

// calledFile is a capture with the file that it is read from, nil if it is its own.
type calledFile struct {
	*capture.File
	copied *os.File
}

// Close closes both.
func (c *calledFile) Close() error {
	err := c.File.Close()
	if c.copied != nil {
		err = errors.Join(err, c.copied.Close())
	}
	return err
}

// called is what the capture that an argument names is called.
func called(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// stoppable is in, but that reading ends with ctx. A read of a terminal, or of a
// pipe that the program was given, can't be ended, only left behind.
func stoppable(ctx context.Context, in io.Reader) io.Reader {
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return in
		}
	}
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
	}()
	return r
}

// cause is an error of a file without the file, for who names it elsewhere.
func cause(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return of.Err
	}
	return err
}

// checkInputs refuses to read standard input twice.
func checkInputs(names []string) error {
	inputs := 0
	for _, name := range names {
		if name == "-" {
			inputs++
		}
	}
	if inputs > 1 {
		return usagef("standard input can be read only once")
	}
	return nil
}

// warn writes a line for each oddity that was read of a capture. Of one that is broken
// the error says enough: what was odd may have been no record at all.
func warn(stderr io.Writer, name string, file *capture.File) {
	for _, oddity := range file.Oddities() {
		fmt.Fprintf(stderr, "tracewire: %s\n", render.Printable(called(name)+": "+oddity))
	}
}

// within says which capture an error is of, where the error doesn't.
func within(name string, err error) error {
	if errors.Is(err, journal.ErrNote) || errors.Is(err, frame.ErrLinkType) {
		return errorOf{called(name), err}
	}
	return err
}

// currentNames are the names that a capture has told so far.
type currentNames struct{ file *capture.File }

// Want implements render.Namer.
func (n currentNames) Want(netip.Addr) {}

// Wait implements render.Namer. It is nil if there are no names at all.
func (n currentNames) Wait([]netip.Addr) map[netip.Addr]string { return n.file.Names() }

// noNames are the names of who doesn't want any.
type noNames struct{}

// Want implements render.Namer.
func (noNames) Want(netip.Addr) {}

// Wait implements render.Namer.
func (noNames) Wait([]netip.Addr) map[netip.Addr]string { return nil }
