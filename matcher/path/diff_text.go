package path

import "fmt"

// String returns the change as a sentence, without a full stop.
func (c Change) String() string {
	s := c.what()
	if where := c.where(); where != "" {
		s = where + ": " + s
	}
	if c.Doubtful {
		s += " (may be chance)"
	}
	return s
}

// where names the hops as b numbers them, and as a did if that was otherwise.
func (c Change) where() string {
	switch {
	case c.Kind == ChangedLength || c.HopA == 0 && c.HopB == 0:
		return ""
	case c.HopB == 0:
		return "former " + hopRange(c.HopA, c.LastA, false)
	case c.HopA == 0 || c.HopA == c.HopB:
		return hopRange(c.HopB, c.LastB, c.Onward)
	}
	return fmt.Sprintf("%s (before: %s)", hopRange(c.HopB, c.LastB, c.Onward), hopRange(c.HopA, c.LastA, c.Onward))
}

func hopRange(first, last uint8, onward bool) string {
	switch {
	case onward:
		return fmt.Sprintf("from hop %d on", first)
	case first != last:
		return fmt.Sprintf("hops %d to %d", first, last)
	}
	return fmt.Sprintf("hop %d", first)
}

// subjects begin the sentences about values that have become others.
var subjects = map[ChangeKind]string{
	ChangedTarget:         "the target is",
	ChangedSource:         "the source is",
	ChangedNextHop:        "the next hop from the source is",
	ChangedProtocol:       "the protocol is",
	ChangedProbe:          "a probe is",
	ChangedReached:        "the target is",
	ChangedLength:         "the target is at hop",
	ChangedReply:          "the reply is",
	ChangedLoss:           "probes answered:",
	ChangedReplyTTL:       "replies arrive with TTL",
	ChangedQuotedTTL:      "quoted TTL",
	ChangedQuotedTOS:      "quoted TOS",
	ChangedQuotedID:       "quoted ID",
	ChangedQuotedLength:   "quoted length",
	ChangedQuotedChecksum: "quoted checksum",
}

func (c Change) what() string {
	switch c.Kind {
	case HopAdded:
		return "new on the path: " + c.After
	case HopRemoved:
		return "gone from the path: " + c.Before
	case HopMoved:
		return "moved here: " + c.After
	case HopReplaced:
		return c.After + " in the place of " + c.Before
	case ResponderNew:
		return "also answered by " + c.After
	case ResponderGone:
		return "no longer answered by " + c.Before + ", but by others as before"
	case HopSilent:
		return "silent, was " + c.Before
	case HopAnswers:
		return "answered by " + c.After + ", was silent"
	case ChangedRTT:
		return fmt.Sprintf("round trip %s, was %s (%+.3f ms)", c.After, c.Before, float64(c.Shift)/1e6)
	}
	return fmt.Sprintf("%s %s, was %s", subjects[c.Kind], c.After, c.Before)
}
