package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/cmd/internal/outfile"
	"github.com/tracewire/tracewire/cmd/internal/render"
)

// errRecording is that the recording is not complete: people were told why when it
// happened.
var errRecording = errors.New("the recording is not complete")

// lastWrites is how long each block of an interrupted trace may take to be written,
// to a pipe whose reader is slow.
const lastWrites = time.Second

// destination is where a trace is recorded.
type destination struct {
	name string // of the file; empty if it is not recorded
	flag string // that asks for it, as people know it: with the name, if they gave that
	lost string // what is not there if the file can't be written
}

// record runs a trace, and records it if that is wanted.
func record(ctx context.Context, to destination, o *tracewire.Options, names *toldNames, s streams, trace func() (seen, error)) (seen, error) {
	if to.name == "" {
		return trace()
	}
	file, err := openOutput(ctx, to, s)
	if err != nil {
		return seen{}, err
	}
	stop := context.AfterFunc(ctx, func() { file.Hurry(lastWrites) })
	defer stop()
	if o.Recording, err = tracewire.NewRecording(file.writer(), "tracewire "+version()); err != nil {
		return seen{}, errors.Join(err, file.Close())
	}
	seen, err := trace()
	if err == nil || seen.traced { // one host's failure hides no other's names
		err = cmp.Or(err, file.wrote(o.Recording.Close(names.told)))
	}
	if closing := file.Close(); err == nil && closing != nil {
		err = fmt.Errorf("%s: %w", to.flag, closing)
	}
	return seen, err
}

// outputFile is the file that --write names. Until there is a trace to write to
// it, it is left as it was: a mistyped host must not cost anybody a recording.
type outputFile struct {
	*outfile.File
	to     destination
	stderr io.Writer
	head   []byte // what is written at first is not a trace yet
	begun  bool
	failed bool
}

// openOutput opens a file to write to, which standard output is not.
func openOutput(ctx context.Context, to destination, s streams) (*outputFile, error) {
	file, err := outfile.Open(ctx, to.name, infos(s.out)...)
	switch {
	case errors.Is(err, outfile.ErrShared):
		return nil, usagef("%s: standard output has the trace", to.flag)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", to.flag, err)
	}
	return &outputFile{File: file, to: to, stderr: s.err}, nil
}

// infos are those of the streams that are files.
func infos(streams ...any) (all []os.FileInfo) {
	for _, s := range streams {
		file, ok := s.(*os.File)
		if !ok {
			continue
		}
		if info, err := file.Stat(); err == nil {
			all = append(all, info)
		}
	}
	return all
}

// writer is the file for a recording. A pipe or a device has no other places than
// its end.
func (f *outputFile) writer() io.Writer {
	if !f.IsRegular() {
		return struct{ io.Writer }{f}
	}
	return f
}

// WriteAt implements io.WriterAt, once there is a trace.
func (f *outputFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(b, at)
	return n, f.wrote(err)
}

// Write implements io.Writer. It keeps what the first call writes until the
// second, which empties the file.
func (f *outputFile) Write(b []byte) (int, error) {
	if f.head == nil {
		f.head = append([]byte{}, b...)
		return len(b), nil
	}
	if !f.begun {
		f.begun = true
		if err := f.begin(); err != nil {
			return 0, f.wrote(err)
		}
	}
	n, err := f.File.Write(b)
	return n, f.wrote(err)
}

func (f *outputFile) begin() error {
	err := f.Begin()
	if err == nil {
		_, err = f.File.Write(f.head)
	}
	return err
}

// wrote says, once, that the file can't be written, and that the trace goes on.
func (f *outputFile) wrote(err error) error {
	if err == nil {
		return nil
	}
	if !f.failed {
		f.failed = true
		complain(f.stderr, "tracewire", fmt.Errorf("%s: %w: the trace goes on, %s", f.to.flag, err, f.to.lost))
	}
	return errRecording
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
