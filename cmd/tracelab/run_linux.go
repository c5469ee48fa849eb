package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture/capturetest/simulate"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/cmd/internal/resolver"
	"github.com/tracewire/tracewire/cmd/tracelab/internal/namespace"
	"github.com/tracewire/tracewire/cmd/tracelab/internal/wire"
)

// runIn runs the lab's command in its network, and returns an exitError unless
// the command's exit code is 0. This program runs twice: outside, where it
// waits, and inside, where the network and the command are.
func runIn(l lab, stdin io.Reader, stdout, stderr io.Writer) error {
	t, err := loadOne(l.topology)
	if err != nil {
		return exitError{exitRun, err}
	}
	var code int
	if room := namespace.Inside(); room != nil {
		code, err = l.inside(room, t, stderr)
	} else {
		code, err = launch(stdin, stdout, stderr)
		if l.standsIn(err) {
			code, err = l.standIn(err, stderr, become)
		}
	}
	if errors.Is(err, namespace.ErrForbidden) {
		err = hinted{err, namespace.Remedy()}
	}
	switch {
	case errors.As(err, new(exitError)):
		return err
	case err != nil:
		return exitError{exitRun, err}
	case code != 0:
		return exitError{code: code}
	}
	return nil
}

// launch hands the process's own files on: a terminal stays one.
func launch(stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	in, okIn := stdin.(*os.File)
	out, okOut := stdout.(*os.File)
	errs, okErr := stderr.(*os.File)
	if !okIn || !okOut || !okErr {
		return 0, errors.New("run needs files for its input and output")
	}
	return namespace.Launch(in, out, errs)
}

// inside is run as process 1 of the namespaces.
func (l lab) inside(room *namespace.Room, t *topology.Topology, stderr io.Writer) (int, error) {
	program, err := look(l.command[0])
	if err != nil {
		return 0, err
	}
	full := t.WithDefaults()
	network, err := simulate.New(t)
	if err != nil {
		return 0, err
	}
	w, names, err := connect(room, &full, network)
	switch {
	case l.standsIn(err):
		return l.standIn(err, stderr, room.Exec)
	case err != nil:
		return 0, err
	}
	code, err := room.Exec(program, l.command)
	if err != nil {
		return 0, exitError{exitCannotRun, fmt.Errorf("%s cannot be run: %w", l.command[0], err)}
	}
	_ = names.Close() // nobody is left to ask
	counts := w.Close()
	if l.stats {
		tell(stderr, counts, network.Stats())
	} else if counts.Overrun > 0 {
		fmt.Fprintf(stderr, "tracelab: %d frames came too fast for the simulated network, and were lost: what they would have drawn is missing\n", counts.Overrun)
	}
	return code, nil
}

// connect makes the command's host, and connects it to a network. The errors wrap
// ErrForbidden or a noRoom.
func connect(room *namespace.Room, t *topology.Topology, network *simulate.Network) (*wire.Wire, *resolver.Server, error) {
	if err := room.Furnish(files()); err != nil {
		return nil, nil, err
	}
	// A pause is a packet late; there is little that lives long.
	debug.SetGCPercent(400)
	w, err := wire.Open(t, network)
	if err != nil {
		return nil, nil, fmt.Errorf("the host's interface: %w", noRoom{err})
	}
	names, err := resolver.Serve("127.0.0.1:53", t)
	if err != nil {
		w.Close()
		return nil, nil, fmt.Errorf("the resolver: %w", noRoom{err})
	}
	return w, names, nil
}

// look finds a command as a shell does.
func look(command string) (string, error) {
	program, err := exec.LookPath(command)
	switch {
	case err == nil:
		return program, nil
	case errors.Is(err, os.ErrPermission):
		return "", exitError{exitCannotRun, fmt.Errorf("%s cannot be run: permission denied", command)}
	case errors.Is(err, exec.ErrDot):
		return "", exitError{exitNotFound, hinted{fmt.Errorf("%s: command not found", command), "for the one in this directory write ./" + command}}
	case errors.Is(err, unix.EISDIR):
		return "", exitError{exitCannotRun, fmt.Errorf("%s cannot be run: it is a directory", command)}
	case strings.Contains(command, "/"):
		return "", exitError{exitNotFound, fmt.Errorf("%s: command not found: there is no such file", command)}
	}
	return "", exitError{exitNotFound, hinted{fmt.Errorf("%s: command not found", command), "is it installed, and in PATH?"}}
}

// files are those that have a program ask our resolver, and only it.
func files() []namespace.File {
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	if name, err := os.Hostname(); err == nil {
		hosts += "127.0.1.1 " + name + "\n"
	}
	return []namespace.File{
		{Name: "/etc/resolv.conf", Text: "nameserver 127.0.0.1\n"},
		{Name: "/etc/hosts", Text: hosts},
		{Name: "/etc/nsswitch.conf", Text: "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"},
	}
}

// tell says what the network has carried.
func tell(w io.Writer, c wire.Counts, s simulate.Stats) {
	fmt.Fprintf(w, "tracelab: carried %d packets, of which %d malformed, %d to nowhere and %d lost on links; sent %d replies; "+
		"dropped %d frames that were malformed, %d that nobody takes and %d that came too fast\n",
		s.Carried, s.Malformed, s.Unrouted, s.Lost, c.Replies, c.Malformed, c.Ignored, c.Lost)
}
