package tracewire_test

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket/layers"

	"github.com/tracewire/tracewire"
	"github.com/tracewire/tracewire/capture/capturetest"
	"github.com/tracewire/tracewire/craft"
	"github.com/tracewire/tracewire/matcher/path"
)

// probesSent are the times at which traces sent their probes that begin at the same
// time.
func probesSent(t *testing.T, o tracewire.Options) (sent []time.Time) {
	t.Helper()
	const traces = 200
	synctest.Test(t, func(t *testing.T) {
		b := newBeside(t, capturetest.Host{}, o)
		var running sync.WaitGroup
		for i, dst := range someOfMillion(traces) {
			running.Go(func() { b.trace(t.Context(), i+1, dst) })
		}
		running.Wait()
		for number := 1; number <= traces; number++ {
			for _, p := range b.path(number).Probes {
				if p.Status != path.Unsent {
					sent = append(sent, p.Called)
				}
			}
		}
	})
	slices.SortFunc(sent, time.Time.Compare)
	return sent
}

// most is how many probes were sent within a time, at most.
func most(sent []time.Time, within time.Duration) (n int) {
	for i := range sent {
		end, _ := slices.BinarySearchFunc(sent, sent[i].Add(within), time.Time.Compare)
		n = max(n, end-i)
	}
	return n
}

// All traces of a restricted Tracer together send 256 probes at once, and then one
// every millisecond.
func TestRestrictedTracesSendNoFloods(t *testing.T) {
	o := tracewire.Options{MaxTTL: 6}
	free := probesSent(t, o)
	o.Restricted = true
	bounded := probesSent(t, o)
	if n := most(free, time.Millisecond); n < 1000 {
		t.Fatalf("nothing bounds them, and they are %d at once", n)
	}
	for within, want := range map[time.Duration]int{
		time.Millisecond: 256 + 1, 100 * time.Millisecond: 256 + 100, time.Second: 256 + 1000,
	} {
		if n := most(bounded, within); n > want {
			t.Errorf("%d probes within %v, want at most %d", n, within, want)
		}
	}
}

// One trace to a target is as fast as ever: it never has as many probes to send.
func TestRestrictedTraceIsNotSlowed(t *testing.T) {
	var took [2]time.Duration
	for i, restricted := range []bool{false, true} {
		trace(t, eight(), capturetest.Host{}, tracewire.Options{Restricted: restricted}, nil, func(l *lab, p *path.Path, err error) {
			if err != nil {
				l.Fatal(err)
			}
			took[i] = p.Ended.Sub(p.Started)
		})
	}
	if took[0] != took[1] {
		t.Errorf("it took %v, and %v if it is restricted", took[0], took[1])
	}
}

// What a user of an installed program can't have, nor a Tracer that is to serve one.
func TestRestrictedOptions(t *testing.T) {
	const fin, syn, rst, psh, ack, ece, cwr = craft.FlagFIN, craft.FlagSYN, craft.FlagRST, craft.FlagPSH, craft.FlagACK, craft.FlagECE, craft.FlagCWR
	flags := func(f craft.TCPFlags) tracewire.Options {
		return tracewire.Options{Protocol: layers.IPProtocolTCP, TCP: craft.TCP{Flags: f}}
	}
	tests := map[string]struct {
		options tracewire.Options
		refused bool
	}{
		"none":                {tracewire.Options{}, false},
		"a SYN":               {flags(syn), false},
		"a SYN with ECN":      {flags(syn | ece | cwr), false},
		"a SYN with options":  {tracewire.Options{Protocol: layers.IPProtocolTCP, TCP: craft.TCP{MSS: 1400, SACK: true}}, false},
		"a source route":      {tracewire.Options{Gateways: []netip.Addr{target}}, false},
		"a RST":               {flags(rst), true},
		"a FIN":               {flags(fin), true},
		"an ACK":              {flags(ack), true},
		"a SYN-ACK":           {flags(syn | ack), true},
		"a SYN with FIN":      {flags(syn | fin), true},
		"a SYN with PSH":      {flags(syn | psh), true},
		"ECE without a SYN":   {flags(ece), true},
		"a VLAN":              {tracewire.Options{VLAN: 5}, true},
		"a next hop's MAC":    {tracewire.Options{NextHopMAC: []byte{2, 0, 0, 0, 0, 9}}, true},
		"a mark":              {tracewire.Options{Mark: 7}, true},
		"a network namespace": {tracewire.Options{Namespace: "office"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := tracewire.NewTracer(&tt.options); err != nil {
				t.Error("without a restriction:", err)
			}
			tt.options.Restricted = true
			if _, err := tracewire.NewTracer(&tt.options); errors.Is(err, tracewire.ErrPrivilege) != tt.refused || err != nil && !tt.refused {
				t.Errorf("error %v, refused %v", err, tt.refused)
			}
		})
	}
}

// A probe that is refused is called what it is: a SYN with more is one too.
func TestRefusedFlagsAreNamed(t *testing.T) {
	o := tracewire.Options{Protocol: layers.IPProtocolTCP, TCP: craft.TCP{Flags: craft.FlagSYN | craft.FlagURG}, Restricted: true}
	_, err := tracewire.NewTracer(&o)
	const want = "tracewire: a TCP probe with SYN,URG, which is neither SYN alone nor SYN with both flags of ECN, needs root or CAP_NET_ADMIN"
	if err == nil || err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
}
