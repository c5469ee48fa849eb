package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tracewire/tracewire/capture/kernelnet"
)

// What this host loses while a trace runs is said on stderr and in the document,
// and once more by the replay.
func TestWhatThisHostLosesIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		lose        func(c *kernelnet.Chain)
		code        int
		note, cause string
	}{
		"carrier": {func(c *kernelnet.Chain) {
			far := c.Links[0].B
			far.Node.Run("ip", "link", "set", "dev", far.Interface, "down")
		}, exitOK, "tracewire: 10.99.0.1: the link of eth0 was lost for ", `"cause":"no-carrier"`},
		"address": {func(c *kernelnet.Chain) {
			c.Host().Run("ip", "address", "flush", "dev", c.Links[0].A.Interface)
		}, exitSystem, "tracewire: 10.99.0.1: 10.77.1.1 was removed from eth0: ", `"cause":"address-removed"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := kernelnet.NewChain(t, 4, nil)
			c.Routers[2].Nft(rule("output", "icmp type time-exceeded drop"))
			file := filepath.Join(t.TempDir(), "run.pcapng")
			cmd, _ := start(t, "-n", "-w", "3", "--write", file, "--format", "json", "10.99.0.1")
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			await := probesOf(t, c)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await()
			test.lose(c)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d", code)
			}
			if text := said.String(); !strings.HasPrefix(text, test.note) {
				t.Errorf("said: %s", text)
			}
			if text := out.String(); !strings.Contains(text, test.cause) || !strings.Contains(text, `"kind":"capture-loss"`) {
				t.Errorf("%s", text)
			}
			again := exec.Command(cmd.Path, "replay", "-n", "--format", "json", file)
			var outAgain, saidAgain bytes.Buffer
			again.Stdout, again.Stderr = &outAgain, &saidAgain
			if err := again.Run(); err != nil || outAgain.String() != out.String() || saidAgain.String() != said.String() {
				t.Errorf("replayed: %v\n%s%s", err, &outAgain, &saidAgain)
			}
		})
	}
}
