package capturetest_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tracewire/tracewire/capture/capturetest"
)

// exchange injects a datagram and returns what comes back.
func exchange(t *testing.T, topology capturetest.Chain, datagram []byte) (replies []reply, quote []byte, outer []byte) {
	t.Helper()
	_, c := connect(t, topology, capturetest.Host{NoCopies: true})
	if err := c.Inject(c.Outbound(datagram)); err != nil {
		t.Fatal(err)
	}
	if got := c.Stats().Malformed; len(got) != 0 {
		t.Fatal(got)
	}
	for _, f := range capture(t, c, time.Second) {
		r, q := decode(t, f)
		replies, quote, outer = append(replies, r), q, f.Data[14:34]
	}
	return replies, quote, outer
}

func TestEightBytesOfTransportComeAfterIPOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ip := packet(t, probe(2))
		ip = append(append(bytes.Clone(ip[:20]), 1, 1, 1, 0), ip[20:]...)
		ip[0], ip[3] = 0x46, ip[3]+4
		topology := chain()
		topology.Routers[1].Quote.Length = capturetest.QuoteRFC792
		_, quote, _ := exchange(t, topology, capturetest.WithTTL(ip, 1+1))
		if want := capturetest.WithTTL(ip, 1)[:32]; !bytes.Equal(quote, want) {
			t.Errorf("quote\n%x, want\n%x", quote, want)
		}
	})
}

func TestErrorsKeepTheTypeOfService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ip := packet(t, probe(2))
		ip[1] = 0x28
		_, _, outer := exchange(t, chain(), capturetest.WithTTL(ip, 2))
		if outer[1] != 0xc8 {
			t.Errorf("TOS %#x, want 0xc8", outer[1])
		}
	})
}

func TestTTLZeroExpiresAtTheFirstHop(t *testing.T) {
	for _, ttl := range []capturetest.QuoteTTL{capturetest.QuoteTTLKernel, capturetest.QuoteTTLDecremented} {
		synctest.Test(t, func(t *testing.T) {
			topology := chain()
			topology.Routers[0].Quote.TTL = ttl
			got, _, _ := exchange(t, topology, capturetest.WithTTL(packet(t, probe(1)), 0))
			if diff := cmp.Diff([]reply{{hop1, 11, 0, 64, 0}}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherProtocolsExpireButAreNotAnswered(t *testing.T) {
	for ttl, want := range map[uint8][]reply{2: {{hop2, 11, 0, 63, 1}}, 4: nil} {
		synctest.Test(t, func(t *testing.T) {
			ip := packet(t, probe(1))
			ip[9] = 1 // ICMP; the transport is not looked into
			got, _, _ := exchange(t, chain(), capturetest.WithTTL(ip, ttl))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ttl %d (-want +got):\n%s", ttl, diff)
			}
		})
	}
}

func TestAnAnswerThatCannotBeBuiltIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topology := chain()
		topology.Routers[1].Quote.Edit = func([]byte) []byte { return make([]byte, 70000) }
		_, c := connect(t, topology, capturetest.Host{})
		inject(t, c, probe(2))
		if got := c.Stats().Malformed; len(got) != 1 || !strings.HasPrefix(got[0].Error(), "capturetest: frame 1: hop 2: ") {
			t.Errorf("malformed: %v", got)
		}
	})
}

func TestAMessageMayBeCutBeforeItsChecksum(t *testing.T) {
	e := capturetest.ICMPError{
		From: netip.MustParseAddr(hop1), To: netip.MustParseAddr(host), Type: 11,
		Edit: func(message []byte) []byte { return message[:1] },
	}
	if ip := packet(t, e); len(ip) != 21 || ip[20] != 11 {
		t.Errorf("packet %x", ip)
	}
}

func TestPacketRefusesOtherThanIPv4(t *testing.T) {
	six := netip.MustParseAddrPort("[2001:db8::1]:53")
	u := probe(1)
	u.To = six
	for name, p := range map[string]interface{ Packet() ([]byte, error) }{
		"UDP": u, "ICMP": capturetest.ICMPError{From: six.Addr(), To: six.Addr(), Type: 11},
	} {
		if ip, err := p.Packet(); err == nil {
			t.Errorf("%s: built %x", name, ip)
		}
	}
}

func TestConnPanicsForWhatIsNoMAC(t *testing.T) {
	n, err := capturetest.New(chain())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	n.Conn(capturetest.Host{MAC: []byte{1, 2, 3}})
}
