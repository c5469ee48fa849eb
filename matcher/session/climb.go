package session

// climb is how the TTLs of a run go.
type climb struct {
	lowest, highest uint8
	sent            []int // by TTL
	n               int   // probes
	levels          int   // different TTLs
	most            int   // probes with one TTL
	burst           bool  // some TTL was probed twice in a row
	astray          int   // how often it fell, but not by one nor to the lowest
	latest          uint8
}

func (c *climb) add(ttl uint8) {
	for len(c.sent) <= int(ttl) {
		c.sent = append(c.sent, 0)
	}
	switch {
	case c.n == 0:
		c.lowest = ttl
	case ttl == c.latest:
		c.burst = true
	case ttl < c.latest && ttl > c.lowest && ttl != c.latest-1:
		c.astray++
	}
	if c.sent[ttl] == 0 {
		c.levels++
	}
	c.lowest, c.highest = min(c.lowest, ttl), max(c.highest, ttl)
	c.latest = ttl
	c.again(ttl)
}

// has reports whether a TTL was probed.
func (c *climb) has(ttl uint8) bool { return int(ttl) < len(c.sent) && c.sent[ttl] > 0 }

// again adds a probe with a TTL that was probed, and says nothing of how they
// go.
func (c *climb) again(ttl uint8) {
	c.sent[ttl]++
	c.most = max(c.most, c.sent[ttl])
	c.n++
}

// up reports whether TTLs go up, or down, from a near hop on, as nothing but
// traces do.
func (c *climb) up() bool {
	const near, few = 8, 3
	return c.levels >= few && c.lowest <= near && c.astray <= c.n/8 && c.levels > int(c.highest-c.lowest)/2
}

// isDone reports whether a TTL was probed as often as any, of a program that
// probes each several times before it goes on to the next.
func (c *climb) isDone(ttl uint8) bool {
	return c.burst && ttl < c.latest && c.has(ttl) && c.sent[ttl] >= c.most && 2*c.done() > c.levels
}

// done is how many TTLs were probed as often as any.
func (c *climb) done() (n int) {
	for _, sent := range c.sent {
		if sent == c.most {
			n++
		}
	}
	return n
}
