package proxy

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// panicLogEvery is how often a contained panic is written to the log: with its stack it is
// long, and whoever found out how to cause one may do so with every request.
const panicLogEvery = 10 * time.Second

// panicLog writes contained panics to the log. Safe for concurrent use.
type panicLog struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	last    time.Time
	skipped int
}

func (p *panicLog) note(where string, v any, stack []byte) {
	p.mu.Lock()
	now := time.Now()
	if !p.last.IsZero() && now.Sub(p.last) < panicLogEvery {
		p.skipped++
		p.mu.Unlock()
		return
	}
	skipped := p.skipped
	p.last, p.skipped = now, 0
	p.mu.Unlock()
	p.log.Error("a fault of the proxy ended an exchange; this is a bug", "where", where, "panic", fmt.Sprint(v),
		"not_logged", skipped, "stack", string(stack))
}
