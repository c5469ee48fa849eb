package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names answers what a resolver that asks the Server does.
func TestNamesAgreeWithServer(t *testing.T) {
	topo := parse(t)
	s, err := Serve("127.0.0.1:0", topo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asking := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr())
	}}
	names := NewNames(topo)
	for _, host := range []string{"end.example.", "Gateway.EXAMPLE.", "r2.", "nosuch.example."} {
		for _, network := range []string{"ip", "ip4", "ip6"} {
			got, err := names.LookupNetIP(t.Context(), network, host)
			want, wantErr := asking.LookupNetIP(t.Context(), network, host)
			if d := cmp.Diff(fmt.Sprint(want, isNotFound(wantErr)), fmt.Sprint(got, isNotFound(err))); d != "" {
				t.Errorf("%s in %s: %s", host, network, d)
			}
		}
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "10.0.0.98", "10.0.0.2", "10.9.9.9"} {
		got, err := names.LookupAddr(t.Context(), addr)
		want, wantErr := asking.LookupAddr(t.Context(), addr)
		if d := cmp.Diff(fmt.Sprint(want, isNotFound(wantErr)), fmt.Sprint(got, isNotFound(err))); d != "" {
			t.Errorf("%s: %s", addr, d)
		}
	}
}

func isNotFound(err error) bool {
	unknown, ok := errors.AsType[*net.DNSError](err)
	return ok && unknown.IsNotFound
}
