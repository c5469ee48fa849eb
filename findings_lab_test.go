package tracewire_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher/findings"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// simulated traces through a topology in virtual time. What o doesn't say is
// fixed.
func simulated(t *testing.T, top *topology.Topology, dst netip.Addr, o tracewire.Options) (p *path.Path) {
	t.Helper()
	const port = 50123
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.Simulate(top)
		if err != nil {
			t.Fatal(err)
		}
		conn := network.Conn(capturetest.Host{})
		if o.Seed == 0 {
			o.Seed = 11
		}
		if o.MaxTTL == 0 {
			o.MaxTTL = 20
		}
		o.SrcPort = port
		o.Wait = path.Wait{Max: 500 * time.Millisecond}
		o.Dial = func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
			h := conn.Host()
			return &tracewire.Wire{Conn: conn, Port: port, Source: path.Source{Addr: h.Addr, MAC: h.MAC, NextHopMAC: h.GatewayMAC}}, nil
		}
		if p, err = tracewire.Trace(t.Context(), dst, &o); err != nil {
			t.Fatal(err)
		}
	})
	return p
}

// shipped is one of the topologies that tracewire comes with.
func shipped(t *testing.T, name string) *topology.Topology {
	t.Helper()
	data, err := topologies.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// placedKinds are findings as tests list them: kind, hops, confidence.
func placedKinds(t *testing.T, all []findings.Finding) []string {
	found := []string{}
	for _, f := range all {
		t.Logf("%v  %v", f.String(), f.Evidence)
		found = append(found, fmt.Sprintf("%v %d-%d %v", f.Kind, f.HopFrom, f.HopTo, f.Confidence))
	}
	return found
}

func TestShippedTopologies(t *testing.T) {
	for _, name := range topologies.Names() {
		top := shipped(t, name)
		var dsts []netip.Addr
		for _, d := range top.Destinations {
			dsts = append(dsts, d.Addresses[0])
		}
		for _, p := range top.Prefixes {
			if p.Prefix.Addr().Is4() {
				dsts = append(dsts, p.Prefix.Addr().Next().Next())
			}
		}
		for _, dst := range dsts {
			t.Run(name+"/"+dst.String(), func(t *testing.T) {
				p := simulated(t, top, dst, tracewire.Options{})
				for _, h := range p.Hops() {
					line := fmt.Sprint(h.TTL)
					for _, probe := range h.Probes {
						if probe.Reply == nil {
							line += " *"
						} else {
							line += fmt.Sprintf(" %v[%v q%d t%d]", probe.Reply.From, probe.Reply.Kind, probe.Reply.Quoted.TTL, probe.Reply.TTL)
						}
					}
					t.Log(line)
				}
				placedKinds(t, findings.Of(p))
			})
		}
	}
}
