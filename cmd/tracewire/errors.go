package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/craft/route"
)

// The rules for what is said to people: an error is one line on stderr, which
// begins with the program's name, says what is wrong, and ends with what to
// do about it where that is known. Libraries return errors; hints are added
// here and nowhere else.

// The exit codes. They are part of the interface.
const (
	exitOK        = 0 // the trace ran, whether it reached its target or not
	exitSystem    = 1 // the system doesn't let it run, or a capture can't be read to its end
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

// errEarly ends a trace that was interrupted before its first probe.
var errEarly = errors.New("interrupted before anything was sent")

// errOutput is that the output is not complete: people were told why when it
// happened.
var errOutput = errors.New("the output is not complete")

// errTold is an error that people were told of when it happened.
var errTold = errors.New("a capture could not be read")

// hostError is the error of one of several hosts, that people were told of in its
// place.
type hostError struct{ error }

func (e hostError) Unwrap() error { return e.error }

// errorOf is an error of something with a name: of a capture, or a host.
type errorOf struct {
	name string
	error
}

func (e errorOf) Error() string { return e.name + ": " + strings.Join(plain(e.error), "; ") }

func (e errorOf) Unwrap() error { return e.error }

// printError prints what went wrong in a command, if anything did, and returns the exit
// code.
func printError(stderr io.Writer, command string, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUnreached):
		return exitUnreached
	case errors.Is(err, errDiffer):
		return exitDiffer
	case errors.Is(err, errTold), errors.Is(err, errRecording), errors.Is(err, errOutput):
		return exitSystem
	case errors.As(err, new(hostError)):
		return exitCode(err)
	}
	complain(stderr, command, err)
	return exitCode(err)
}

// complain writes the line that an error is to people. It may quote what others
// wrote, such as the name of a file or of a host: that is shown escaped.
func complain(stderr io.Writer, command string, err error) {
	line := strings.Join(plain(err), "; ")
	if hint := hint(command, err); hint != "" {
		line += ": " + hint
	}
	fmt.Fprintf(stderr, "tracewire: %s\n", render.Printable(line))
}

// plain is an error's text without the names of our packages: the text of each
// error that was joined, once.
func plain(err error) (texts []string) {
	if errors.Is(err, context.Canceled) {
		return []string{"interrupted"}
	}
	for text := range strings.SplitSeq(err.Error(), "\n") {
		for _, prefix := range []string{"tracewire: ", "capture: ", "frame: ", "route: ", "craft: ", "privilege: ", "netns: "} {
			text = strings.TrimPrefix(text, prefix)
			text = strings.ReplaceAll(text, ": "+prefix, ": ")
		}
		text = strings.TrimSuffix(text, ": unexpected EOF") // "truncated" has said it
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
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

// hint is what to do about an error in a command, or "".
func hint(command string, err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "'ulimit -n 1024' lets it open more"
	case errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, new(temporaryError)):
		return "TMPDIR names another directory"
	case errors.As(err, new(noNeighbour)):
		return "--next-hop-mac builds the frames without asking for its address"
	case errors.As(err, new(noWay)) && wayHint(err) != "":
		return wayHint(err)
	case errors.Is(err, netns.ErrPermission):
		return "root may enter it, as with 'sudo'"
	case errors.Is(err, route.ErrNoMAC):
		return "leave --next-hop-mac away"
	case errors.Is(err, capture.ErrPermission):
		return permissionHint()
	case errors.Is(err, tracewire.ErrPrivilege):
		return "see 'tracewire help privileges'"
	case errors.Is(err, capture.ErrGone), errors.Is(err, route.ErrInterface):
		return "'ip -brief link' lists the interfaces"
	case errors.Is(err, capture.ErrDown), errors.Is(err, route.ErrDown):
		return "'ip link set dev … up' sets it up"
	case errors.Is(err, route.ErrNoRoute):
		return "'ip route' and 'ip -6 route' list the routes"
	case errors.Is(err, route.ErrNoAddress):
		return "'ip address add … dev …' gives it one"
	case errors.Is(err, route.ErrSource):
		return "'ip -brief address' lists the addresses"
	case errors.Is(err, route.ErrNetlink):
		return "let AF_NETLINK sockets pass in this container or sandbox, or trace from its host"
	case errors.Is(err, tracewire.ErrPort):
		return "choose another with --sport"
	case errors.Is(err, route.ErrNeighbour):
		return "is it up, and on that link?"
	case errors.As(err, new(*net.DNSError)): // one that says that there is no such name is not wrapped
		return "give its address, or look at /etc/resolv.conf"
	case errors.As(err, new(usageError)):
		return fmt.Sprintf("see '%s --help'", command)
	}
	return ""
}

// wayHint is what to do where craft finds no way for its frames, or "" if that is the same
// as for a trace: an interface that is missing or down, for instance.
func wayHint(err error) string {
	const given = "--source, --source-mac and --next-hop-mac together"
	switch {
	case errors.Is(err, route.ErrNoRoute):
		return "'ip route' and 'ip -6 route' list the routes; " + given + " build frames without one"
	case errors.Is(err, route.ErrSource):
		return "'ip -brief address' lists the addresses; " + given + " build frames of another machine"
	case errors.Is(err, route.ErrNoAddress):
		return "'ip address add … dev …' gives it one; " + given + " build frames without"
	case errors.Is(err, route.ErrNetlink), errors.Is(err, route.ErrUnsupported), errors.Is(err, route.ErrLink):
		return given + " build frames all the same"
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
