package render_test

import (
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire/matcher/path"
)

// An echo has no ports, so neither has its side of a diff; and where the sorts of
// probes differ, that is why they went other ways.
func TestDiffOfAnEcho(t *testing.T) {
	echo := rerouted()
	echo.Protocol, echo.Parameters.SrcPort, echo.Parameters.DstPort = layers.IPProtocolICMPv4, 7, 0
	changes := path.Diff(plain(), echo, nil)
	if text := compared(t, "text", plain(), echo, changes); strings.Contains(text, "ports differ") {
		t.Error(text)
	}
	text := compared(t, "json", plain(), echo, changes)
	if !strings.Contains(text, `"src_port":null,"dst_port":null`) {
		t.Error(text)
	}
}
