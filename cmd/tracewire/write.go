package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/cmd/internal/render"
)

// record runs a trace, and records it in the file with a name if that is not
// empty.
func record(name string, o *tracewire.Options, names *toldNames, trace func() (seen, error)) (seen, error) {
	if name == "" {
		return trace()
	}
	file, err := openOutput(name)
	if err != nil {
		return seen{}, err
	}
	if o.Recording, err = tracewire.NewRecording(file.writer(), "tracewire "+version()); err != nil {
		return seen{}, errors.Join(err, file.Close())
	}
	seen, err := trace()
	if err == nil || seen.traced { // one host's failure hides no other's names
		err = cmp.Or(err, o.Recording.Close(names.told))
	}
	if closing := file.Close(); err == nil {
		err = closing // else it would only say again what went wrong
	}
	return seen, err
}

// outputFile is the file that --write names. Until there is a trace to write to
// it, it is left as it was: a mistyped host must not cost anybody a recording.
type outputFile struct {
	file    *os.File
	created bool   // there was none
	head    []byte // what is written at first is not a trace yet
	begun   bool
}

// openOutput opens a file to write to.
func openOutput(name string) (*outputFile, error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(name, os.O_WRONLY, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("--write %s: %w", name, cause(err))
	}
	return &outputFile{file: file, created: created}, nil
}

// writer is the file for a recording. A pipe or a device has no other places than
// its end.
func (f *outputFile) writer() io.Writer {
	if info, err := f.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return struct{ io.Writer }{f}
	}
	return f
}

// WriteAt implements io.WriterAt, once there is a trace.
func (f *outputFile) WriteAt(b []byte, at int64) (int, error) { return f.file.WriteAt(b, at) }

// Write implements io.Writer. It keeps what the first call writes until the
// second, which empties the file.
func (f *outputFile) Write(b []byte) (int, error) {
	switch {
	case f.head == nil:
		f.head = append([]byte{}, b...)
		return len(b), nil
	case !f.begun:
		if err := f.begin(); err != nil {
			return 0, err
		}
	}
	return f.file.Write(b)
}

func (f *outputFile) begin() error {
	info, err := f.file.Stat()
	if err == nil && info.Mode().IsRegular() { // a pipe or a device has no length
		err = f.file.Truncate(0)
	}
	if err == nil {
		_, err = f.file.Write(f.head)
	}
	f.begun = true
	return err
}

// Close closes the file. One that was made for a trace that never began is
// removed.
func (f *outputFile) Close() error {
	err := f.file.Close()
	if f.created && !f.begun {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	return err
}

// cause is an error of a file without the file, for who names it elsewhere.
func cause(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return of.Err
	}
	return err
}

// toldNames are the names that the output showed: replaying a recording shows
// these, and asks nobody. They are its renderer's until that is done.
type toldNames struct {
	render.Namer
	told map[netip.Addr]string
}

// Wait implements render.Namer.
func (t *toldNames) Wait(addrs []netip.Addr) map[netip.Addr]string {
	names := t.Namer.Wait(addrs)
	if t.told == nil {
		t.told = map[netip.Addr]string{}
	}
	maps.Copy(t.told, names)
	return names
}
