package annotate_test

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/tracewire/tracewire/cmd/internal/annotate"
)

// net.Resolver.LookupAddr: "If the response contains invalid names, those
// records are filtered out and an error will be returned alongside the
// remaining results, if any."
func TestTheValidNameBesideAnInvalidOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := annotate.NewNames(&resolver{
			names: map[netip.Addr][]string{addrA: {"router.example."}},
			err:   &net.DNSError{Err: "DNS response contained records which contain invalid names"},
		})
		defer n.Close()
		if d := cmp.Diff(map[netip.Addr]string{addrA: "router.example"}, n.Wait([]netip.Addr{addrA}), equal); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	})
}
