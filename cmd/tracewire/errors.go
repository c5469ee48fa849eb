package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/craft/route"
)

// The rules for what is said to people: an error is one line on stderr, which
// begins with the program's name, says what is wrong, and ends with what to
// do about it where that is known. Libraries return errors; hints are added
// here and nowhere else.

// The exit codes. They are part of the interface.
const (
	exitOK        = 0 // the trace ran, whether it reached its target or not
	exitSystem    = 1 // the system doesn't let it run: permission, route, interface
	exitUsage     = 2 // the command line is wrong, or the host is not known
	exitUnreached = 3 // with --fail-unreached: the target did not answer
	exitDiffer    = 1 // of diff, which has 2 for all that goes wrong
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errUnreached is not an error to tell anybody about: the output has said it.
var errUnreached = errors.New("the target was not reached")

// report says what went wrong, if anything did, and returns the exit code.
func report(stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUnreached):
		return exitUnreached
	case errors.Is(err, errDiffer):
		return exitDiffer
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "tracewire: interrupted before anything was sent")
		return exitSystem
	}
	line := strings.ReplaceAll(plain(err), "\n", "; ")
	if hint := hint(err); hint != "" {
		line += ": " + hint
	}
	fmt.Fprintf(stderr, "tracewire: %s\n", line)
	return exitCode(err)
}

// plain is an error's text without the names of our packages.
func plain(err error) string {
	text := err.Error()
	for _, prefix := range []string{"tracewire: ", "capture: ", "route: ", "craft: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

func exitCode(err error) int {
	var (
		usage   usageError
		unknown *net.DNSError
		mtu     *tracewire.MTUError
	)
	switch {
	case errors.As(err, new(diffError)), errors.As(err, &usage), errors.As(err, &unknown), errors.As(err, &mtu),
		errors.Is(err, tracewire.ErrOptions), errors.Is(err, tracewire.ErrTarget), errors.Is(err, route.ErrBroadcast):
		return exitUsage
	}
	return exitSystem
}

// hint is what to do about an error, or "".
func hint(err error) string {
	switch {
	case errors.Is(err, capture.ErrPermission):
		return permissionHint()
	case errors.Is(err, capture.ErrGone), errors.Is(err, route.ErrInterface):
		return "'ip -brief link' lists the interfaces"
	case errors.Is(err, capture.ErrDown), errors.Is(err, route.ErrDown):
		return "'ip link set dev … up' sets it up"
	case errors.Is(err, route.ErrNoRoute):
		return "'ip route' lists the routes"
	case errors.Is(err, route.ErrNoAddress):
		return "'ip address add … dev …' gives it one"
	case errors.Is(err, route.ErrSource):
		return "'ip -brief address' lists the addresses"
	case errors.Is(err, route.ErrNeighbour):
		return "is it up, and on that link?"
	case errors.Is(err, route.ErrLocal), errors.Is(err, route.ErrLink):
		return "tracing there is not supported yet"
	case errors.As(err, new(usageError)):
		return "see 'tracewire --help'"
	}
	return ""
}

// permissionHint names the commands that give this very program the right to
// capture.
func permissionHint() string {
	program, err := os.Executable()
	if err != nil {
		program = "tracewire"
	}
	return fmt.Sprintf("grant it once with 'sudo setcap cap_net_raw+ep %s', or run 'sudo %s …'", program, program)
}
