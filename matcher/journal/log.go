package journal

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"sync"

	"github.com/tracewire/tracewire/capture/frame"
	"github.com/tracewire/tracewire/capture/pcapng"
	"github.com/tracewire/tracewire/matcher/path"
)

// Log writes a recording: every frame that was captured, with its direction, and
// comments that hold the other entries.
//
// Every block is written at once, so that a program which is killed leaves a
// file that can be read, cut block or not. If a block can't be written, the
// recording ends there, and the traces go on without it: Close returns why.
//
// Several captures, each on a goroutine of its own, can write to one Log: each has a
// Track. The lock of a Log is taken before any lock of theirs (see Track.Do).
type Log struct {
	mu         sync.Mutex
	file       *pcapng.Writer
	interfaces map[recorded]*interfaceCount
	frames     int
	failed     error // why nothing more is written
}

// recorded is an interface of a Log.
type recorded struct {
	name string
	link frame.LinkType
}

// interfaceCount is what the statistics of an interface say.
type interfaceCount struct {
	number int
	pcapng.Statistics
}

// NewLog begins a recording in an empty file. The program is what writes it, with its
// version.
func NewLog(w io.Writer, program string) (*Log, error) {
	file, err := pcapng.NewWriter(w, pcapng.Section{OS: runtime.GOOS, Hardware: runtime.GOARCH, Application: program})
	if err != nil {
		return nil, logError(err)
	}
	return &Log{file: file, interfaces: map[recorded]*interfaceCount{}}, nil
}

// nameRoom is how many bytes of a recording are for names: those of a hundred
// routers.
const nameRoom = 4096

// maxName is how long a name can be (RFC 1035, section 2.3.4).
const maxName = 255

// ErrLog: a recording can't be written.
var ErrLog = errors.New("tracewire: recording")

// logError says that it was the recording that failed.
func logError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrLog, err)
}

// Close writes the names of addresses, as far as they are known. It leaves it to
// the caller to close the file. If something could not be written, now or before,
// the error says why and wraps ErrLog.
func (l *Log) Close(names map[netip.Addr]string) error {
	written := make(map[netip.Addr]string, len(names))
	for addr, name := range names {
		// Whoever runs a name server may have written anything.
		if name = strings.ReplaceAll(strings.ToValidUTF8(name, "\ufffd"), "\x00", ""); name != "" && len(name) <= maxName {
			written[addr] = name
		}
	}
	if l.failed == nil && len(written) > 0 {
		l.failed = logError(l.file.WriteNames(written))
	}
	return l.failed
}

// on returns the interface that a frame is of.
func (l *Log) on(name string, link frame.LinkType) (*interfaceCount, error) {
	key := recorded{name, link}
	if known := l.interfaces[key]; known != nil {
		return known, nil
	}
	number, err := l.file.AddInterface(pcapng.Interface{Name: name, Link: link})
	if err == nil && len(l.interfaces) == 0 {
		// Behind the interface: what copies pcapng files, editcap and mergecap among
		// others, takes the link type from a description that comes first.
		err = l.file.ReserveNames(nameRoom)
	}
	if err != nil {
		return nil, err
	}
	l.interfaces[key] = &interfaceCount{number: number}
	return l.interfaces[key], nil
}

// Track returns the Track of a capture on the interfaces where traces come from. A nil
// *Log is valid and records nothing.
func (l *Log) Track(s *path.Source) *Track {
	t := &Track{log: l, devices: append([]string{s.Interface}, s.Also...), link: frame.Raw}
	if len(s.MAC) > 0 {
		t.link = frame.Ethernet
	}
	return t
}
