package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/tracewire/tracewire/cmd/internal/render"
)

// The rules for what is said to people: an error is one line on stderr, which
// begins with the program's name, says what is wrong, and ends with what to
// do about it where that is known. Only check's findings are as many lines as
// there are, which begin with the place in the file, as a compiler's do.
// Libraries return errors; hints are added here and nowhere else.

// The exit codes. They are part of the interface. Those of run leave the ones
// below them to the command, as env(1) does.
const (
	exitOK         = 0
	exitFailed     = 1   // a topology has faults, or a file cannot be read or written
	exitUsage      = 2   // the command line is wrong
	exitRun        = 125 // run itself failed: the command was not started
	exitCannotRun  = 126 // the command was found, but cannot be run
	exitNotFound   = 127 // the command was not found
	exitSignalBase = 128 // and the number of the signal that killed the command
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends the program with a code. Its error, if any, is told as others
// are.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

// hinted is an error and what to do about it.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// faults are all that is wrong with topologies, a line each.
type faults struct{ error }

func (e faults) Unwrap() error { return e.error }

// report says what went wrong, if anything did, and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitFailed
	if errors.As(err, new(usageError)) {
		code = exitUsage
	}
	var exit exitError
	if errors.As(err, &exit) {
		code = exit.code
		if exit.error == nil {
			return code
		}
	}
	stderr = render.Lines(stderr) // errors quote what others wrote
	if errors.As(err, new(faults)) {
		fmt.Fprintln(stderr, err)
		return code
	}
	line := strings.ReplaceAll(plain(err), "\n", "; ")
	if hint := hint(err); hint != "" {
		line += ": " + hint
	}
	fmt.Fprintf(stderr, "tracelab: %s\n", render.Printable(line))
	return code
}

// plain is an error's text without the names of our packages.
func plain(err error) string {
	text := err.Error()
	for _, prefix := range []string{"topology: ", "topologies: ", "simulate: ", "wire: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// hint is what to do about an error, or "".
func hint(err error) string {
	var h hinted
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.Is(err, syscall.EMFILE):
		return "'ulimit -n 1024' lets it open more"
	case errors.As(err, new(usageError)):
		return "see 'tracelab --help'"
	case errors.As(err, new(unknownTopology)):
		return "'tracelab list' shows the topologies that need no file"
	}
	return ""
}
