package proxy

import "time"

// pingNote asks a loop for a sign of life.
type pingNote struct{}

// stuckAfter is how old the last sign of life of a loop may be.
const stuckAfter = 10 * time.Second

// Progressing asks every loop for a sign of life and reports whether each gave one
// lately. Call it at least every few seconds: it judges by the answers to the calls
// before. A watchdog that is fed by it restarts a process whose loops hang.
func (core *Core) Progressing(now time.Time) bool {
	core.mu.Lock()
	loops := core.loops
	core.mu.Unlock()
	ok := true
	for _, l := range loops {
		asked, answered := l.pinged.Load(), l.ponged.Load()
		if asked != answered && now.UnixNano()-l.askedAt.Load() > int64(stuckAfter) {
			ok = false
		}
		if asked == answered {
			l.askedAt.Store(now.UnixNano())
			l.pinged.Add(1)
			core.post(l.sh.Index(), pingNote{})
		}
	}
	return ok
}
