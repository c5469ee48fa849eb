package route_test

import (
	"os"
	"testing"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

func TestMain(m *testing.M) { os.Exit(kernelnet.Wrap(m).Run()) }
