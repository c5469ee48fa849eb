package scripttest

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// lastSignal is the highest number of a signal on any system.
const lastSignal = 64

// WithDefaultSignals returns an m whose tests start programs with the default
// handling of all signals. Otherwise those that are ignored would be ignored by the
// programs too: SIGHUP under nohup, SIGINT and SIGQUIT in the background of a shell,
// SIGPIPE below many a program. The test process goes on to ignore them.
func WithDefaultSignals(m testscript.TestingM) testscript.TestingM { return withDefaultSignals{m} }

type withDefaultSignals struct{ testscript.TestingM }

// Run implements testscript.TestingM.
func (m withDefaultSignals) Run() int {
	dropped := make(chan os.Signal, 1)
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		if signal.Ignored(s) {
			signal.Notify(dropped, s) // what is caught is not ignored by what is executed
		}
	}
	return m.TestingM.Run()
}
