package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var gateways = map[netip.Addr]bool{
	netip.MustParseAddr("192.0.2.1"):   true,
	netip.MustParseAddr("2001:db8::1"): true,
}

// octets reads hexadecimal digits, between which there may be spaces.
func octets(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARP(t *testing.T) {
	const (
		request = "ffffffffffff 020000000002 0806 0001 0800 06 04 0001 020000000002 c000020a 000000000000 c0000201"
		reply   = "020000000002 020000000001 0806 0001 0800 06 04 0002 020000000001 c0000201 020000000002 c000020a"
	)
	for name, c := range map[string]struct{ frame, want string }{
		"request for a gateway":    {request, reply},
		"padded request":           {request + strings.Repeat("00", 18), reply},
		"request for another host": {strings.Replace(request, "c0000201", "c0000202", 1), ""},
		"reply":                    {strings.Replace(request, "04 0001", "04 0002", 1), ""},
		"cut short":                {request[:len(request)-2], ""},
		"not for IPv4":             {strings.Replace(request, "0800 06", "86dd 06", 1), ""},
		"header alone":             {request[:30], ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := arpReply(octets(t, c.frame), gateways)
			if d := cmp.Diff(octets(t, c.want), got, cmp.Transformer("hex", hex.EncodeToString)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNeighborDiscovery(t *testing.T) {
	const (
		host      = "20010db8 00000000 00000000 00000010"
		gateway   = "20010db8 00000000 00000000 00000001"
		multicast = "ff020000 00000000 00000001 ff000001"
		solicit   = "3333ff000001 020000000002 86dd 60000000 0020 3a ff " + host + multicast +
			"87 00 0000 00000000" + gateway + "01 01 020000000002"
		// The checksum was computed by another program.
		advertised = "020000000002 020000000001 86dd 60000000 0020 3a ff " + gateway + host +
			"88 00 0a65 e0000000" + gateway + "02 01 020000000001"
	)
	for name, c := range map[string]struct {
		frame, want string
		solicits    bool
	}{
		"for a gateway":        {solicit, advertised, true},
		"for another":          {strings.Replace(solicit, "0000"+gateway, "0000"+host, 1), "", true},
		"address detection":    {strings.Replace(solicit, "ff "+host, "ff "+strings.Repeat("00", 16), 1), "", true},
		"from another link":    {strings.Replace(solicit, "3a ff", "3a fe", 1), "", false},
		"router solicitation":  {strings.Replace(solicit, "87 00", "85 00", 1), "", false},
		"without its target":   {strings.Replace(solicit, gateway+"01 01 020000000002", "", 1), "", false},
		"another protocol":     {strings.Replace(solicit, "3a ff", "11 ff", 1), "", false},
		"IPv6 header cut":      {solicit[:60], "", false},
		"nothing but Ethernet": {solicit[:30], "", false},
	} {
		t.Run(name, func(t *testing.T) {
			frame := octets(t, c.frame)
			if got := isNeighborSolicit(frame[ethernetLen:]); got != c.solicits {
				t.Fatalf("solicitation: %v, want %v", got, c.solicits)
			}
			if !c.solicits {
				return
			}
			got := advert(frame, gateways)
			if d := cmp.Diff(octets(t, c.want), got, cmp.Transformer("hex", hex.EncodeToString)); d != "" {
				t.Error(d)
			}
		})
	}
}
