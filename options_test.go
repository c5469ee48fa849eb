package tracewire_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/matcher/path"
)

func TestOptionsAreChecked(t *testing.T) {
	tests := map[string]tracewire.Options{
		"max below first":   {FirstTTL: 5, MaxTTL: 4},
		"default max below": {FirstTTL: 31},
		"negative first":    {FirstTTL: -1},
		"TTL of 256":        {MaxTTL: 256},
		"too many queries":  {Queries: tracewire.MaxQueries + 1},
		"no time to wait":   {Wait: path.Wait{Here: 3}},
		"negative interval": {Interval: -1},
		"port":              {DstPort: 65536},
		"too short":         {Length: tracewire.MinLength - 1},
		"IPv6 source":       {Source: netip.IPv6Loopback()},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := tracewire.Trace(t.Context(), target.String(), &o); !errors.Is(err, tracewire.ErrOptions) {
				t.Error(err)
			}
		})
	}
}

func TestTargetsAreChecked(t *testing.T) {
	for _, addr := range []string{"0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255"} {
		if _, err := tracewire.Trace(t.Context(), addr, nil); !errors.Is(err, tracewire.ErrTarget) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestPacketLongerThanTheMTU(t *testing.T) {
	o := tracewire.Options{Length: 1501}
	trace(t, eight(), capturetest.Host{}, o, nil, func(l *lab, p *path.Path, err error) {
		if e, ok := errors.AsType[*tracewire.MTUError](err); !ok || e.MTU != 1500 {
			l.Error(err)
		}
	})
}
