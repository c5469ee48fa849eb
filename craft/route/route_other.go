//go:build !linux

package route

import (
	"context"
	"net"
	"net/netip"
)

// Lookup returns ErrUnsupported: it is for Linux.
func Lookup(netip.Addr, Options) (Route, error) { return Route{}, ErrUnsupported }

// Neighbour returns ErrUnsupported: it is for Linux.
func (r Route) Neighbour(context.Context) (net.HardwareAddr, error) { return nil, ErrUnsupported }

// Receivers returns ErrUnsupported: it is for Linux.
func (r Route) Receivers() ([]string, error) { return nil, ErrUnsupported }
