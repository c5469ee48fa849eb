package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/cmd/internal/simulated"
	"github.com/tracewire/tracewire/cmd/tracelab/internal/namespace"
)

// standIn is the name of the program that can simulate a network in itself.
const standIn = "tracewire"

// noRoom is why the network can't be made in the namespaces.
type noRoom struct{ error }

func (e noRoom) Unwrap() error { return e.error }

// standsIn tells whether an error is about the namespaces, and the command needs
// none of them.
func (l lab) standsIn(err error) bool {
	return (errors.Is(err, namespace.ErrForbidden) || errors.As(err, new(noRoom))) && filepath.Base(l.command[0]) == standIn && !l.stats
}

// standIn has tracewire simulate the network itself, where no namespaces can be
// had because of an error, and says so on stderr. It runs exec with tracewire's
// path.
func (l lab) standIn(why error, stderr io.Writer, exec func(program string, args []string) (int, error)) (int, error) {
	program, err := look(l.command[0])
	if err != nil {
		return 0, err
	}
	_, data, err := source(l.topology)
	if err != nil {
		return 0, err
	}
	file, err := handOver(data)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := os.Setenv(simulated.Variable, strconv.Itoa(int(file.Fd()))); err != nil {
		return 0, err
	}
	remedy := ""
	if errors.Is(why, namespace.ErrForbidden) {
		remedy = ": " + namespace.Remedy()
	}
	fmt.Fprintf(stderr, "tracelab: %s; so tracewire simulates %s itself, which other programs can't%s\n", plain(why), l.topology, remedy)
	code, err := exec(program, l.command)
	if err != nil {
		return 0, exitError{exitCannotRun, fmt.Errorf("%s cannot be run: %w", l.command[0], err)}
	}
	return code, nil
}

// handOver returns a file with data that a program which is executed inherits.
func handOver(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("topology", 0)
	if err != nil {
		return nil, fmt.Errorf("a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "topology")
	if _, err := file.Write(data); err != nil {
		file.Close()
		return nil, fmt.Errorf("a file in memory: %w", err)
	}
	return file, nil
}

// become replaces this process with a program.
func become(program string, args []string) (int, error) {
	return 0, unix.Exec(program, args, os.Environ())
}
