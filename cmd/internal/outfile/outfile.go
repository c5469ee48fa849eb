// Package outfile opens the files that the programs write to. What is in such a
// file stays until there is something to replace it, nobody else writes to it
// meanwhile, and waiting for the reader of a pipe ends with a context.
package outfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Errors of Open, besides those of the system.
var (
	// ErrBusy: another program writes to the file.
	ErrBusy = errors.New("another program is writing to it")
	// ErrShared: the program writes something else to the file, or reads it.
	ErrShared = errors.New("it is the same file as another one of this command")
)

// File is a file to write to. Until Begin it is left as it was.
type File struct {
	file    *os.File
	regular bool
	made    string // the name of the file, if there was none; else ""
	begun   bool

	patience atomic.Int64 // if not 0, how long a write may take
}

// Open opens a file to write to, and locks it if it is a regular one. If there is
// none, it is made; a symbolic link that leads nowhere gets its target made. No
// longer than ctx does Open wait, for the reader of a pipe, say. The errors are
// those of the system without the file's name, ErrBusy, and ErrShared if the file
// is one of the others.
func Open(ctx context.Context, name string, others ...os.FileInfo) (*File, error) {
	type opened struct {
		file *os.File
		made bool
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		file, made, err := open(name)
		done <- opened{file, made, err}
	}()
	var o opened
	select {
	case o = <-done:
	case <-ctx.Done(): // which ends the program
		select {
		case o = <-done:
		default:
			return nil, context.Cause(ctx)
		}
	}
	if o.err != nil {
		return nil, cause(o.err)
	}
	f := &File{file: o.file}
	if o.made {
		f.made = target(name)
	}
	if err := f.claim(others); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// open opens a file, and reports whether it was made.
func open(name string) (file *os.File, made bool, err error) {
	file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return file, true, err
	}
	file, err = os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return file, false, err
	}
	// A link that leads nowhere. Whether it may be followed is for the kernel to say
	// (fs.protected_symlinks).
	file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	return file, true, err
}

// target is the file that a name leads to.
func target(name string) string {
	if resolved, err := filepath.EvalSymlinks(name); err == nil {
		return resolved
	}
	return name
}

// claim locks the file, and refuses one that is another one of the command.
func (f *File) claim(others []os.FileInfo) error {
	info, err := f.file.Stat()
	if err != nil {
		return cause(err)
	}
	f.regular = info.Mode().IsRegular()
	for _, other := range others {
		if info.Mode()&os.ModeDevice == 0 && os.SameFile(info, other) {
			return ErrShared
		}
	}
	if f.regular {
		return lock(f.file)
	}
	return nil
}

// Begin makes the file empty, if it is a regular one, once.
func (f *File) Begin() error {
	if f.begun {
		return nil
	}
	f.begun = true
	if !f.regular {
		return nil
	}
	return cause(f.file.Truncate(0))
}

// Write implements io.Writer, after Begin.
func (f *File) Write(b []byte) (int, error) {
	if patience := f.patience.Load(); patience != 0 {
		_ = f.file.SetWriteDeadline(time.Now().Add(time.Duration(patience)))
	}
	n, err := f.file.Write(b)
	return n, cause(err)
}

// WriteAt implements io.WriterAt, after Begin, for regular files.
func (f *File) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.file.WriteAt(b, at)
	return n, cause(err)
}

// IsRegular reports whether the file has other places than its end.
func (f *File) IsRegular() bool { return f.regular }

// Hurry makes each write from now on, and one that is under way, fail if it waits
// longer than that for the reader of a pipe. Any goroutine may call it.
func (f *File) Hurry(patience time.Duration) {
	f.patience.Store(int64(patience))
	_ = f.file.SetWriteDeadline(time.Now().Add(patience)) // a file that has none doesn't wait
}

// Close closes the file, and removes one that was made but never begun.
func (f *File) Close() error {
	err := cause(f.file.Close())
	if f.made != "" && !f.begun {
		err = errors.Join(err, os.Remove(f.made))
	}
	return err
}

// WriteFile writes all of a file at once.
func WriteFile(ctx context.Context, name string, data []byte, others ...os.FileInfo) (err error) {
	f, err := Open(ctx, name, others...)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { f.Hurry(time.Nanosecond) })
	defer stop()
	if err = f.Begin(); err == nil {
		_, err = f.Write(data)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, f.Close())
}

// cause is an error of a file without the file, for who names it elsewhere.
func cause(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return of.Err
	}
	return err
}
