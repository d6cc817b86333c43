package tlslayer

// MaxResting is how many workers are kept.
const MaxResting = maxResting

// Resting is how many workers wait for a handshake, or are about to end.
func (d *Driver) Resting() int { return int(d.resting.Load()) }
