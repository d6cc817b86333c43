package drain

// EachForTest is look.
func (t *Tracker) EachForTest(visit func(*Conn)) { t.look(visit) }
