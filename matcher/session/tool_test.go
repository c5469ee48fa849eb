package session_test

import (
	"testing"

	"github.com/google/gopacket/layers"
)

// A single reply shows no habit of the program that sent the probe: a router's probes
// are as short as those of a program that has a name.
func TestOneReplyNamesNoProgram(t *testing.T) {
	for name, p := range map[string]packet{
		"a datagram without data, as IOS sends": {src: host, dst: server, protocol: layers.IPProtocolUDP, ttl: 3, id: 7, sport: 49156, dport: 33436},
	} {
		t.Run(name, func(t *testing.T) {
			var c tape
			c.raw(about(router(3), exceeded, p))
			all := find(c.frames)
			if len(all) != 1 || all[0].Tool != "" {
				t.Fatalf("%d traces, %+v", len(all), all)
			}
		})
	}
}
