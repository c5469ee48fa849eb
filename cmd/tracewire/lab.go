package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/cmd/internal/annotate"
	"github.com/tracewire/tracewire/cmd/internal/simulated"
)

// resolver looks up the addresses of hosts, as net.Resolver does.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lab is the simulated network that this process traces through instead of the
// system's. A nil *lab is the system's network.
type lab struct{ host *simulated.Host }

// openLab returns the lab that tracelab asks for where it can make no namespaces:
// simulated.Variable has the number of the open file with its topology. Without
// the variable it returns nil. The lab must be closed.
func openLab() (*lab, error) {
	text, ok := os.LookupEnv(simulated.Variable)
	if !ok {
		return nil, nil
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, usagef("%s is for tracelab to set, and %q is not the number of an open file", simulated.Variable, text)
	}
	file := os.NewFile(uintptr(number), simulated.Variable)
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<30))
	if err != nil {
		return nil, fmt.Errorf("the topology that tracelab hands over: %w", err)
	}
	t, err := topology.Parse("topology", data)
	if err != nil {
		return nil, err
	}
	host, err := simulated.New(t)
	if err != nil {
		return nil, err
	}
	return &lab{host}, nil
}

func (l *lab) close() {
	if l != nil {
		l.host.Close()
	}
}

// dial is what Options.Dial is to be.
func (l *lab) dial() func(context.Context, netip.Addr, *tracewire.Options) (*tracewire.Wire, error) {
	if l == nil {
		return nil
	}
	return l.host.Dial
}

// resolver is who knows the addresses of hosts.
func (l *lab) resolver() resolver {
	if l == nil {
		return net.DefaultResolver
	}
	return l.host
}

// namer is who knows the names of addresses; nil is the system's resolver.
func (l *lab) namer() annotate.Resolver {
	if l == nil {
		return nil
	}
	return l.host
}
