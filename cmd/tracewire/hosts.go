package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"

	"github.com/tracewire/tracewire/cmd/internal/render"
)

// network is the family that the flags ask for, as package net names it.
func (f *flags) network() string {
	switch {
	case f.ipv4:
		return "ip4"
	case f.ipv6:
		return "ip6"
	}
	return "ip"
}

// families as people call them.
var familyNames = map[string]string{"ip": "", "ip4": "IPv4 ", "ip6": "IPv6 "}

// resolve finds the address of a host in a network: of "ip" an IPv4 one if it has
// such.
func resolve(ctx context.Context, host, network string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), checkFamily(a.Unmap(), network)
	}
	if _, err := strconv.Atoi(host); err == nil || host == "" {
		return netip.Addr{}, usagef("%q is not a host", host)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.IsNotFound {
			return netip.Addr{}, usagef("unknown host %q: no %saddress is known for it", render.Printable(host), familyNames[network])
		}
		if ctx.Err() != nil {
			return netip.Addr{}, errEarly
		}
		return netip.Addr{}, usagef("no name server can be asked for %q: %w", render.Printable(host), err)
	}
	if len(found) == 0 {
		return netip.Addr{}, usagef("%q has no %saddress", render.Printable(host), familyNames[network])
	}
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	return found[0], nil
}

// checkFamily refuses an address that is not of the network, or that says too
// little.
func checkFamily(a netip.Addr, network string) error {
	switch {
	case network == "ip4" && !a.Is4():
		return usagef("%v is not an IPv4 address, as -4 asks for", a)
	case network == "ip6" && !a.Is6():
		return usagef("%v is not an IPv6 address, as -6 asks for", a)
	case a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "":
		return usagef("%v is on every link: say on which, as in %v%%eth0", a, a)
	}
	return nil
}
