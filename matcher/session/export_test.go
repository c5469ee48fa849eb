package session

// Work is how many packets in the window were looked at so far, and how often a
// reply was offered to a run.
func (s *Finder) Work() int { return s.window.looked + s.offers }
