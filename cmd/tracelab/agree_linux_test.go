package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// The same topology gives the same hops in memory and when a program runs in
// it, for the same flow. Those in which chance decides are left out.
func TestMemoryAndRunAgree(t *testing.T) {
	requireLab(t)
	tracer := filepath.Join(t.TempDir(), "tracewire")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", tracer, "../tracewire").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	chance := map[string]bool{"lossy": true, "per-packet": true, "limits": true}
	compared := 0
	for _, name := range topologies.Names() {
		if chance[name] {
			continue
		}
		data, err := topologies.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		top, err := topology.Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, dst := range targets(top) {
			compared++
			t.Run(name+"/"+dst.String(), func(t *testing.T) {
				if d := cmp.Diff(inMemory(t, top, dst), inLab(t, name, tracer, dst)); d != "" {
					t.Error(d)
				}
			})
		}
	}
	if compared < 12 {
		t.Errorf("only %d destinations were compared", compared)
	}
}

// targets are a topology's IPv4 destinations, and one of each of its prefixes.
func targets(top *topology.Topology) (all []netip.Addr) {
	for _, d := range top.Destinations {
		for _, a := range d.Addresses {
			if a.Is4() {
				all = append(all, a)
			}
		}
	}
	for _, p := range top.Prefixes {
		if p.Prefix.Addr().Is4() {
			all = append(all, p.Prefix.Addr().Next().Next())
		}
	}
	return all
}

const seed, port = 11, 50123

// inMemory traces in virtual time, and returns who answered, hop by hop.
func inMemory(t *testing.T, top *topology.Topology, dst netip.Addr) (hops [][]string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network, err := capturetest.Simulate(top)
		if err != nil {
			t.Fatal(err)
		}
		conn := network.Conn(capturetest.Host{})
		p, err := tracewire.Trace(t.Context(), dst.String(), &tracewire.Options{
			Seed: seed, SrcPort: port, MaxTTL: 20, Wait: path.Wait{Max: 300 * time.Millisecond},
			Dial: func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
				h := conn.Host()
				return &tracewire.Wire{Conn: conn, Port: port, Source: path.Source{Addr: h.Addr, MAC: h.MAC, NextHopMAC: h.GatewayMAC}}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range p.Hops() {
			var from []string
			for _, probe := range h.Probes {
				if probe.Reply != nil {
					from = append(from, probe.Reply.From.String())
				}
			}
			hops = append(hops, distinct(from))
		}
	})
	return hops
}

// inLab is inMemory for the program under tracelab run.
func inLab(t *testing.T, name, tracer string, dst netip.Addr) (hops [][]string) {
	t.Helper()
	out, err := exec.Command(program(t), "run", name, "--", tracer, "-n", "-m", "20", "-w", "0.3", "--seed", "11", "--sport", "50123",
		"--format", "json", dst.String()).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var p struct {
		Hops []struct {
			Probes []struct{ Reply *struct{ From string } }
		}
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, h := range p.Hops {
		var from []string
		for _, probe := range h.Probes {
			if probe.Reply != nil {
				from = append(from, probe.Reply.From)
			}
		}
		hops = append(hops, distinct(from))
	}
	return hops
}

func distinct(all []string) []string {
	seen, once := map[string]bool{}, []string{}
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}
