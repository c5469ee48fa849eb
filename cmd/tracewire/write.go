package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/cmd/internal/render"
)

// recording is the file that --write names.
type recording struct {
	file *os.File
	*tracewire.Recording
	names *toldNames
}

// record runs a trace, and records it if name is not empty.
func record(name string, o *tracewire.Options, names *toldNames, trace func() (seen, error)) (seen, error) {
	if name == "" {
		return trace()
	}
	r, err := startRecording(name, o, names)
	if err != nil {
		return seen{}, err
	}
	seen, err := trace()
	if !seen.traced {
		return seen, errors.Join(err, r.discard())
	}
	return seen, errors.Join(err, r.finish())
}

// startRecording opens the file, empties it if it is there, and has what the
// trace captures written to it.
func startRecording(name string, o *tracewire.Options, names *toldNames) (*recording, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--write: %w", err)
	}
	r := &recording{file: file, names: names}
	if r.Recording, err = tracewire.NewRecording(file, "tracewire "+version()); err != nil {
		return nil, errors.Join(err, r.discard())
	}
	o.Recording = r.Recording
	return r, nil
}

// finish completes the file, with the names that the output showed.
func (r *recording) finish() error {
	return errors.Join(r.Close(r.names.told), r.file.Close())
}

// discard removes the file: nothing was traced.
func (r *recording) discard() error {
	return errors.Join(r.file.Close(), os.Remove(r.file.Name()))
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

// fileNames are the names that a capture has.
type fileNames map[netip.Addr]string

// Want implements render.Namer.
func (n fileNames) Want(netip.Addr) {}

// Wait implements render.Namer. It is nil if the capture has no names at all.
func (n fileNames) Wait([]netip.Addr) map[netip.Addr]string { return n }
