package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tracewire/tracewire/capture/capturetest/topology"
	"github.com/tracewire/tracewire/capture/netns"
	"github.com/tracewire/tracewire/cmd/internal/annotate"
	"github.com/tracewire/tracewire/cmd/internal/render"
	"github.com/tracewire/tracewire/cmd/internal/simulated"
	"github.com/tracewire/tracewire/craft/route"
	"github.com/tracewire/tracewire/matcher/path"
	"github.com/tracewire/tracewire/testdata/topologies"
)

// inLab is what the program writes in one of the topologies that it comes with.
func inLab(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	data, err := topologies.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	handed, err := syscall.Dup(int(file.Fd())) // the program closes it
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(simulated.Variable, strconv.Itoa(handed))
	var out, said strings.Builder
	code = run(args, nil, &out, &said)
	return out.String(), said.String(), code
}

// Who asks for the findings and for the explanation, which has them, gets them once.
func TestFindingsAreShownOnce(t *testing.T) {
	for _, asked := range [][]string{{"--findings"}, {"--explain"}, {"--explain", "--findings"}} {
		out, said, code := inLab(t, "chain", append(asked, "-n", "-q", "1", "-m", "2", "198.51.100.80")...)
		if code != exitOK || strings.Count(out, "findings:") != 1 {
			t.Errorf("%v: exit code %d\n%s%s", asked, code, out, said)
		}
	}
}

// A balancer that goes by packet sends those of one flow by several ways too.
func TestOneFlowIsNotPromisedOneWay(t *testing.T) {
	out, said, code := inLab(t, "per-packet", "--classic", "--findings", "-n", "198.51.100.1")
	const want = "Without --classic all probes are of one flow, which most balancers send one way."
	if code != exitOK || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
}

// That there is nothing to explain, since it could not be recorded, is said.
func TestWhatIsNotRecordedIsNotExplained(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	out, said, code := inLab(t, "chain", "--explain", "--write", "/dev/full", "-n", "-q", "1", "-m", "2", "198.51.100.80")
	if code != exitSystem || strings.Contains(out, "findings") || !strings.HasSuffix(said, "nothing is explained, and no findings are shown\n") {
		t.Errorf("exit code %d\n%s%s", code, out, said)
	}
}

// interrupting ends all traces when the first begins.
type interrupting struct {
	render.Renderer
	interrupt context.CancelFunc
}

func (i interrupting) Event(e path.Event) error {
	i.interrupt()
	return i.Renderer.Event(e)
}

// The hosts that it was not the turn of, when the traces were interrupted, are named.
func TestInterruptNamesTheHostsThatNothingWasSentTo(t *testing.T) {
	data, err := topologies.Read("services")
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Parse("services", data)
	if err != nil {
		t.Fatal(err)
	}
	host, err := simulated.New(top)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &flags{atOnce: 1, resolver: host}
	f.options.Dial = host.Dial
	var said strings.Builder
	out := interrupting{render.NewText(io.Discard, io.Discard, &toldNames{Namer: (*annotate.Names)(nil)}, render.TextOptions{}), cancel}
	seen, err := f.show(ctx, []string{"198.51.100.6", "198.51.100.1", "198.51.100.2"}, out, &said)
	if err != nil || !seen.traced || seen.reached {
		t.Errorf("%+v, %v", seen, err)
	}
	const want = "tracewire: interrupted before anything was sent to 198.51.100.1, 198.51.100.2\n"
	if said.String() != want {
		t.Errorf("said %q, not %q", said.String(), want)
	}
}

// What to do about an error fits the error.
func TestHintsFitTheError(t *testing.T) {
	for want, err := range map[string]error{
		"tracewire: 2001:db8::1: no route: 'ip route' and 'ip -6 route' list the routes\n": fmt.Errorf("route: 2001:db8::1: %w", route.ErrNoRoute),
		"tracewire: lookup a.example: i/o timeout: give its address, or look at /etc/resolv.conf\n": usagef("%w",
			&net.DNSError{Err: "i/o timeout", Name: "a.example", IsTimeout: true}),
		"tracewire: which host?: see 'tracewire --help'\n":                                                   usagef("which host?"),
		"tracewire: office: no permission to enter a network namespace: root may enter it, as with 'sudo'\n": fmt.Errorf("netns: office: %w", netns.ErrPermission),
		"tracewire: tun0: no MAC addresses on this link: leave --next-hop-mac away\n":                        fmt.Errorf("route: tun0: %w", route.ErrNoMAC),
		"tracewire: 192.0.2.1 on eth0: next hop does not answer: --next-hop-mac builds the frames without asking for its address\n": noNeighbour{
			fmt.Errorf("route: 192.0.2.1 on eth0: %w", route.ErrNeighbour)},
		"tracewire: eth0: interface is down: 'ip link set dev … up' sets it up\n": noWay{fmt.Errorf("route: eth0: %w", route.ErrDown)},
	} {
		var said strings.Builder
		complain(&said, "tracewire", err)
		if said.String() != want {
			t.Errorf("%q, not %q", said.String(), want)
		}
	}
}
