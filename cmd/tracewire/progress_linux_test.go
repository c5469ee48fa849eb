package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/kernelnet"
)

// terminal returns both ends of a terminal: what is written to tty is read from
// the other.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		kernelnet.Lacking(t, "no terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// shows is what has been written to a terminal since it was last asked for: all
// that comes out before a mark that goes in behind it.
func shows(t *testing.T, screen, tty *os.File) string {
	t.Helper()
	const mark = "\x00"
	if _, err := tty.WriteString(mark); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for b := make([]byte, 4096); !bytes.HasSuffix(got, []byte(mark)); {
		n, err := screen.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	return strings.TrimSuffix(string(got), mark)
}

func TestProgressOnATerminal(t *testing.T) {
	screen, tty := terminal(t)
	file, err := capture.OpenFile(captures + "peers/twice-chain.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	synctest.Test(t, func(t *testing.T) {
		p := newProgress(tty, file)
		out := p.beside(tty)
		time.Sleep(patience - time.Millisecond)
		fmt.Fprint(out, "early")
		if got := shows(t, screen, tty); got != "early" {
			t.Errorf("before a second is over: %q", got)
		}

		time.Sleep(redraw)
		synctest.Wait()
		if got := shows(t, screen, tty); !strings.HasPrefix(got, erase+"reading ") || strings.Contains(got, "\n") {
			t.Errorf("after it: %q", got)
		}

		fmt.Fprint(out, "one")
		fmt.Fprint(out, "two")
		if got := shows(t, screen, tty); got != erase+"onetwo" {
			t.Errorf("output beside the bar: %q", got)
		}

		time.Sleep(redraw)
		synctest.Wait()
		shows(t, screen, tty)
		p.stop()
		if got := shows(t, screen, tty); got != erase {
			t.Errorf("at the end: %q", got)
		}
	})
}

// What is not a terminal sees no bar, however long it takes.
func TestNoProgressWithoutATerminal(t *testing.T) {
	file, err := capture.OpenFile(captures + "peers/twice-chain.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		p := newProgress(&stderr, file)
		time.Sleep(10 * patience)
		fmt.Fprint(p.beside(&stderr), "out")
		p.stop()
		if stderr.String() != "out" {
			t.Errorf("%q", stderr.String())
		}
	})
}
