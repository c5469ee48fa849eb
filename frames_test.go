package tracewire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher/path"
)

// slot is which probe of a trace a frame is.
type slot struct {
	ttl   uint8
	round int
}

// crafted are the frames that Frames builds.
func crafted(t testing.TB, dst netip.Addr, w *tracewire.Wire, o tracewire.Options) map[slot]string {
	t.Helper()
	p, frames, err := tracewire.Frames(dst, w, &o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Seed != 0 && p.Seed != o.Seed {
		t.Errorf("seed %d became %d", o.Seed, p.Seed)
	}
	all := map[slot]string{}
	for c, err := range frames {
		if err != nil {
			t.Fatal(err)
		}
		all[slot{c.Probe.TTL, c.Probe.Round}] = string(c.Frame)
	}
	return all
}

// What is built without sending is what is sent, to the byte.
func TestFramesAreThoseThatATraceSends(t *testing.T) {
	for name, o := range map[string]tracewire.Options{
		"defaults":   {},
		"everything": {FirstTTL: 2, MaxTTL: 12, Queries: 5, DstPort: 53, ID: 65530, Length: 1400, TOS: 0xb8, DF: true, InFlight: 3},
		"shortest":   {Length: tracewire.MinLength, Queries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var wire *tracewire.Wire
			trace(t, eight(), capturetest.Host{Keep: true}, o, func(l *lab) {
				wire, _ = l.dial(l.ctx, target, nil)
			}, func(l *lab, p *path.Path, err error) {
				if err != nil {
					t.Fatal(err)
				}
				o.Seed = 1
				built, sent := crafted(t, target, wire, o), l.conn.Sent()
				if len(sent) != len(p.Probes) || len(sent) == 0 {
					t.Fatalf("%d frames of %d probes", len(sent), len(p.Probes))
				}
				for i, probe := range p.Probes {
					if d := cmp.Diff(built[slot{probe.TTL, probe.Round}], string(sent[i])); d != "" {
						t.Errorf("TTL %d, round %d: -built +sent\n%s", probe.TTL, probe.Round, d)
					}
				}
				if most := (int(p.Parameters.MaxTTL) - int(p.Parameters.FirstTTL) + 1) * p.Parameters.Queries; len(built) != most {
					t.Errorf("%d frames were built, %d are the most that a trace sends", len(built), most)
				}
			})
		})
	}
}

// Whoever does not say from which port gets the one that a trace tries first.
func TestFramesOfASeedAreTheSame(t *testing.T) {
	wire := &tracewire.Wire{Source: path.Source{Addr: netip.MustParseAddr("192.0.2.1")}}
	first := crafted(t, target, wire, tracewire.Options{Seed: 7})
	if d := cmp.Diff(first, crafted(t, target, wire, tracewire.Options{Seed: 7})); d != "" {
		t.Error(d)
	}
	for at, other := range crafted(t, target, wire, tracewire.Options{Seed: 8}) {
		if first[at] == other {
			t.Errorf("another seed gives the same frame at %v", at)
		}
	}
}

func TestFramesRefuse(t *testing.T) {
	source := path.Source{Addr: netip.MustParseAddr("192.0.2.1")}
	half := source
	half.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	tests := map[string]struct {
		dst  string
		wire tracewire.Wire
		o    tracewire.Options
		want error
	}{
		"a bad option":      {target.String(), tracewire.Wire{Source: source}, tracewire.Options{Queries: 11}, tracewire.ErrOptions},
		"a bad target":      {"224.0.0.1", tracewire.Wire{Source: source}, tracewire.Options{}, tracewire.ErrTarget},
		"more than the MTU": {target.String(), tracewire.Wire{Source: source, MTU: 1000}, tracewire.Options{Length: 1001}, nil},
		"half a link":       {target.String(), tracewire.Wire{Source: half}, tracewire.Options{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, frames, err := tracewire.Frames(netip.MustParseAddr(test.dst), &test.wire, &test.o)
			if err == nil || frames != nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// framesOf are the frames of a capture.
func framesOf(t testing.TB, r io.Reader) (all [][]byte) {
	t.Helper()
	file, err := capture.NewFile(r, "recording")
	if err != nil {
		t.Fatal(err)
	}
	for f, err := range file.Frames(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !f.IsWatermark() {
			all = append(all, bytes.Clone(f.Data))
		}
	}
	return all
}
