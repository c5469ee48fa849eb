// Package annotate finds what is known about addresses besides the trace.
package annotate

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// lineWait is how long a line of output waits for the names on it.
const lineWait = 500 * time.Millisecond

// atOnce is how many look-ups run at the same time.
const atOnce = 16

// Resolver looks the names of an address up, as net.Resolver does.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
}

// Names looks the names of addresses up beside the trace: Want begins, Wait
// collects. A nil *Names knows no names. Its methods may be called by any
// goroutine.
type Names struct {
	resolver Resolver
	ctx      context.Context // ends the look-ups when Close is called
	cancel   context.CancelFunc
	slots    chan struct{}
	running  sync.WaitGroup

	mu    sync.Mutex
	known map[netip.Addr]*lookup
}

type lookup struct {
	done chan struct{} // closed when name is final
	name string
}

// NewNames returns Names that asks r; nil means the system's resolver. Close
// must be called.
func NewNames(r Resolver) *Names {
	n := &Names{resolver: r, slots: make(chan struct{}, atOnce), known: map[netip.Addr]*lookup{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if r == nil {
		n.resolver = &net.Resolver{Dial: n.dial}
	}
	return n
}

// dial connects to a name server until Close. A query that is under way notices
// no context, only that its connection is gone.
func (n *Names) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		context.AfterFunc(n.ctx, func() { c.Close() })
	}
	return c, err
}

// Close ends the look-ups that are under way.
func (n *Names) Close() {
	if n == nil {
		return
	}
	n.cancel()
	n.running.Wait()
}

// Want begins to look up the name of an address, unless that was begun before.
func (n *Names) Want(a netip.Addr) {
	if n != nil {
		n.begin(a)
	}
}

func (n *Names) begin(a netip.Addr) *lookup {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l := n.known[a]; l != nil {
		return l
	}
	l := &lookup{done: make(chan struct{})}
	n.known[a] = l
	n.running.Go(func() {
		defer close(l.done)
		select {
		case n.slots <- struct{}{}:
			defer func() { <-n.slots }()
		case <-n.ctx.Done():
			return
		}
		// A name may come beside an error about another.
		if names, _ := n.resolver.LookupAddr(n.ctx, a.String()); len(names) > 0 {
			l.name = strings.TrimSuffix(names[0], ".")
		}
	})
	return l
}

// Wait returns the names of addresses: of those that have one and whose look-up
// ends within half a second.
func (n *Names) Wait(addrs []netip.Addr) map[netip.Addr]string {
	if n == nil || len(addrs) == 0 {
		return nil
	}
	timeout := time.NewTimer(lineWait)
	defer timeout.Stop()
	lookups := make([]*lookup, len(addrs))
	for i, a := range addrs {
		lookups[i] = n.begin(a)
	}
	found, expired := map[netip.Addr]string{}, false
	for i, l := range lookups {
		if !expired {
			select {
			case <-l.done:
			case <-timeout.C:
				expired = true
			}
		}
		select {
		case <-l.done:
			if l.name != "" {
				found[addrs[i]] = l.name
			}
		default:
		}
	}
	return found
}
